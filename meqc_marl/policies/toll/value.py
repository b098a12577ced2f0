"""What a backlog costs in the long run, learned: the value of (W, U) by least-squares temporal difference.

With w = W / F_tot and u = U in seconds, v = c1 w + c2 u + c3 w^2 + c4 w u + c5 u^2 and a level is the discounted cost
with penalties of all devices that follows a slot that begins so. It is fitted over the slots of training traces
(:mod:`meqc_marl.lyapunov.temporal_difference`), with no coefficient below 0: a value whose slope falls invites to fill
a full queue. What the slot's tasks would cost if nothing waited, which no queue changes, is fitted along. Of several
rounds each acts by what was learned before it, some rows with less and some with more of the toll, so that queues of
all lengths are seen; the first acts without a toll, fills the queues more than any later one, and is left out of the
later fits.

The toll on a second of the server's time is the discounted slope of v at the waits of the slot, never below 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.lyapunov.temporal_difference import fit_value, quadratic
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.physics.load import Load
from meqc_marl.physics.modes import Mode
from meqc_marl.physics.places import Work, price
from meqc_marl.policies.joint.calibration import part_of
from meqc_marl.policies.joint.place_values import place_values
from meqc_marl.policies.joint.search import joint_optimum
from meqc_marl.policies.toll.schedules import MOST, Schedule, price_unit, toll_of
from meqc_marl.policies.toll.training import TRAINING_SEED, Begin, training_slots

DISCOUNT = 0.9
ROUNDS, ROWS, SLOTS = 4, 8, 400
"""Of training, the first round without a toll; traces and slots of each."""
_SEED = TRAINING_SEED + 1000
_SPREAD = 2.0
"""Rows are charged from one part in so many to so many times the toll: queues of all lengths are seen."""
_LOADS = (0.0, 0.25, 0.5)
"""Shares of the devices at the server and at the QPU at which tasks are priced to tell what they cost anyway."""


@dataclass(frozen=True)
class LearnedValue:
    """A value of the waits w and u, in units of what a price of 1 charges for a second.

    Attributes:
        coefficients: Of w, u, w^2, w u and u^2.
        discount: Of the next slot.
    """

    coefficients: tuple[float, ...]
    discount: float

    def value(self, cpu_wait_s: np.ndarray, qpu_wait_s: np.ndarray) -> np.ndarray:
        """v less its level, at waits of any shape."""
        return np.asarray(_features(np.stack([cpu_wait_s, qpu_wait_s], -1)) @ np.array(self.coefficients))

    def at(self, cpu_wait_s: np.ndarray, qpu_wait_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The discounted slopes, never below 0: a schedule of prices."""
        of_w, of_u, of_ww, of_wu, of_uu = self.coefficients
        cpu = of_w + 2.0 * of_ww * cpu_wait_s + of_wu * qpu_wait_s
        qpu = of_u + of_wu * cpu_wait_s + 2.0 * of_uu * qpu_wait_s
        return self.discount * np.clip(cpu, 0.0, MOST), self.discount * np.clip(qpu, 0.0, MOST)


_LEARNED: dict[str, LearnedValue] = {}
"""By scenario, in JSON."""


def _features(wait_s: np.ndarray) -> np.ndarray:
    return quadratic(wait_s[..., 0], wait_s[..., 1])


class _Round(NamedTuple):
    """A round of training, arrays [T, E, ...]."""

    before: np.ndarray
    """Waits before the slots [..., 2]."""
    after: np.ndarray
    cost: np.ndarray
    """Total of all devices with penalties, in units."""
    alone: np.ndarray
    """What the slot's tasks cost if nothing waits [..., K], see :func:`_alone`."""


def learn_value(
    scenario: Scenario,
    discount: float = DISCOUNT,
    rounds: int = ROUNDS,
    rows: int = ROWS,
    num_slots: int = SLOTS,
    begin: Begin | None = None,
) -> LearnedValue:
    """Learn the value on traces of its own.

    Args:
        scenario: The system.
        discount: Of the next slot.
        rounds: Each acts by what was learned before it, the first without a toll.
        rows, num_slots: Of the traces of a round.
        begin: Shows how far it is.
    """
    step = None if begin is None else begin("value", rounds * num_slots, "slots")
    schedule: LearnedValue | None = None
    data: list[_Round] = []
    for number in range(rounds):
        trace = generate_trace(scenario, range(_SEED + rows * number, _SEED + rows * (number + 1)), num_slots=num_slots)
        data = [*(data if number > 1 else []), _act(scenario, trace, schedule, step)]
        schedule = LearnedValue(tuple(fit(data, discount).tolist()), discount)
    assert schedule is not None
    return schedule


def learned_value(scenario: Scenario, begin: Begin | None = None) -> LearnedValue:
    """The value of a scenario, or of its first devices with their part of the pools; the same throughout a process."""
    key = scenario.model_dump_json()
    if key not in _LEARNED:
        part, _ = part_of(scenario)
        if scenario.resources.queued:
            _LEARNED[key] = learn_value(part, num_slots=min(SLOTS, part.horizon), begin=begin)
        else:
            _LEARNED[key] = LearnedValue((0.0,) * 5, DISCOUNT)
    return _LEARNED[key]


def _act(scenario: Scenario, trace: Trace, schedule: Schedule | None, on_slot: Callable[[], object] | None) -> _Round:
    """A round under the joint optimum with the toll of a schedule, in some rows less and in some more of it."""
    spread = np.geomspace(1.0 / _SPREAD, _SPREAD, trace.num_envs)[:, None]

    def decide(work: Work, backlog: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        toll = None if schedule is None else spread * toll_of(scenario, work, schedule)
        best = joint_optimum(scenario, work, backlog, toll=toll)
        if on_slot is not None:
            on_slot()
        return best.mode, best.fraction

    slots = list(training_slots(scenario, trace, decide))
    works = [Work.of(scenario, trace.slot(t)) for t in range(trace.num_slots)]
    unit = np.stack([price_unit(scenario, work)[:, 0] for work in works]) / scenario.lyapunov.v
    names = ("before", "after", "charged")
    before, after, charged = (np.stack([getattr(slot, name) for slot in slots]) for name in names)
    alone = np.stack([_alone(scenario, work) for work in works])
    return _Round(before, after, scenario.num_devices * charged / unit, alone)


def _alone(scenario: Scenario, work: Work) -> np.ndarray:
    """Mean objective of a slot's tasks if nothing waits: all local, and each at its best place under some loads."""
    empty, found = np.zeros(work.data_bits.shape), []
    for share in _LOADS:
        load = Load.of_counts(*[share * scenario.num_devices] * 2)
        value = place_values(scenario, price(scenario, work, load, with_choices=False), empty).value
        found.append(value.min(0).mean(-1))
    return np.stack([value[Mode.LOCAL].mean(-1), *found], -1)


def fit(data: list[_Round], discount: float) -> np.ndarray:
    """Coefficients, none below 0, of all rounds together; every row of every round has a level of its own."""
    rounds = []
    for number, part in enumerate(data):
        level = np.broadcast_to(number * part.cost.shape[1] + np.arange(part.cost.shape[1]), part.cost.shape)
        slots = (_features(part.before), _features(part.after), part.cost, level, part.alone)
        rounds.append([each.reshape(-1, *each.shape[2:]) for each in slots])
    now, then, cost, level, alone = (np.concatenate(each) for each in zip(*rounds, strict=True))
    return fit_value(now, then, cost, discount, level, alone)
