"""C_opt of devices that share, from both sides.

With pools the long-term problem does not separate per device, and its dual is not solved to the end. Two bounds stand
in for it. Below: for any prices of the constraint (10) the mean over the trace of the least joint cost less the prices
times the surplus of the fractions is no more than C_opt (weak duality); the queues of a drift-plus-penalty run tell
good prices, z / V. Above: what drift-plus-penalty costs that starts from these queues and keeps the constraint on the
trace, for which it is given a slightly larger Delta; a large V brings both together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.lyapunov import growth, next_backlog
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import settle
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import Work, price
from meqc_marl.policies.joint.search import joint_optimum
from meqc_marl.policies.joint_oracle import search_budget

LARGE_V = 3.0
"""V of the runs: B / V is then at most 0.17, a hundredth of a device's cost in the preset ``pooled``."""


_ATTEMPTS = 4
"""Passes for the bound from above, each with Delta raised by what the last one fell short."""


class JointBounds(NamedTuple):
    """Of the least mean cost of a device, penalties of misses included, arrays [E]."""

    lower: np.ndarray
    """No policy that keeps the mean fraction of every device at Delta costs less."""
    upper: np.ndarray
    """What a policy costs that keeps it up to ``shortfall``."""
    shortfall: np.ndarray
    """Largest Delta - mean fraction of a device under that policy, at least 0."""
    multiplier: np.ndarray
    """Prices of the constraint at which the lower bound was found [E, M]."""


def joint_bounds(scenario: Scenario, trace: Trace, v: float = LARGE_V) -> JointBounds:
    """Some passes over a trace: prices, the bound from below, the bound from above.

    Args:
        scenario: The system; its V and form of the queue do not count.
        trace: Nature [T, E, M].
        v: V of the drift-plus-penalty runs.
    """
    steered = load_scenario(scenario, [f"lyapunov.v={v!r}", "lyapunov.queue=neely"])
    priced = load_scenario(scenario, ["lyapunov.v=1", "lyapunov.queue=neely"])
    # Queues of a small V come near their mean soon; those of the large one begin there.
    multiplier = _run(priced, trace, np.zeros((trace.num_envs, trace.num_devices))).mean_backlog
    multiplier = _run(steered, trace, multiplier * v).mean_backlog / v
    lower = np.zeros(trace.num_envs)
    budget = search_budget(scenario)
    for t in range(trace.num_slots):
        lower += joint_optimum(priced, Work.of(scenario, trace.slot(t)), multiplier, budget).bound
    delta, asked = scenario.lyapunov.delta, scenario.lyapunov.delta
    for _ in range(_ATTEMPTS):
        run = _run(load_scenario(steered, [f"lyapunov.delta={asked!r}"]), trace, multiplier * v)
        short = np.maximum(delta - run.fraction, 0.0).max(-1)
        if asked == 1.0 or not short.any():
            break
        asked = min(1.0, asked + float(short.max()))
    return JointBounds(lower / (trace.num_slots * trace.num_devices), run.cost, short, multiplier)


class _Run(NamedTuple):
    mean_backlog: np.ndarray
    cost: np.ndarray
    fraction: np.ndarray


def _run(scenario: Scenario, trace: Trace, backlog: np.ndarray) -> _Run:
    """Drift-plus-penalty from given queues: mean queue over the second half [E, M], cost [E], mean fraction [E, M]."""
    half, budget = trace.num_slots // 2, search_budget(scenario)
    queue, cost, fraction = np.zeros_like(backlog), np.zeros(trace.num_envs), np.zeros_like(backlog)
    for t in range(trace.num_slots):
        work = Work.of(scenario, trace.slot(t))
        best = joint_optimum(scenario, work, backlog, budget)
        outcome = settle(scenario.cost, price(scenario, work, Load.seen(best.mode)), best.mode, best.fraction)
        cost += (outcome.cost + scenario.cost.miss_penalty * outcome.deadline_missed).mean(-1)
        fraction += outcome.fraction
        backlog = next_backlog(backlog, growth(scenario.lyapunov, outcome.fraction))
        if t >= half:
            queue += backlog
    return _Run(queue / (trace.num_slots - half), cost / trace.num_slots, fraction / trace.num_slots)
