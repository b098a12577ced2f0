"""The exact minimiser of the drift-plus-penalty objective (18), and the policies that are this minimiser restricted.

With leased resources a device's cost does not depend on the others, so the problem of a slot separates per device:
LOCAL, and for each remote place a problem in one variable, the offloading fraction, on the interval that meets the
deadline. There the cost is piecewise linear (``parallel``, ``sequential``) or quadratic (``literal``), and the growth
of the queue is linear in both its forms. So the minimum is at an end, at the kink or at the stationary point.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meqc_marl.config.scenario import Cost, Lyapunov, Scenario
from meqc_marl.lyapunov import growth, objective
from meqc_marl.physics.cost import Mode, PlaceCosts
from meqc_marl.policies.base import Policy, Situation

ALL_MODES: tuple[Mode, ...] = tuple(Mode)


class OraclePolicy(Policy):
    """Minimises V C + z growth exactly in every slot.

    Args:
        scenario: Cost and Lyapunov sections are used.
        name: For reports.
        modes: Allowed modes.
        discrete: Only whole tasks.
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

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Solve the slot."""
        backlog = situation.backlog if self._with_queue else np.zeros_like(situation.backlog)
        return drift_plus_penalty(situation.places, backlog, self._cost, self._lyapunov, self._modes, self._discrete)


def drift_plus_penalty(
    places: PlaceCosts,
    backlog: np.ndarray,
    cost: Cost,
    lyapunov: Lyapunov,
    modes: Sequence[Mode] = ALL_MODES,
    discrete: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the objective (18) over the allowed actions that meet the deadline (12b).

    Where no allowed action meets it, the one with the least latency is taken.

    Args:
        places: Costs at each place, [..., M]. Whole traces [T, E, M] are welcome.
        backlog: z, broadcast against ``places``.
        cost: The cost section of the scenario.
        lyapunov: The Lyapunov section.
        modes: Allowed modes; LOCAL must be one of them. A QPU that does not admit the task is no option.
        discrete: Only whole tasks: LOCAL or a fraction of one.

    Returns:
        Mode (int8) and fraction (float64, zero for LOCAL), [..., M].
    """
    if Mode.LOCAL not in modes:
        raise ValueError("LOCAL must be among the modes: a task can always stay on its device")
    remote_modes = [mode for mode in modes if mode != Mode.LOCAL]
    local = places.latency_s[Mode.LOCAL]
    best = _Best(np.broadcast_shapes(local.shape, backlog.shape))
    best.offer(_local_value(places, backlog, lyapunov), Mode.LOCAL, 0.0, local <= places.deadline_s)
    for mode in remote_modes:
        low, high = places.feasible(cost, mode)
        allowed = (low <= high) & places.admits(mode)
        low, high = np.where(allowed, low, 1.0), np.where(allowed, high, 1.0)  # the ends of nothing may be infinite
        if discrete:
            candidates = [(np.ones_like(high), allowed & (high >= 1.0))]
        else:
            candidates = [(low, allowed), (high, allowed)]
            candidates += [
                (np.clip(inner, low, high), allowed) for inner in _inner_points(places, mode, backlog, cost, lyapunov)
            ]
        for fraction, feasible in candidates:
            value = _remote_value(places, mode, fraction, backlog, cost, lyapunov)
            best.offer(value, mode, fraction, feasible)

    hopeless = np.isinf(best.value)
    if hopeless.any():
        rest = _fastest(places.select(hopeless), cost, remote_modes, discrete)
        best.mode[hopeless], best.fraction[hopeless] = rest.mode, rest.fraction
    return best.mode, best.fraction


class _Best:
    """The best action so far, per element. Ties stay with the earlier offer, so that the answer is unique."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.value = np.full(shape, np.inf)
        self.mode = np.full(shape, Mode.LOCAL, np.int8)
        self.fraction = np.zeros(shape)

    def offer(self, value: np.ndarray, mode: Mode, fraction: np.ndarray | float, allowed: np.ndarray | bool) -> None:
        better = (value < self.value) & allowed
        np.copyto(self.value, value, where=better)
        np.copyto(self.mode, np.int8(mode), where=better)
        np.copyto(self.fraction, fraction, where=better)


def _local_value(places: PlaceCosts, backlog: np.ndarray, lyapunov: Lyapunov) -> np.ndarray:
    return objective(lyapunov, places.whole_cost(Mode.LOCAL), backlog, growth(lyapunov, np.zeros(())))


def _remote_value(
    places: PlaceCosts, mode: Mode, fraction: np.ndarray, backlog: np.ndarray, cost: Cost, lyapunov: Lyapunov
) -> np.ndarray:
    return objective(lyapunov, places.cost_of(cost.latency, mode, fraction), backlog, growth(lyapunov, fraction))


def _inner_points(
    places: PlaceCosts, mode: Mode, backlog: np.ndarray, cost: Cost, lyapunov: Lyapunov
) -> list[np.ndarray]:
    """Where the minimum can be other than at an end of the interval."""
    if cost.latency == "parallel":
        return [places.kink(mode)]
    if cost.latency == "literal" and lyapunov.sign == "corrected":  # with the printed sign the function is concave
        ack = places.weighted(places.ack_latency_s, places.ack_energy_j)
        return [_stationary(places.whole_cost(Mode.LOCAL), places.whole_cost(mode), ack - backlog / lyapunov.v)]
    return []


def _stationary(local: np.ndarray, remote: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Minimiser of (1 - phi)^2 local + phi^2 remote + phi slope, unclipped.

    A place without weight (lambda of zero on all that it costs) makes the function linear: the ends are the minimum.
    """
    curvature = local + remote
    with np.errstate(divide="ignore", invalid="ignore"):
        point = (2.0 * local - slope) / (2.0 * curvature)
    return np.asarray(np.nan_to_num(point, nan=1.0, posinf=1.0, neginf=0.0))


def _fastest(places: PlaceCosts, cost: Cost, remote_modes: Sequence[Mode], discrete: bool) -> _Best:
    """The allowed action with the least latency."""
    local = places.latency_s[Mode.LOCAL]
    best = _Best(local.shape)
    best.offer(local, Mode.LOCAL, 0.0, True)
    for mode in remote_modes:
        candidates = [np.ones_like(local)]
        if not discrete:
            # The latency is convex in the fraction: the least is at an end or at this one inner point.
            inner = places.kink(mode)
            if cost.latency == "literal":
                inner = _stationary(local, places.latency_s[mode], places.ack_latency_s)
            candidates += [np.full_like(local, cost.min_fraction), np.clip(inner, cost.min_fraction, 1.0)]
        for fraction in candidates:
            best.offer(places.latency_of(cost.latency, mode, fraction), mode, fraction, places.admits(mode))
    return best
