"""Shares placed within what the access point granted: first the modes, then how much to send.

Once all modes are known, band, server and tiles are granted, and with them the least and the largest share that meet
a task's deadline. An action's fraction x in [0, 1] is then a place between these two, with one half at the share at
which both parts of a parallel task end together: there the cost has its kink, so a device need not know what it is
granted to hit the best of the three. Where no share meets the deadline, the fastest one is taken. So no deadline is
missed that the granted modes allow to meet.
"""

from __future__ import annotations

import numpy as np

from meqc_marl.config.scenario import Cost, Scenario
from meqc_marl.physics.cost import Mode, PlaceCosts, middle_share
from meqc_marl.physics.feasible import feasible_fraction


def placed_fractions(scenario: Scenario) -> bool:
    """Whether an action's fraction is a place within what is granted, rather than the share itself."""
    return scenario.resources.pooled and scenario.resources.fraction == "granted"


def granted_share(cost: Cost, places: PlaceCosts, executed: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """The shares that placed fractions stand for.

    Args:
        cost: Form of the latency and least share.
        places: What each place costs with what was granted [..., M].
        executed: Executed modes [..., M].
        fraction: x in [0, 1] [..., M].

    Returns:
        Share phi float64 [..., M] for remote modes: lo, the middle and hi at x = 0, 1/2 and 1 and in a line between
        them, or the fastest share; 0 for LOCAL. The middle is the kink, within [lo, hi], of parallel tasks, and halfway
        of others.
    """
    local = places.latency_s[Mode.LOCAL]
    remote = np.where(executed == Mode.QPU, places.latency_s[Mode.QPU], places.latency_s[Mode.CPU])
    ack = places.once_at(executed)
    low, high = feasible_fraction(cost.latency, cost.min_fraction, local, remote, ack, places.deadline_s)
    hopeless = low > high
    with np.errstate(invalid="ignore"):  # the ends of nothing may be infinite
        middle = middle_share(cost.latency, low, high, local, remote, ack)
        upper = 2.0 * np.asarray(fraction, np.float64) - 1.0
        share = np.where(upper < 0.0, middle + upper * (middle - low), middle + upper * (high - middle))
    if hopeless.any():
        share[hopeless] = fastest_share(cost, local[hopeless], remote[hopeless], ack[hopeless])
    share *= executed != Mode.LOCAL
    return share


def fastest_share(cost: Cost, local: np.ndarray, remote: np.ndarray, ack: np.ndarray) -> np.ndarray:
    """The share in [min_fraction, 1] of least latency, from T_L, T_X, and t_a with any wait; it is convex in it."""
    if cost.latency == "sequential":
        return np.where(remote < local, 1.0, cost.min_fraction)
    if cost.latency == "parallel":
        inner = (local - ack) / (local + remote)
    else:
        inner = (2.0 * local - ack) / (2.0 * (local + remote))
    return np.clip(inner, cost.min_fraction, 1.0)
