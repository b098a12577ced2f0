"""What is needed to rebuild the two heads of a trained policy. No Ray and no PyTorch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import model_validator
from typing_extensions import Self

from .option_types import MOST_WEIGHTS, Index
from .options import NetworkOptions, extra_of
from .words import plain

OF_WEIGHTS = tuple(name for name, field in NetworkOptions.model_fields.items() if extra_of(field).get("of_weights"))
"""In the state of a module: options that its weights were trained with and that go with them; none in older states."""


class NetworkSpec(NetworkOptions):
    """The options of the networks and the sizes that follow from the spaces; can be stored as JSON.

    Attributes:
        observation_size: Length D of an observation.
        parameter_slots: (start, stop) of each mode's parameters in the vector of P.
    """

    observation_size: Index
    parameter_slots: tuple[tuple[Index, Index], ...]

    @model_validator(mode="after")
    def _fits_the_spaces(self) -> NetworkSpec:
        if not self.parameter_slots or not all(start <= stop for start, stop in self.parameter_slots):
            raise ValueError(
                f"parameter_slots is {plain(self.parameter_slots)}; it must hold (start, stop) of each mode."
            )
        modes, columns = self.num_modes, self.observation_size
        there = f"the action space has the modes 0 to {modes - 1}"
        if not all(mode < modes for mode in self.allowed_modes):
            raise ValueError(f"allowed_modes is {plain(self.allowed_modes)}; {there}.")
        if self.critic == "multi-pass" and modes * self.num_parameters > MOST_WEIGHTS:
            raise ValueError(
                f"critic is 'multi-pass'; with {modes:,} modes and {self.num_parameters:,} parameters it would hold "
                f"{modes * self.num_parameters:,} numbers, of which {MOST_WEIGHTS:,} may be: set it to 'joint'."
            )
        for name in ("mask_columns", "mode_columns"):
            told = getattr(self, name)
            if not all(mode < modes and column < columns for mode, column in told):
                raise ValueError(f"{name} is {plain(told)}; {there}, an observation {columns} columns.")
        for name in ("bound_columns", "middle_columns", "price_columns"):
            told = getattr(self, name)
            ends = 2 if name == "price_columns" else None
            pairs = [each[:ends] for each in told]
            if len({parameter for parameter, *_ in pairs}) < len(pairs) or not all(
                parameter < self.num_parameters and max(ends) < columns for parameter, *ends in pairs
            ):
                raise ValueError(
                    f"{name} is {plain(pairs)}; each of the {self.num_parameters} parameters may stand in it once, an "
                    f"observation has {columns} columns."
                )
        if not {(mode, column) for mode, column, _ in self.unit_columns} <= set(self.mode_columns):
            raise ValueError(
                f"unit_columns is {plain(self.unit_columns)}; each must be among mode_columns, "
                f"{plain(self.mode_columns)}: a pass that sees amounts in several units is in none."
            )
        for mode in sorted({mode for mode, *_ in self.unit_columns}):
            start, stop = self.parameter_slots[mode]
            others = [slot for k, slot in enumerate(self.parameter_slots) if k != mode]
            if any(first < stop and start < last for first, last in others):
                raise ValueError(
                    f"unit_columns is {plain(self.unit_columns)}; mode {mode} shares parameters with another mode, "
                    "which may have another unit."
                )
        return self

    @property
    def input_size(self) -> int:
        """Columns that the heads are given: those of the observation, and of the context if there is one."""
        return self.observation_size + (self.context_width if self.context != "none" else 0)

    @property
    def num_modes(self) -> int:
        """Number of modes K."""
        return len(self.parameter_slots)

    @property
    def num_parameters(self) -> int:
        """Length P of the parameter vector."""
        return max(stop for _, stop in self.parameter_slots)

    @property
    def parametric_modes(self) -> slice:
        """The shortest range of modes that holds all with parameters to choose: the others need no actor gradient."""
        free: Sequence[int] = () if self.discrete else self.allowed_modes or range(self.num_modes)
        modes = [mode for mode in free if self.parameter_slots[mode][1] > self.parameter_slots[mode][0]]
        return slice(min(modes), max(modes) + 1) if modes else slice(0, 0)

    @property
    def seen_by_mode(self) -> tuple[tuple[int, ...], ...]:
        """The columns that each of the K modes depends on: all, unless ``mode_columns`` says which."""
        all_of_them = tuple(range(self.observation_size))
        told = [tuple(column for k, column in self.mode_columns if k == mode) for mode in range(self.num_modes)]
        return tuple(columns or all_of_them for columns in told)

    @property
    def owners(self) -> tuple[int, ...]:
        """The first mode that each of the P parameters belongs to; 0 for one of none."""
        first: dict[int, int] = {}
        for mode, (start, stop) in enumerate(self.parameter_slots):
            for parameter in range(start, stop):
                first.setdefault(parameter, mode)
        return tuple(first.get(parameter, 0) for parameter in range(self.num_parameters))

    @property
    def turns(self) -> tuple[tuple[int, int], ...]:
        """Pairs (parameter, its mode) of which each row of a minibatch moves one in turn; none if it moves all.

        Where modes are apart and have a parameter each, a pass for each parameter would cost as much as so many rows
        more.
        """
        starts = [start for start, stop in self.parameter_slots if stop > start]
        alone = len(set(starts)) == len(starts) and all(stop - start <= 1 for start, stop in self.parameter_slots)
        if not self.mode_columns or not alone:
            return ()
        free: Sequence[int] = () if self.discrete else self.allowed_modes or range(self.num_modes)
        slots = [(mode, *self.parameter_slots[mode]) for mode in sorted(set(free))]
        return tuple((start, mode) for mode, start, stop in slots if stop > start)

    @property
    def bound_ends(self) -> tuple[list[int], list[int]]:
        """Columns of the low and of the high end of all P parameters; D and D + 1 where they are 0 and 1."""
        ends = {parameter: (low, high) for parameter, low, high in self.bound_columns}
        free = (self.observation_size, self.observation_size + 1)
        lows, highs = zip(*(ends.get(parameter, free) for parameter in range(self.num_parameters)), strict=True)
        return list(lows), list(highs)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_json`; of options that the data lack, the defaults.

        Raises:
            ConfigurationError: If the data describe no network.
        """
        return cls.of(data)
