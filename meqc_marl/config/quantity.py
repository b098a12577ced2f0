"""What every field of a scenario carries: unit, source, and the bounds within which it means something, with a reason.

The bounds are checked here for every part, single numbers and the numbers of a list alike. They are as wide as the
model is meant to reach, and so narrow that no scenario within them overflows: a test runs the corners.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError

from meqc_marl.registry import KINDS

Number = TypeVar("Number")


def plain(number: float) -> str:
    """``1e6`` rather than ``1e+06``."""
    return re.sub(r"e([-+]?)0*", lambda exponent: "e" + exponent[1].removeprefix("+"), f"{number:.6g}")


def fixed(number: float, form: str = ".2f") -> str:
    """A number with fixed digits for a column of a table, or, from a million on, with an exponent: ``1.23e69``."""
    if abs(number) < 1e6:
        return f"{number:{form}}"
    text = f"{number:{'+' if form.startswith('+') else ''}.2e}"
    return re.sub(r"e\+?(-?)0*", lambda exponent: "e" + exponent[1], text)


class Bounds(NamedTuple):
    """The least and the largest value that is allowed, both included, and why."""

    low: float
    high: float
    reason: str

    def __str__(self) -> str:
        return f"from {plain(self.low)} to {plain(self.high)}"


def quantity(
    default: Any, unit: str, source: str, meaning: str, within: tuple[float, float, str], allowed: str = ""
) -> Any:
    """A number, or a list of them, with its unit, source and bounds; ``meqc-marl scenario show`` prints them all.

    Args:
        default: Its value in the preset ``paper``.
        unit: Or the name of the field that holds the unit.
        source: Equation, section or publication.
        meaning: What it is.
        within: Least and largest value, and why.
        allowed: The bounds in words, where they depend on another field.
    """
    low, high, reason = within
    extra: Any = {"unit": unit, "source": source, "minimum": low, "maximum": high, "reason": reason}
    if allowed:
        extra["allowed"] = allowed
    return Field(default, description=meaning, json_schema_extra=extra)


def choice(default: Any, source: str, meaning: str, allowed: str = "", **limits: Any) -> Any:
    """A word: a name, or one of several forms of a formula; or what is no number, with what is allowed in words."""
    extra: Any = {"unit": "", "source": source} | ({"allowed": allowed} if allowed else {})
    return Field(default, description=meaning, json_schema_extra=extra, **limits)


def part_name(kind: str, default: str, source: str, meaning: str) -> Any:
    """A part by its name: built in, an entry point, or ``module:function`` (:mod:`meqc_marl.registry`)."""
    extra: Any = {"unit": "", "source": source, "part": kind}
    extra["allowed"] = f"{', '.join(KINDS[kind].built_in)}, module:function"
    return Field(default, description=meaning, json_schema_extra=extra, max_length=200)


def bounds_of(field: FieldInfo) -> Bounds | None:
    """The bounds of a field; None for words and parts."""
    extra: Any = field.json_schema_extra
    if not isinstance(extra, dict) or "minimum" not in extra:
        return None
    return Bounds(extra["minimum"], extra["maximum"], extra["reason"])


def _ordered(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    if pair[0] > pair[1]:
        raise ValueError("its lower end must not exceed its upper end")
    return pair


Pair = Annotated[tuple[Number, Number], AfterValidator(_ordered)]
"""Lower and upper end of a range."""
Choices = Annotated[tuple[float, ...], Field(min_length=1, max_length=1000)]
"""Values of which each device gets one."""
PerDevice = float | Annotated[tuple[float, ...], Field(min_length=1, max_length=100_000)]
"""One number for all devices, or one for each."""


class Part(BaseModel):
    """Base of all parts: immutable, no unknown fields, numbers that are numbers and within their bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would turn into a number: truth values, text and dates."""
        if cls._bounds(info) is not None:
            for leaf in _leaves(value):
                if isinstance(leaf, (bool, str, bytes, date)) or type(leaf).__name__ in ("bool_", "bool"):
                    raise PydanticCustomError("no_number", "it must be a number")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _is_within_bounds(cls, value: Any, info: ValidationInfo) -> Any:
        bounds = cls._bounds(info)
        if bounds is not None:
            for leaf in _leaves(value):
                if leaf is not None and not bounds.low <= leaf <= bounds.high:
                    unit = cls.model_fields[str(info.field_name)].json_schema_extra["unit"]  # type: ignore[index, call-overload]
                    raise ValueError(f"it must be {bounds}{f' {unit}' if unit else ''} ({bounds.reason})")
        return value

    @classmethod
    def _bounds(cls, info: ValidationInfo) -> Bounds | None:
        return bounds_of(cls.model_fields[str(info.field_name)])

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The bounds also at the numbers inside lists, where JSON Schema looks for them."""
        described = handler(schema)
        properties = handler.resolve_ref_schema(described).get("properties", {})
        for name, field in cls.model_fields.items():
            if (bounds := bounds_of(field)) is not None:
                _bound_numbers(properties[name], bounds)
        return described


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _leaves(one)
    else:
        yield value


def _bound_numbers(schema: Any, bounds: Bounds) -> None:
    if isinstance(schema, list):
        for one in schema:
            _bound_numbers(one, bounds)
    elif isinstance(schema, dict):
        if schema.get("type") in ("number", "integer"):
            schema.update(minimum=bounds.low, maximum=bounds.high)
        for key in ("anyOf", "items", "prefixItems"):
            _bound_numbers(schema.get(key), bounds)
