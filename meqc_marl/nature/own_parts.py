"""The parts of nature by name: built in, or brought by a user, whose results are checked before they are used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meqc_marl.config.scenario import Channel, Mobility, Tasks
from meqc_marl.errors import InputError, shown
from meqc_marl.nature.channel import FADING
from meqc_marl.nature.mobility import MOBILITY, Start
from meqc_marl.nature.tasks import TASK_SOURCES, Drawn, folding
from meqc_marl.registry import find

LEAST_RESIDUES, MOST_RESIDUES = 7, 5000


def mobility_of(name: str) -> Callable[[Mobility, float, Start, np.ndarray, np.ndarray], None]:
    """How devices move."""
    if name in MOBILITY:
        return MOBILITY[name]
    move = find("mobility", name)

    def checked(
        mobility: Mobility, slot_s: float, start: Start, innovation: np.ndarray, position_m: np.ndarray
    ) -> None:
        position_m[...] = np.nan
        move(mobility, slot_s, start, innovation, position_m)
        _check("mobility.kind", name, "positions", bool(np.isfinite(position_m).all()), "must fill position_m")

    return checked


def fading_of(name: str) -> Callable[[Channel, np.ndarray, np.ndarray], np.ndarray]:
    """The factor of fading."""
    if name in FADING:
        return FADING[name]
    fade = find("fading", name)

    def checked(channel: Channel, in_phase: np.ndarray, quadrature: np.ndarray) -> np.ndarray:
        shape = in_phase.shape
        power = _array(fade(channel, in_phase, quadrature))
        sound = power.shape == shape and bool(np.isfinite(power).all()) and bool((power >= 0.0).all())
        _check("channel.fading", name, "factors", sound, f"must be {shape} and at least 0")
        return power

    return checked


def tasks_of(name: str) -> Callable[[Tasks, np.ndarray, np.ndarray], Drawn]:
    """What the tasks are; a part of a user's gives residues and simulated times."""
    if name in TASK_SOURCES:
        return TASK_SOURCES[name]
    draw = find("tasks", name)

    def checked(tasks: Tasks, which: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape, drawn = which.shape, draw(tasks, which, time)
        _check("tasks.source", name, "result", isinstance(drawn, tuple) and len(drawn) == 2, "must be two arrays")
        residues, time_s = _array(drawn[0]), _array(drawn[1])
        sound = residues.shape == shape and bool(((residues >= LEAST_RESIDUES) & (residues <= MOST_RESIDUES)).all())
        _check(
            *("tasks.source", name, "residues", sound),
            f"must be {shape} and from {LEAST_RESIDUES} to {MOST_RESIDUES:,}",
        )
        sound = time_s.shape == shape and bool(((time_s >= 1e-9) & (time_s <= 1.0)).all())
        _check("tasks.source", name, "times", sound, f"must be {shape} and from 1e-9 to 1 s")
        return residues.astype(np.int32), time_s.astype(np.float32)

    return folding(checked)


def _array(values: object) -> np.ndarray:
    """An array of numbers; an empty one for anything else, which has a wrong shape."""
    try:
        array = np.asarray(values)
    except Exception:  # a stranger's object
        return np.empty(0)
    return array if array.dtype.kind in "iuf" else np.empty(0)


def _check(field: str, name: str, what: str, sound: bool, allowed: str) -> None:
    if not sound:
        raise InputError(f"{field} is {shown(name)}; the {what} that it gives {allowed}, finite numbers throughout.")
