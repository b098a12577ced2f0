"""C_opt of devices that share, from both sides.

With pools the long-term problem does not separate per device, and its dual is not solved to the end. Two bounds stand
in for it. Below: for any prices of the constraint (10) the mean over the trace of the least joint cost less the prices
times the surplus of the fractions is no more than C_opt (weak duality); the queues of a drift-plus-penalty run tell
good prices, z / V. Above: what drift-plus-penalty costs that starts from these queues and keeps the constraint on the
trace. Queues alone keep it in the long run only. So a device that would otherwise no longer reach Delta by the end
sends whole tasks from then on, which any device can where a miss costs a penalty; and since that is dear, the run is
repeated at a small V, with a Delta raised for the devices concerned, and the cheapest run counts. So the bounds never
cross.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.lyapunov import growth, next_backlog
from meqc_marl.nature.presence import of_present
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import Mode, settle
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import Work, price
from meqc_marl.policies.joint.search import joint_optimum
from meqc_marl.policies.joint_oracle import search_budget

LARGE_V = 3.0
"""V of the runs: B / V is then at most 0.17, a hundredth of a device's cost in the preset ``pooled``."""
_ATTEMPTS = 4
"""Passes for the bound from above, each with Delta raised for the devices that had to catch up in the last one."""
_URGENT = 1e5
"""A backlog that outweighs costs: who sends the whole task is given the place where that costs least."""
_ROUNDING = 1e-9
"""Relative, of the sums of both bounds."""


class JointBounds(NamedTuple):
    """Of the least mean cost of a device that is there, penalties of misses included, arrays [E]."""

    lower: np.ndarray
    """No policy that keeps the mean fraction of every device at Delta costs less."""
    upper: np.ndarray
    """What a policy costs that keeps it."""
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
    empty = np.zeros((trace.num_envs, trace.num_devices))
    multiplier = _run(priced, trace, empty).mean_backlog
    multiplier = _run(steered, trace, multiplier * v).mean_backlog / v
    total = np.zeros(trace.num_envs)
    budget = search_budget(scenario)
    for t in range(trace.num_slots):
        work = Work.of(scenario, trace.slot(t))
        total += joint_optimum(priced, work, of_present(multiplier, work.present), budget).bound
    everybody = trace.num_slots * trace.num_devices
    lower = total / (everybody if trace.present is None else trace.present.sum((0, 2)))
    upper, more = np.full(trace.num_envs, np.inf), empty
    for attempt in range(_ATTEMPTS):
        used, begin = (priced, multiplier) if attempt else (steered, multiplier * v)
        run = _run(used, trace, begin, more, keep=True)
        upper = np.minimum(upper, run.cost)
        if not run.caught_up.any():
            break
        more = more + run.caught_up
    assert (lower <= upper + _ROUNDING * (np.abs(upper) + 1.0)).all(), "weak duality"
    return JointBounds(lower, upper, multiplier)


class _Run(NamedTuple):
    mean_backlog: np.ndarray
    cost: np.ndarray
    caught_up: np.ndarray


def _run(
    scenario: Scenario, trace: Trace, backlog: np.ndarray, more: np.ndarray | float = 0.0, keep: bool = False
) -> _Run:
    """Drift-plus-penalty from given queues.

    Args:
        scenario: With V, Delta and the corrected queue.
        trace: Nature [T, E, M].
        backlog: Queues before the first slot [E, M].
        more: Added to Delta in the queues [E, M].
        keep: Send whole tasks of a device as soon as it would otherwise not reach Delta on the trace.

    Returns:
        Mean queue over the second half [E, M], mean cost with penalties of misses [E], share of slots in which a device
        had to send a whole task [E, M].
    """
    slots, budget, delta = trace.num_slots, search_budget(scenario), scenario.lyapunov.delta
    # Slots in which each device is there: in all, and from now on.
    there: int | np.ndarray = slots if trace.present is None else np.maximum(trace.present.sum(0), 1)
    left: int | np.ndarray = slots if trace.present is None else trace.present.sum(0)
    queue, cost, sent, caught_up = np.zeros_like(backlog), np.zeros(trace.num_envs), *np.zeros((2, *backlog.shape))
    for t in range(slots):
        work = Work.of(scenario, trace.slot(t))
        left = left - of_present(1, work.present)
        late = np.full(backlog.shape, keep) & (delta * there - sent > left)
        asked = of_present(np.where(late, np.maximum(backlog, _URGENT), backlog), work.present)
        late = late if work.present is None else late & work.present
        best = joint_optimum(scenario, work, asked, budget)
        mode = np.where(late & (best.mode == Mode.LOCAL), Mode.CPU, best.mode)
        share = np.where(late, 1.0, best.fraction)
        outcome = settle(scenario.cost, price(scenario, work, Load.seen(mode)), mode, share)
        charged = outcome.cost + scenario.cost.miss_penalty * outcome.deadline_missed
        cost += charged.mean(-1) if work.present is None else charged.sum(-1)
        sent += outcome.fraction
        caught_up += late
        backlog = next_backlog(backlog, of_present(growth(scenario.lyapunov, outcome.fraction) + more, work.present))
        if t >= slots // 2:
            queue += backlog
    mean_cost = cost / (slots if trace.present is None else trace.present.sum((0, 2)))
    return _Run(queue / (slots - slots // 2), mean_cost, caught_up / there)
