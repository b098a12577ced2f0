"""A mistake in a scenario as one sentence: the dotted field, its value and what is allowed, as a user writes it."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from meqc_marl.config.quantity import Part, bounds_of
from meqc_marl.config.scenario import Scenario
from meqc_marl.errors import did_you_mean, shown

_UNIONS = (Union, UnionType)


def sentence_of(error: ErrorDetails) -> str:
    """One sentence for one pydantic error."""
    location, kind, message, value = error["loc"], error["type"], error["msg"], error["input"]
    if kind == "extra_forbidden":
        above, part = locate(location[:-1])
        known = [] if part is None else part.model_fields
        field = f"{above}.{location[-1]}".strip(".")
        name = shown(field) if " " in field else shown(field)[1:-1]
        return f"{name} is not a field{did_you_mean(str(location[-1]), known)}"
    if kind == "invalid_key":
        return f"{shown(value)} is not a field; the names of fields are text."
    if kind == "missing":  # an end of a range: pydantic names the end and shows the whole
        location = location[:-1]
    field, _ = locate(location)
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        if field and not isinstance(value, dict):
            return f"{field} is {shown(value)}; {message}."
        # A validator of a whole part names the field and its value itself, that of an element does not know which.
        return f"{field}: {message}." if field.endswith("]") else f"{message}."
    must = _must(location)
    if kind == "finite_number":
        must = must.replace("a number", "a finite number").replace("of numbers", "of finite numbers")
    return f"{field or 'scenario'} is {shown(value)}; {must}."


def locate(location: Sequence[int | str]) -> tuple[str, type[BaseModel] | None]:
    """Dotted name of a field, without pydantic's names of the alternatives of a union; and its class, if a part."""
    part: type[BaseModel] | None = Scenario
    inner: type[BaseModel] | None = None
    name = ""
    for key in location:
        if isinstance(key, int):
            name += f"[{key}]"
            part = inner
        elif part is not None and key in part.model_fields:
            name += f".{key}" if name else key
            annotation = part.model_fields[key].annotation
            part, inner = _part(annotation), next(filter(None, map(_part, get_args(annotation))), None)
    return name, part


def _part(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Part) else None


def _must(location: Sequence[int | str]) -> str:
    """What must stand there: of a number of a list the number, of another element what the list must be."""
    named = [place for place, key in enumerate(location) if isinstance(key, str)]
    while named:
        until = named.pop() + 1
        above, key = locate(location[: until - 1])[1], str(location[until - 1])
        if above is None or key not in above.model_fields:
            continue  # pydantic's name of an alternative
        field = above.model_fields[key]
        if not any(isinstance(one, int) for one in location[until:]):
            return f"it must be {in_words(field)}"
        if bounds_of(field) is None:
            return f"{locate(location[:until])[0]} must be {in_words(field)}"
        return f"it must be {_number(_alternatives(field.annotation)[-1], one=True)}{_within(field)}"
    return "it must be a mapping of its parts"


def in_words(field: FieldInfo) -> str:
    """What a field may be, as a user writes it."""
    kinds = _alternatives(field.annotation)
    extra: Any = field.json_schema_extra or {}
    if _part(kinds[0]) is not None:
        return "a mapping of its parts"
    if get_origin(kinds[0]) is Literal:
        *others, last = map(repr, get_args(kinds[0]))
        return f"{', '.join(others)} or {last}"
    if bounds_of(field) is None:
        return _text(kinds[0], str(extra.get("allowed", "")), [*field.metadata])
    lists = [kind for kind in kinds if get_origin(kind) is tuple]
    single = [kind for kind in kinds if kind not in lists and kind is not NoneType]
    words = [_number(single[0], one=True)] if single else []
    words += [_list(kind, [*field.metadata], bool(single)) for kind in lists]
    return ", or ".join(words) + _within(field) + (", or null" if NoneType in kinds else "")


def _list(kind: Any, metadata: list[Any], per_device: bool) -> str:
    if get_args(kind)[-1] is not Ellipsis:
        return f"a range [low, high] of {_number(kind, one=False)}"
    if per_device:
        return "a list of one for each device,"
    return f"a list of 1 to {_longest(metadata)} {_number(kind, one=False)}"


def _number(kind: Any, one: bool) -> str:
    inside = get_args(kind)[0] if get_origin(kind) is tuple else kind
    noun = "whole number" if inside is int else "number"
    return f"a {noun}" if one else f"{noun}s"


def _within(field: FieldInfo) -> str:
    extra: Any = field.json_schema_extra
    if "allowed" in extra:
        return f" from {extra['allowed']}"
    return f" {bounds_of(field)}{' ' if extra['unit'] else ''}{extra['unit']}"


def _text(kind: Any, allowed: str, metadata: list[Any]) -> str:
    if get_origin(kind) is tuple:
        inside = _part(get_args(kind)[0])
        what = allowed if inside is None else f"{inside.__name__.lower()}s: {allowed}"
        return f"a list of 1 to {_longest(metadata)} {what}"
    *names, last = allowed.split(", ")
    return (
        f"one of {', '.join(names)}, or {last}" if names else "text"
    ) + f" of at most {_longest(metadata)} characters"


def _longest(metadata: list[Any]) -> int:
    return next(int(limit.max_length) for limit in metadata if hasattr(limit, "max_length"))


def _alternatives(annotation: Any) -> list[Any]:
    """The alternatives of a union, each without what is annotated."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in _UNIONS:
        return [kind for one in get_args(annotation) for kind in _alternatives(one)]
    return [annotation]
