"""The exact minimiser of what the learner is given, and the policies that are this minimiser restricted.

With leased resources a device's cost does not depend on the others, so the problem of a slot separates per device:
LOCAL, and for each remote place a problem in one variable, the offloading fraction. Between the ends of the shares that
meet the deadline the cost is piecewise linear (``parallel``, ``sequential``) or quadratic (``literal``), and the growth
of the queue is linear in both its forms. So the minimum is at an end, at the kink or at the stationary point. Where a
miss costs a penalty instead of being barred, the same holds on either side of the step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meqc_marl.config.scenario import Cost, Lyapunov, Scenario
from meqc_marl.lyapunov import growth, objective
from meqc_marl.physics.choices import Choices, carry_out
from meqc_marl.physics.cost import PlaceCosts
from meqc_marl.physics.feasible import deadline_missed
from meqc_marl.physics.modes import REMOTE, Mode
from meqc_marl.policies.base import Policy, Situation
from meqc_marl.policies.joint_oracle import JointOracle

ALL_MODES: tuple[Mode, ...] = tuple(Mode)


class OraclePolicy(Policy):
    """Minimises V C + z growth, and the penalty of misses where there is one, exactly in every slot.

    Args:
        scenario: Cost and Lyapunov sections are used.
        name: For reports.
        modes: Allowed modes.
        discrete: Only whole tasks are asked for.
        with_queue: If not, the cost alone is minimised, as if z were 0 and whatever the sign of the objective.
    """

    def __init__(
        self,
        scenario: Scenario,
        name: str = "oracle",
        modes: Sequence[Mode] = ALL_MODES,
        discrete: bool = False,
        with_queue: bool = True,
    ) -> None:
        self.name = name
        self._cost = scenario.cost
        self._lyapunov = scenario.lyapunov if with_queue else Lyapunov()
        self._modes, self._discrete, self._with_queue = tuple(modes), discrete, with_queue

    @property
    def unrestricted(self) -> bool:
        """Whether it is the exact minimiser over all actions: no policy does better in any state."""
        return set(self._modes) == set(Mode) and not self._discrete and self._with_queue

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Solve the slot."""
        backlog = situation.backlog if self._with_queue else np.zeros_like(situation.backlog)
        return drift_plus_penalty(situation.places, backlog, self._cost, self._lyapunov, self._modes, self._discrete)


def exact_oracle(scenario: Scenario) -> OraclePolicy | JointOracle:
    """The exact solver of a slot: of each device where everything is leased, of all together where they share."""
    return JointOracle(scenario, "oracle") if scenario.resources.pooled else OraclePolicy(scenario)


