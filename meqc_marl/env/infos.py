"""What the infos tell of the slot carried out and of the coming one: numbers and arrays, the same keys throughout."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from meqc_marl.env.actions import offered
from meqc_marl.physics.cost import Outcome

if TYPE_CHECKING:
    from meqc_marl.env.simulator import OffloadingSimulator

OUTCOME = tuple(field.name for field in fields(Outcome) if field.name != "present")
"""What is told of a device as it happened; whether it was there is called ``was_present``."""
_FLAGS = frozenset({"deadline_missed", "deadline_feasible", "qpu_rejected", "overruled"})


def no_slot_yet() -> dict[str, Any]:
    """What is told of a slot carried out before there is one, with the keys and types of every step."""
    before = {name: False if name in _FLAGS else 0 if name == "mode" else 0.0 for name in OUTCOME}
    return before | {"was_present": False}


def told_of(outcome: Outcome) -> list[dict[str, Any]]:
    """What is told each device of row 0 of the slot carried out."""
    columns = [getattr(outcome, name)[0].tolist() for name in OUTCOME]
    there = [True] * len(columns[0]) if outcome.present is None else outcome.present[0].tolist()
    keys = (*OUTCOME, "was_present")
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, there, strict=True)]


def coming_slot(simulator: OffloadingSimulator, placed: bool) -> list[dict[str, Any]]:
    """What is told each device of row 0 of the coming slot: whether it is there and what it may choose.

    Args:
        simulator: Of one row.
        placed: Whether a fraction is a place within what is granted.
    """
    infos = offered(simulator.places.choices_under(simulator.scenario.cost), placed)
    there = [True] * len(infos) if simulator.present is None else simulator.present[0].tolist()
    return [info | {"present": each} for info, each in zip(infos, there, strict=True)]
