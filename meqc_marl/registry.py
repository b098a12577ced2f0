"""Parts that users bring: found by the name of an entry point, or as ``module:function``, and checked before use.

The tables of the built-in parts stand beside them. Here are their names, so that a configuration can be checked
without importing what it configures.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from meqc_marl.errors import did_you_mean, shown


class Kind(NamedTuple):
    """One kind of part.

    Attributes:
        built_in: Names that need no looking up.
        parameters: Names of the arguments that a part of this kind takes, in their order.
    """

    built_in: tuple[str, ...]
    parameters: tuple[str, ...]


KINDS: dict[str, Kind] = {
    "mobility": Kind(("gauss-markov", "static"), ("mobility", "slot_s", "start", "innovation", "position_m")),
    "fading": Kind(("rician",), ("channel", "in_phase", "quadrature")),
    "tasks": Kind(("uniform", "fast-folders", "circuits"), ("tasks", "which", "time")),
    "allocation": Kind(("equal",), ("pools", "load")),
    "policies": Kind((), ("scenario",)),
    "figures": Kind(("3a", "3b", "3c", "4", "5a", "5b", "5c", "6"), ()),
}
"""Kind to names; the entry points of a kind are in the group ``meqc_marl.KIND``."""

WITHOUT_CODE = {"imports": False}
"""Context of the validation of a scenario that is somebody else's: what it names is not run by reading it."""
_PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class NoSuchPartError(ValueError):
    """Why a name stands for no part: the second half of a sentence about the name."""


def is_place(name: str) -> bool:
    """Whether a name is of the form ``module:function``."""
    return _PLACE.fullmatch(name) is not None


def check_name(kind: str, name: str, info: Any) -> str:
    """The name, if it is built in or stands for a part that can be used.

    Args:
        kind: One of ``KINDS``.
        name: Of the part.
        info: Of a validation by pydantic; with :data:`WITHOUT_CODE` as its context no module is imported by its place.

    Raises:
        NoSuchPartError: It is unknown, cannot be imported, or takes other arguments.
    """
    only_read = getattr(info, "context", None) == WITHOUT_CODE and is_place(name)
    if name not in KINDS[kind].built_in and not only_read:
        find(kind, name)
    return name


@lru_cache(maxsize=256)
def find(kind: str, name: str) -> Callable[..., Any]:
    """A part that is not built in.

    Raises:
        NoSuchPartError: It is unknown, cannot be imported, or takes other arguments.
    """
    part = _import(kind, name)
    wanted = KINDS[kind].parameters
    try:
        found = tuple(inspect.signature(part).parameters)
    except (TypeError, ValueError):
        found = None
    if found != wanted:
        takes = "cannot be called" if found is None else f"takes ({', '.join(found)})"
        raise NoSuchPartError(f"what it stands for {takes}; it must take ({', '.join(wanted)})")
    return part  # type: ignore[no-any-return]


def _import(kind: str, name: str) -> Any:
    try:
        if is_place(name):
            module, _, attribute = name.partition(":")
            return getattr(importlib.import_module(module), attribute)
        points = entry_points(group=f"meqc_marl.{kind}")
        if name in points.names:
            return points[name].load()
    except Exception as error:  # whatever a stranger's module raises when it is imported
        said = f"{type(error).__name__}: {error}".rstrip(".")
        raise NoSuchPartError(f"it cannot be imported ({shown(said)[1:-1]})") from None
    known = [*KINDS[kind].built_in, *points.names]
    hint = did_you_mean(name, known).removesuffix(".") if known else ""
    if "did you mean" in hint:
        raise NoSuchPartError(f"it is not known{hint}")
    listed = f"one of {', '.join(sorted(known))}, or " if known else ""
    raise NoSuchPartError(f"it must be {listed}module:function")