def drift_plus_penalty(
    places: PlaceCosts,
    backlog: np.ndarray,
    cost: Cost,
    lyapunov: Lyapunov,
    modes: Sequence[Mode] = ALL_MODES,
    discrete: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the objective (18), plus V times the penalty of a miss where misses are penalised, over what is allowed.

    With deadlines kept, what is allowed is what the environment would carry out (:mod:`meqc_marl.physics.choices`),
    also where no action meets the deadline. A device that is restricted to some modes and can meet it in none of them
    gets what the environment makes of what it asks for.

    Args:
        places: Costs at each place, [..., M]. Whole traces [T, E, M] are welcome.
        backlog: z, broadcast against ``places``.
        cost: The cost section of the scenario.
        lyapunov: The Lyapunov section.
        modes: Allowed modes; LOCAL must be one of them. A QPU that does not admit the task is no option.
        discrete: Only whole tasks are asked for: LOCAL or a fraction of one, of which the environment sends as much as
            the deadline lets go.

    Returns:
        What to ask for: mode (int8) and fraction (float64, zero for LOCAL), [..., M].
    """
    if Mode.LOCAL not in modes:
        raise ValueError("LOCAL must be among the modes: a task can always stay on its device")
    choices = places.choices_under(cost)
    problem = _Problem(places, backlog, cost, lyapunov)
    best = _Best(problem.shape)
    none = np.zeros(places.deadline_s.shape)
    best.offer(problem.value(Mode.LOCAL, none), Mode.LOCAL, none, choices.allowed[Mode.LOCAL])
    for mode in modes:
        if mode != Mode.LOCAL:
            low, high = choices.low[mode], choices.high[mode]
            candidates = [high] if discrete else [low, high, *problem.inner_points(mode, low, high)]
            for fraction in candidates:
                asked = np.ones(()) if discrete else fraction
                best.offer(problem.value(mode, fraction), mode, asked, choices.allowed[mode])
    if len(set(modes)) < len(Mode):
        _ask_where_nothing_is_allowed(problem, best, choices, modes, discrete)
    return best.mode, best.fraction


def _ask_where_nothing_is_allowed(
    problem: _Problem, best: _Best, choices: Choices, modes: Sequence[Mode], discrete: bool
) -> None:
    """Offer what a device gets that may not ask for the only mode that meets its deadline: that mode, overruled."""
    none = np.zeros(problem.places.deadline_s.shape)
    stuck = ~choices.allowed[list(modes)].any(0)
    asked = none.astype(np.int8)
    executed, share, _, _ = carry_out(problem.cost, choices, problem.places.qpu_admitted, asked, none)
    for other in REMOTE:
        here = stuck & (executed == other)
        best.offer(problem.value(other, share), Mode.LOCAL, none, here)
        for mode in [mode for mode in modes if mode != Mode.LOCAL]:
            low, high = choices.low[other], choices.high[other]
            for fraction in [high] if discrete else [low, high, *problem.inner_points(other, low, high)]:
                admitted = here & problem.places.admits(mode)
                best.offer(problem.value(other, fraction), mode, np.ones(()) if discrete else fraction, admitted)


class _Best:
    """The best action so far, per element. Ties stay with the earlier offer, so that the answer is unique."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.value = np.full(shape, np.inf)
        self.mode = np.full(shape, Mode.LOCAL, np.int8)
        self.fraction = np.zeros(shape)

    def offer(self, value: np.ndarray, mode: Mode, fraction: np.ndarray, allowed: np.ndarray) -> None:
        better = (value < self.value) & allowed
        np.copyto(self.value, value, where=better)
        np.copyto(self.mode, np.int8(mode), where=better)
        np.copyto(self.fraction, fraction, where=better)


class _Problem:
    """What is minimised in a slot, or in all slots of a trace, as a function of mode and share."""

    def __init__(self, places: PlaceCosts, backlog: np.ndarray, cost: Cost, lyapunov: Lyapunov) -> None:
        self.places, self.backlog, self.cost, self.lyapunov = places, backlog, cost, lyapunov
        self.shape = np.broadcast_shapes(places.deadline_s.shape, backlog.shape)

    def value(self, mode: Mode, fraction: np.ndarray) -> np.ndarray:
        """Objective, with the penalty of a miss."""
        places, form = self.places, self.cost.latency
        if mode == Mode.LOCAL:
            latency_s, cost = places.latency_s[mode], places.whole_cost(mode)
        else:
            latency_s = places.latency_of(form, mode, fraction)
            cost = places.weighted(latency_s, places.energy_of(form, mode, fraction))
        value = objective(self.lyapunov, cost, self.backlog, growth(self.lyapunov, fraction))
        if penalty := self.cost.miss_penalty:
            value += self.lyapunov.v * penalty * deadline_missed(latency_s, places.deadline_s)
        return value

    def inner_points(self, mode: Mode, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
        """Where the minimum over [low, high] can be other than at an end."""
        points = [np.clip(point, low, high) for point in self._unclipped(mode)]
        if self.cost.miss_penalty:
            # The two ends of the step, and the least on the side that is no miss.
            first, last = self.places.unpenalised(self.cost, mode)
            some = first <= last
            first, last = np.where(some, first, high), np.where(some, last, high)
            points += [first, last, *(np.clip(point, first, last) for point in points)]
        return points

    def _unclipped(self, mode: Mode) -> list[np.ndarray]:
        places, lyapunov = self.places, self.lyapunov
        if self.cost.latency == "parallel":
            return [places.kink(mode)]
        if self.cost.latency == "literal" and lyapunov.sign == "corrected":  # with the printed sign it is concave
            ack = places.weighted(places.once_s(mode), places.ack_energy_j)
            slope = ack - self.backlog / lyapunov.v
            return [_stationary(places.whole_cost(Mode.LOCAL), places.whole_cost(mode), slope)]
        return []


def _stationary(local: np.ndarray, remote: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Minimiser of (1 - phi)^2 local + phi^2 remote + phi slope, unclipped.

    A place without weight (lambda of zero on all that it costs) makes the function linear: the ends are the minimum.
    """
    curvature = local + remote
    with np.errstate(divide="ignore", invalid="ignore"):
        point = (2.0 * local - slope) / (2.0 * curvature)
    return np.asarray(np.nan_to_num(point, nan=1.0, posinf=1.0, neginf=0.0))
