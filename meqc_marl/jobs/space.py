"""What a search may choose, as data and from a small YAML file.

A parameter of the learner is an interval, ``{low: 3.0e-4, high: 1.0e-2, log: true}`` (whole numbers if both ends are),
or a list of values to choose from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from meqc_marl.errors import InputError, shown


class Interval(BaseModel):
    """Numbers between two ends.

    Attributes:
        low, high: Ends.
        log: Even on a logarithmic scale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if not self.low < self.high < float("inf"):
            raise ValueError("low must be below high, and both finite")
        if self.log and not self.low > 0:
            raise ValueError("low must be above 0 on a logarithmic scale")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> list[Any]:
        """Values to try whether they are allowed."""
        return [self.low, self.high]


class Choice(BaseModel):
    """One of some values.

    Attributes:
        values: Of any kind that YAML can hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[Any, ...]

    def ends(self) -> list[Any]:
        """Values to try whether they are allowed."""
        return list(self.values)

    def names(self) -> list[Any]:
        """The values as Optuna can store them: lists as JSON."""
        return [value if isinstance(value, bool | int | float | str) else json.dumps(value) for value in self.values]

    def value_of(self, name: Any) -> Any:
        """Inverse of :meth:`names`."""
        return self.values[self.names().index(name)]


Space = dict[str, Interval | Choice]

DEFAULT_SPACE: Space = {
    "critic_lr": Interval(low=3e-4, high=1e-2, log=True),
    "actor_lr": Interval(low=3e-4, high=1e-2, log=True),
    "huber_delta": Interval(low=0.005, high=1.0, log=True),
    "exploration_noise": Interval(low=0.02, high=0.3, log=True),
    "train_batch_size_per_learner": Choice(values=(128, 256, 512)),
    "bounds": Choice(values=("clamp", "inverting", "sigmoid")),
}


_ENTRY = "an entry is {low: 0.1, high: 1, log: true} or a list"


def _told(name: str, error: ErrorDetails) -> tuple[str, str]:
    """Where a mistake in an interval is, and what it is, in words of its own."""
    location, kind = error["loc"], error["type"]
    if not location:  # of the whole: the validator has made the sentence, or it is no mapping
        told = error["msg"].removeprefix("Value error, ")
        return name, told if kind == "value_error" else f"{shown(error['input'])} is neither an interval nor a list"
    where = f"{name}.{location[0]}"
    if kind == "missing":
        return where, "is missing"
    if kind == "extra_forbidden":
        return where, "is not known"
    return where, f"it is {shown(error['input'])} and must be {'true or false' if location[0] == 'log' else 'a number'}"


def parse_space(option: str, given: Mapping[str, Any]) -> Space:
    """A space from what a YAML file holds.

    Raises:
        InputError: If an entry is neither an interval nor a list.
    """
    space: Space = {}
    for name, entry in given.items():
        try:
            if isinstance(entry, list):
                space[name] = Choice(values=tuple(entry))
                if len(entry) < 2 or len(set(map(json.dumps, entry))) < len(entry):
                    raise ValueError("must have two or more values, each once")
            else:
                space[name] = Interval.model_validate(entry)
        except ValueError as error:
            where, told = name, str(error)
            if isinstance(error, ValidationError):
                where, told = _told(name, error.errors()[0])
            raise InputError(f"{option}: {where}: {told}; {_ENTRY}.") from None
    if not space:
        raise InputError(f"{option} is empty; it must name at least one parameter of the learner.")
    return space
