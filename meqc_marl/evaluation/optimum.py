"""C_opt(Delta): the least time-average cost of any policy under the long-term constraint (10).

Over a given trace the problem separates per device: minimise the mean cost over the slots, subject to a mean fraction
of at least Delta. Its Lagrangian dual is solved by bisection over one multiplier per device; for a given multiplier the
slots separate too, and the oracle solves them with the multiplier in the place of the backlog, at V = 1. At the
critical multiplier the mean fraction may jump past Delta; sharing time between the solutions on its two sides closes
the gap, so the value is exact for policies that may randomise, and no policy at all does better: with deadlines kept
the environment carries out nothing else, and where no action meets a deadline it carries out the fastest, whoever
decides. Where a miss costs a penalty, the penalty is part of the cost that is minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from meqc_marl.config.scenario import Lyapunov, Scenario
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import Mode, PlaceCosts, settle
from meqc_marl.physics.modes import REMOTE
from meqc_marl.physics.places import price
from meqc_marl.policies.oracle import ALL_MODES, drift_plus_penalty

_UNBOUNDED = 1e9
"""Times the most that a slot may cost: a multiplier at which the fraction outweighs it and is as large as it can be."""
_BLOCK_ELEMENTS = 16_384
"""Device-slots solved at once: few enough to stay in the cache."""
_MAX_ELEMENTS = 2_000_000
"""Device-slots kept in memory at once, about 100 bytes each."""
_TYPICAL_PASSES = 26
"""Over a group of rows, until the multipliers are found; the presets take 24 to 27."""


@dataclass(frozen=True)
class Optimum:
    """The constrained optimum of each device of each row, arrays [E, M].

    Attributes:
        cost: Least mean cost, the penalty of misses included where there is one; for an infeasible device, the least
            cost at its largest reachable fraction.
        fraction: Mean fraction there.
        multiplier: Price of the constraint, in cost per unit of mean fraction; infinite for an infeasible device.
        feasible: Bool, Delta can be reached.
        reachable: Largest mean fraction that the device can reach.
        delta: The constraint.
        slots: In how many each device is there; None if all are in all. Means of a device are over these, and whoever
            is never there costs 0 and is feasible.
    """

    cost: np.ndarray
    fraction: np.ndarray
    multiplier: np.ndarray
    feasible: np.ndarray
    reachable: np.ndarray
    delta: float
    slots: np.ndarray | None = None

    @property
    def mean_cost(self) -> np.ndarray:
        """Of a device in a slot in which it is there [E]."""
        if self.slots is None:
            return np.asarray(self.cost.mean(-1))
        return np.asarray((self.cost * self.slots).sum(-1) / self.slots.sum(-1))

    @property
    def overall_cost(self) -> float:
        """The mean of all rows."""
        return float(self.cost.mean() if self.slots is None else self.mean_cost.mean())


def constrained_optimum(
    scenario: Scenario,
    trace: Trace,
    delta: float | None = None,
    modes: Sequence[Mode] = ALL_MODES,
    discrete: bool = False,
    tolerance: float = 1e-6,
    on_step: Callable[[], object] | None = None,
) -> Optimum:
    """Compute C_opt over a trace, for all devices and rows at once.

    Args:
        scenario: The scenario of the trace.
        trace: Nature [T, E, M].
        delta: The constraint; the scenario's by default.
        modes: Allowed modes.
        discrete: Only whole tasks.
        tolerance: Relative width of the bracket of the multiplier; the value's error is of the same order.
        on_step: Called after every pass over the trace, to show progress.
    """
    delta = scenario.lyapunov.delta if delta is None else delta
    rows = _rows_at_once(trace)
    groups = [
        Trace.stack([trace.row(row) for row in range(start, min(start + rows, trace.num_envs))])
        for start in range(0, trace.num_envs, rows)
    ]
    parts = [_bisect(_Relaxed(scenario, group, modes, discrete, on_step), delta, tolerance) for group in groups]
    names = ("cost", "fraction", "multiplier", "feasible", "reachable")
    slots = None if trace.present is None else trace.present.sum(0)
    found = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Optimum(**found, delta=delta, slots=slots)


def expected_passes(trace: Trace) -> int:
    """How often ``constrained_optimum`` is likely to call ``on_step``; to show progress."""
    return _TYPICAL_PASSES * -(-trace.num_envs // _rows_at_once(trace))


def _rows_at_once(trace: Trace) -> int:
    return max(1, _MAX_ELEMENTS // (trace.num_slots * trace.num_devices))


def _bisect(problem: _Relaxed, delta: float, tolerance: float) -> Optimum:
    """Close in on the multiplier of every device from both sides."""
    low = np.zeros(problem.shape)
    cost_low, fraction_low = problem.solve(low)
    enough_for_any, cost_top, reachable = problem.solve_for_the_fraction()
    feasible = (reachable >= delta) | problem.never
    searching = (fraction_low < delta) & feasible & ~problem.never

    high = np.where(searching, 8.0, 0.0)
    cost_high, fraction_high = problem.solve(high)
    while (short := searching & (fraction_high < delta) & (high < enough_for_any)).any():
        low, cost_low, fraction_low = _where(short, (high, cost_high, fraction_high), (low, cost_low, fraction_low))
        high = np.where(short, 4.0 * high, high)
        cost_high, fraction_high = problem.solve(high)
    at_the_top = (enough_for_any, cost_top, reachable)
    high, cost_high, fraction_high = _where(
        searching & (fraction_high < delta), at_the_top, (high, cost_high, fraction_high)
    )
    # The floor ends the search where the fraction jumps at a multiplier of zero, as where nothing costs anything.
    floor = tolerance * cost_low + 1e-12
    while (searching & (high - low > tolerance * high + floor)).any():
        middle = (low + high) / 2.0
        solution = (middle, *problem.solve(middle))
        enough = solution[2] >= delta
        high, cost_high, fraction_high = _where(searching & enough, solution, (high, cost_high, fraction_high))
        low, cost_low, fraction_low = _where(searching & ~enough, solution, (low, cost_low, fraction_low))

    jump = np.where(searching, fraction_high - fraction_low, 1.0)
    share = np.where(searching, (delta - fraction_low) / jump, 0.0)
    cost = cost_low + share * (cost_high - cost_low)
    fraction = fraction_low + share * (fraction_high - fraction_low)
    return Optimum(
        cost=np.where(feasible, cost, cost_top),
        fraction=np.where(feasible, fraction, reachable),
        multiplier=np.where(feasible, high, np.inf),
        feasible=feasible,
        reachable=reachable,
        delta=delta,
    )


class _Relaxed:
    """The problem with the constraint priced: mean cost and mean fraction of each device for given multipliers."""

    def __init__(
        self,
        scenario: Scenario,
        trace: Trace,
        modes: Sequence[Mode],
        discrete: bool,
        on_step: Callable[[], object] | None,
    ) -> None:
        self.shape = (trace.num_envs, trace.num_devices)
        self._cost, self._modes, self._discrete, self._on_step = scenario.cost, modes, discrete, on_step
        # V = 1 and the corrected forms, whatever the scenario asks: the problem is to minimise cost under (10).
        self._lyapunov = Lyapunov(v=1.0, delta=0.0)
        self._num_slots: int | np.ndarray = trace.num_slots
        self.never: np.ndarray = np.zeros(self.shape, bool)
        if trace.present is not None:
            self._num_slots, self.never = np.maximum(trace.present.sum(0), 1), np.asarray(~trace.present.any(0))
        length = max(1, _BLOCK_ELEMENTS // (trace.num_envs * trace.num_devices))
        blocks = (trace.slots(start, start + length) for start in range(0, trace.num_slots, length))
        self._places = [price(scenario, block) for block in blocks]

    def solve(self, multiplier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean cost and mean fraction [E, M] of the policy that minimises C - multiplier phi in every slot."""
        return self._solve(multiplier for _ in self._places)

    def solve_for_the_fraction(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same for the largest fraction, at the least cost, and before them a multiplier [E, M] that is enough."""
        most = [_UNBOUNDED * (1.0 + self._dearest(places)) for places in self._places]
        return np.max([each.max(0) for each in most], axis=0), *self._solve(most)

    def _dearest(self, places: PlaceCosts) -> np.ndarray:
        """At least what any action costs [T, E, M]: what is sent costs less than all of it at either place."""
        parts = sum(places.whole_cost(mode) for mode in Mode)
        once = sum(places.weighted(places.once_s(mode), places.ack_energy_j) for mode in REMOTE)
        return np.asarray(parts + once + self._cost.miss_penalty)

    def _solve(self, multipliers: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        cost, fraction = np.zeros(self.shape), np.zeros(self.shape)
        for places, multiplier in zip(self._places, multipliers, strict=True):
            action = drift_plus_penalty(places, multiplier, self._cost, self._lyapunov, self._modes, self._discrete)
            outcome = settle(self._cost, places, *action)
            cost += (outcome.cost + self._cost.miss_penalty * outcome.deadline_missed).sum(0)
            fraction += outcome.fraction.sum(0)
        if self._on_step is not None:
            self._on_step()
        return cost / self._num_slots, fraction / self._num_slots


def _where(
    condition: np.ndarray, new: tuple[np.ndarray, ...], old: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second, third = (np.where(condition, a, b) for a, b in zip(new, old, strict=True))
    return first, second, third
