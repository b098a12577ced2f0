"""Slots of training traces under a rule, for what is searched or learned before a policy decides anything.

The traces have seeds of their own, apart from those of held-out traces and of whoever is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.lyapunov import growth, next_backlog, objective
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import settle
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import Work, price
from meqc_marl.physics.queueing import Backlogs, behind, next_backlogs, waits

TRAINING_SEED = 2_000_000
"""First seed of the traces on which prices are searched and values learned."""

Decide = Callable[[Work, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Modes and shares [E, M] of the slot's tasks behind the queues, given the virtual queues z [E, M]."""

Begin = Callable[[str, int, str], Callable[[], object] | None]
"""Called with what is found, and number and unit of the steps, when the work begins; returns what to call at each."""


class TrainingSlot(NamedTuple):
    """What one slot came to."""

    before: np.ndarray
    """Waits at the server and at the QPU before it, in s [E, 2]."""
    after: np.ndarray
    """And after it."""
    charged: np.ndarray
    """Cost with the penalty of misses, mean of the devices [E]."""
    objective: np.ndarray
    """Drift-plus-penalty with V times that penalty, total of the devices [E]."""
    fraction: np.ndarray
    """Mean share sent [E]."""


def training_slots(scenario: Scenario, trace: Trace, decide: Decide) -> Iterator[TrainingSlot]:
    """The slots of a trace under a rule, with all queues empty at the start."""
    config, penalty = scenario.lyapunov, scenario.cost.miss_penalty
    backlog, left = np.zeros((trace.num_envs, trace.num_devices)), Backlogs.empty(trace.num_envs)
    for t in range(trace.num_slots):
        work, before = behind(scenario, Work.of(scenario, trace.slot(t)), left), np.stack(waits(scenario, left), -1)
        mode, share = decide(work, backlog)
        outcome = settle(scenario.cost, price(scenario, work, Load.seen(mode)), mode, share)
        left = next_backlogs(scenario, work, left, outcome.mode, outcome.fraction)
        added = growth(config, outcome.fraction)
        charged = outcome.cost + penalty * outcome.deadline_missed
        yield TrainingSlot(
            before,
            np.stack(waits(scenario, left), -1),
            charged.mean(-1),
            objective(config, charged, backlog, added).sum(-1),
            outcome.fraction.mean(-1),
        )
        backlog = next_backlog(backlog, added)
