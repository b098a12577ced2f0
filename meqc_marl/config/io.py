"""Scenarios from presets, YAML files and ``field=value`` overrides; every mistake becomes one clear sentence."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from meqc_marl.config.scenario import Scenario
from meqc_marl.errors import InputError, did_you_mean

PRESETS: tuple[str, ...] = ("paper", "paper-literal", "static", "fast-folders", "small", "large")


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads ``1e9`` and ``2.5e-3`` as numbers, as YAML 1.2 does; YAML 1.1 makes them strings."""


_Loader.yaml_implicit_resolvers = {
    first: list(found) for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_scenario(source: str | Path | Scenario, overrides: Sequence[str] = ()) -> Scenario:
    """Load a preset or a YAML file and apply overrides.

    Args:
        source: One of ``PRESETS``, or the path of a YAML file with any part of the fields, the rest are defaults;
            or a scenario, to override some of its fields.
        overrides: ``"dotted.field=value"`` each, the value in YAML: ``"cost.latency=sequential"``.

    Raises:
        InputError: The source, a field or a value is not allowed; the message names it and says what is.
    """
    fields = _read_fields(source)
    for override in overrides:
        _apply_override(fields, override)
    try:
        return Scenario.model_validate(fields)
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0])) from None


def save_scenario(scenario: Scenario, path: str | Path) -> None:
    """Write all fields as YAML; the file is complete or, after a crash, untouched."""
    text = yaml.safe_dump(scenario.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=120)
    with replacing(path) as file:
        file.write(text.encode())


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file beside ``path`` for writing and put it in its place at the end, if nothing went wrong."""
    path = Path(path)
    try:
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _read_fields(source: str | Path | Scenario) -> dict[str, Any]:
    if isinstance(source, Scenario):
        return source.model_dump(mode="json")
    if isinstance(source, str) and source in PRESETS:
        text = (resources.files("meqc_marl.config") / "presets" / f"{source}.yaml").read_text(encoding="utf-8")
    else:
        path = Path(source)
        if not path.is_file():
            names = f"neither a preset ({', '.join(PRESETS)}) nor a file"
            looks_like_name = path.suffix == "" and path.name == str(source)
            raise InputError(
                f"scenario '{source}' is {names}{_suggestion(str(source), PRESETS) if looks_like_name else ''}"
            )
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"scenario file {path} cannot be read as UTF-8 text: {error}") from None
    try:
        fields = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "unreadable"
        raise InputError(f"scenario file {source} is not valid YAML{where}: {problem}") from None
    fields = {} if fields is None else fields
    if not isinstance(fields, dict):
        raise InputError(f"scenario file {source} holds a {type(fields).__name__}; a mapping of fields is needed")
    return fields


def _apply_override(fields: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise InputError(f"override '{override}' is not of the form field=value, as in cost.latency=sequential")
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        raise InputError(f"override '{override}' has a value that is not valid YAML") from None
    for depth, key in enumerate(keys[:-1]):
        below = fields.setdefault(key, {})
        if not isinstance(below, dict):
            raise InputError(f"override '{override}' goes into {'.'.join(keys[: depth + 1])}, which has no parts")
        fields = below
    fields[keys[-1]] = value


def _suggestion(name: str, known: Sequence[str]) -> str:
    hint = did_you_mean(name, known)
    return hint if "did you mean" in hint else ""


def _field_names(location: Sequence[int | str]) -> list[str]:
    """Names of the fields of the part at a location, to suggest one for a misspelt field."""
    part: type[BaseModel] = Scenario
    for key in location:
        field = part.model_fields.get(str(key))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        part = annotation
    return list(part.model_fields)


def _dotted(location: Sequence[int | str]) -> str:
    """Location of an error as a dotted field, without pydantic's names of the alternatives of a union."""
    part: type[BaseModel] | None = Scenario
    name = ""
    for key in location:
        if isinstance(key, int):
            name += f"[{key}]"
        elif part is not None and (key in part.model_fields or not name or name.count(".") < 1):
            name += f".{key}" if name else key
            field = part.model_fields.get(key)
            part = (
                next((a for a in (field.annotation, *get_args(field.annotation)) if _is_part(a)), None)
                if field
                else None
            )
    return name


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _sentence(error: ErrorDetails | Mapping[str, Any]) -> str:
    """One sentence for one pydantic error: the dotted field, its value and what is allowed."""
    location, kind, message = error["loc"], error["type"], error["msg"]
    field = _dotted(location) or "scenario"
    if kind == "extra_forbidden":
        suggestion = did_you_mean(str(location[-1]), _field_names(location[:-1]))
        return f"{'.'.join(map(str, location))} is not a field{suggestion}"
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        whole_part = isinstance(error["input"], dict)
        return message if not location else field + ("" if whole_part else f" is {error['input']!r}") + f": {message}"
    message = re.sub(r", (got|unable to parse) .*| after validation, not .*| or instance of .*", "", message)
    message = message.replace("a valid dictionary", "a mapping of its parts")
    return f"{field} is {error['input']!r}; {re.sub('^(Input|Tuple) should', 'it must', message)}"
