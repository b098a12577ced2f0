"""What a device may choose in a slot, and what is carried out of what it asks for: the deadline (12b) kept.

(12b) says that a device does not select what misses its deadline. With ``cost.deadline = kept`` every mode has one
interval of shares that meets it, and whatever is asked for, the nearest of those is carried out. Where no action of any
mode meets the deadline the one with the least latency is all that is left. With ``penalty`` everything is carried out
as asked for, and a miss costs ``cost.deadline_penalty``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meqc_marl.config.scenario import Cost
from meqc_marl.physics.modes import REMOTE, Mode

if TYPE_CHECKING:
    from meqc_marl.physics.cost import PlaceCosts

NOTICEABLE = 1e-6
"""A share moved by less is not told as overruled: it is the rounding of single precision."""


@dataclass(frozen=True)
class Choices:
    """For each mode the shares that a device may choose: one interval.

    Attributes:
        allowed: Whether the mode may be taken, bool [3, ..., M]; at least one may.
        low, high: Least and largest share [3, ..., M]; both 0 for LOCAL and where the mode may not be taken.
        deadline_feasible: Whether some action meets the deadline, bool [..., M].
    """

    allowed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deadline_feasible: np.ndarray

    def at(self, index: int | slice | np.ndarray) -> Choices:
        """A slot of several, by its number, or some slots, or the elements of a bool mask [..., M]."""
        if isinstance(index, np.ndarray):
            shape = (len(Mode), *index.shape)
            allowed, low, high = (
                np.broadcast_to(part, shape)[:, index] for part in (self.allowed, self.low, self.high)
            )
            return Choices(allowed, low, high, np.broadcast_to(self.deadline_feasible, index.shape)[index])
        return Choices(self.allowed[:, index], self.low[:, index], self.high[:, index], self.deadline_feasible[index])


def find_choices(cost: Cost, places: PlaceCosts) -> Choices:
    """What every device may choose, see the module; arrays [3, ..., M] and [..., M]."""
    shape = places.latency_s.shape
    allowed, low, high = np.empty(shape, bool), np.zeros(shape), np.zeros(shape)
    np.less_equal(places.latency_s[Mode.LOCAL], places.deadline_s, out=allowed[Mode.LOCAL])
    for mode in REMOTE:
        ends = places.feasible(cost, mode)
        np.less_equal(*ends, out=allowed[mode])
        allowed[mode] &= places.admits(mode)
        for out, end in zip((low, high), ends, strict=True):
            np.copyto(out[mode], end, where=allowed[mode])
    feasible = np.asarray(allowed.any(0))
    if cost.deadline == "penalty":
        for mode in Mode:
            allowed[mode] = places.admits(mode)
        low[1:], high[1:] = cost.min_fraction, 1.0
        if places.present is not None:
            low[:, ~places.present] = high[:, ~places.present] = 0.0
    elif not feasible.all():
        _only_the_fastest(cost, places, ~feasible, allowed, low, high)
    return Choices(allowed, low, high, feasible)


def _only_the_fastest(
    cost: Cost, places: PlaceCosts, hopeless: np.ndarray, allowed: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """Leave the action with the least latency to those who meet no deadline."""
    mode, fraction = fastest(cost, places.select(hopeless))
    for each in Mode:
        allowed[each][hopeless] = mode == each
        low[each][hopeless] = high[each][hopeless] = np.where(mode == each, fraction, 0.0)


def fastest(cost: Cost, places: PlaceCosts) -> tuple[np.ndarray, np.ndarray]:
    """Mode and share of the action with the least latency, [..., M] each."""
    least = np.array(places.latency_s[Mode.LOCAL])
    best_mode, best = np.zeros(least.shape, np.int8), np.zeros(least.shape)
    for mode in REMOTE:
        # The latency is convex in the share: the least is at an end or at one inner point.
        inner = places.kink(mode) if cost.latency != "literal" else places.quickest_squared(mode)
        for fraction in (np.ones_like(least), np.full_like(least, cost.min_fraction), inner):
            share = np.clip(fraction, cost.min_fraction, 1.0)
            latency_s = places.latency_of(cost.latency, mode, share)
            better = (latency_s < least) & places.admits(mode)
            np.copyto(least, latency_s, where=better)
            np.copyto(best_mode, np.int8(mode), where=better)
            np.copyto(best, share, where=better)
    return best_mode, best


def admitted_mode(mode: np.ndarray, qpu_admitted: np.ndarray) -> np.ndarray:
    """Where tasks run, deadlines apart, int8 [..., M]: on the server CPU if the QPU asked for does not take it."""
    rejected = (mode == Mode.QPU) & ~qpu_admitted
    return np.subtract(mode, rejected, dtype=np.int8, casting="unsafe")  # Mode.QPU - 1 is Mode.CPU


def carry_out(
    cost: Cost, choices: Choices, qpu_admitted: np.ndarray, mode: np.ndarray, fraction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What is done of what the devices ask for.

    A task sent to a QPU that does not admit it runs on the server CPU; a remote mode sends at least
    ``cost.min_fraction``. With deadlines kept, a share outside its mode's interval is moved to the nearer end; a mode
    that cannot meet the deadline gives way to the first of CPU, QPU and LOCAL that can, at the nearest share.

    Args:
        cost: Whether deadlines are kept.
        choices: What the devices may choose [3, ..., M].
        qpu_admitted: Whether the QPU takes the task, bool [..., M].
        mode: ``Mode`` asked for, integers [..., M].
        fraction: Share asked for in [0, 1] [..., M].

    Returns:
        Mode carried out (int8), its share (0 for LOCAL), whether the QPU refused the task, and whether the deadline
        overruled what was asked for.
    """
    executed = admitted_mode(mode, qpu_admitted)
    rejected = executed != mode
    phi = np.clip(fraction, cost.min_fraction, 1.0, dtype=np.float64)
    phi *= executed != Mode.LOCAL
    if cost.deadline == "penalty":
        return executed, phi, rejected, np.zeros(phi.shape, bool)
    kept = np.clip(phi, np.choose(executed, choices.low), np.choose(executed, choices.high))
    overruled = np.abs(kept - phi) > NOTICEABLE
    barred = ~np.choose(executed, choices.allowed)
    if barred.any():
        overruled |= barred
        for other in (*REMOTE, Mode.LOCAL):
            taken = barred & choices.allowed[other]
            executed[taken] = other
            kept[taken] = np.clip(phi[taken], choices.low[other][taken], choices.high[other][taken])
            barred &= ~taken
    return executed, kept, rejected, overruled
