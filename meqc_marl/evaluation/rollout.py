"""Roll a policy over traces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.lyapunov import BACKLOG_COLUMN, VirtualQueues, scaled_backlog
from meqc_marl.policies import Policy, Situation
from meqc_marl.trace import Trace


@dataclass(frozen=True)
class Rollout:
    """What happened, slot by slot; arrays [T, E, M] unless said otherwise.

    Attributes:
        mode: Executed mode, int8.
        fraction: Executed offloading fraction.
        latency_s, energy_j, cost: Latency, energy and cost (11).
        deadline_missed: Bool, (12b) did not hold.
        deadline_feasible: Bool, some action would have met (12b).
        qpu_rejected: Bool, a QPU was asked for and did not admit the task.
        objective, reward: Drift-plus-penalty (18) and shaped reward.
        backlog: Virtual queues z [T + 1, E, M], from the empty ones before the first slot to those after the last.
    """

    mode: np.ndarray
    fraction: np.ndarray
    latency_s: np.ndarray
    energy_j: np.ndarray
    cost: np.ndarray
    deadline_missed: np.ndarray
    deadline_feasible: np.ndarray
    qpu_rejected: np.ndarray
    objective: np.ndarray
    reward: np.ndarray
    backlog: np.ndarray


_OUTCOME_FIELDS = (
    ("mode", np.int8),
    ("fraction", np.float64),
    ("latency_s", np.float64),
    ("energy_j", np.float64),
    ("cost", np.float64),
    ("deadline_missed", np.bool_),
    ("deadline_feasible", np.bool_),
    ("qpu_rejected", np.bool_),
)


def rollout(
    policy: Policy, scenario: Scenario, trace: Trace, seed: int = 0, on_slot: Callable[[], object] | None = None
) -> Rollout:
    """Let ``policy`` decide every slot of ``trace``, all rows at once, with virtual queues that start empty.

    Args:
        policy: Who decides.
        scenario: The scenario that the trace was made for.
        trace: Nature [T, E, M]; T may differ from the scenario's horizon.
        seed: Of the policy's own randomness.
        on_slot: Called after every slot, to show progress.
    """
    slots, rows, devices = trace.num_slots, trace.num_envs, trace.num_devices
    simulator = OffloadingSimulator(scenario, rows, trace)
    queues = VirtualQueues(scenario.lyapunov, scenario.cost.deadline_penalty, rows, devices)
    rng = np.random.default_rng(seed)
    record = {name: np.empty((slots, rows, devices), dtype) for name, dtype in _OUTCOME_FIELDS}
    record |= {name: np.empty((slots, rows, devices)) for name in ("objective", "reward")}
    backlog = np.zeros((slots + 1, rows, devices))

    simulator.reset()
    for slot in range(slots):
        observation = simulator.observation
        observation[..., BACKLOG_COLUMN] = scaled_backlog(scenario.lyapunov, queues.backlog)
        mode, fraction = policy.act(Situation(observation, simulator.places, queues.backlog, rng))
        outcome = simulator.step(mode, fraction)
        step = queues.advance(outcome.cost, outcome.fraction, outcome.deadline_missed)
        for name, _ in _OUTCOME_FIELDS:
            record[name][slot] = getattr(outcome, name)
        record["objective"][slot], record["reward"][slot] = step.objective, step.reward
        backlog[slot + 1] = step.backlog
        if on_slot is not None:
            on_slot()
    return Rollout(**record, backlog=backlog)
