"""Roll a policy over traces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.view import shown_to
from meqc_marl.lyapunov import BACKLOG_COLUMN, VirtualQueues, growth, reward, scaled_backlog, team_reward
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import Outcome
from meqc_marl.policies import JointOracle, OraclePolicy, Policy, Situation

ROUNDING = 1e-9
"""Relative error of the terms of a reward: regret may lie so far below zero."""


@dataclass(frozen=True)
class Rollout(Outcome):
    """What happened, slot by slot: the fields of an outcome, [T, E, M] each, and those of the virtual queues.

    Who is not there has 0 of all, but its queue stays as it is; ``present`` says who is.

    Attributes:
        objective, reward: Drift-plus-penalty (18) and shaped reward [T, E, M].
        backlog: Virtual queues z [T + 1, E, M], from the empty ones before the first slot to those after the last.
        regret: How much less reward the action brought than the reference policy's in the same state [T, E, M], where
            devices share the mean of all; None without a reference.
        waits: How long a task would wait at the server and at the QPU, in s [T + 1, E, 2], from the empty queues before
            the first slot to those after the last; zeros where nothing is queued.
    """

    objective: np.ndarray
    reward: np.ndarray
    backlog: np.ndarray
    regret: np.ndarray | None = None
    waits: np.ndarray | None = None


def rollout(
    policy: Policy,
    scenario: Scenario,
    trace: Trace,
    seed: int | np.random.Generator = 0,
    on_slot: Callable[[], object] | None = None,
    reference: Policy | None = None,
) -> Rollout:
    """Let ``policy`` decide every slot of ``trace``, all rows at once, with virtual queues that start empty.

    Args:
        policy: Who decides.
        scenario: The scenario that the trace was made for.
        trace: Nature [T, E, M]; T may differ from the scenario's horizon.
        seed: Of the policy's own randomness, or its generator.
        on_slot: Called after every slot, to show progress.
        reference: Is asked for its action in every state that ``policy`` visits; the oracle, to measure regret.

    Raises:
        RuntimeError: If an action is better than the oracle's by more than rounding: they do not minimise the same.
    """
    slots, rows, devices = trace.num_slots, trace.num_envs, trace.num_devices
    simulator = OffloadingSimulator(shown_to(policy.columns, policy.name, scenario), rows, trace)
    queues = VirtualQueues(scenario.lyapunov, scenario.cost.miss_penalty, rows, devices)
    rng = np.random.default_rng(seed)
    record: dict[str, np.ndarray] = {}
    backlog, waits = np.zeros((slots + 1, rows, devices)), np.zeros((slots + 1, rows, 2))
    shared = scenario.resources.pooled

    simulator.reset()
    for slot in range(slots):
        observation = simulator.observation
        asked = queues.shown(simulator.present)
        observation[..., BACKLOG_COLUMN] = scaled_backlog(scenario.lyapunov, asked)
        situation = Situation(observation, simulator.places, asked, simulator.work, rng)
        mode, fraction = policy.act(situation)
        best = None if reference is None else _reward_of(reference, situation, simulator)
        outcome = simulator.step(mode, fraction, policy.placed)
        step = queues.advance(outcome.cost, outcome.fraction, outcome.deadline_missed, outcome.present)
        happened = vars(outcome) | {"objective": step.objective, "reward": step.reward}
        if outcome.present is None:
            del happened["present"]
        if best is not None:
            happened["regret"] = _regret(scenario, best - step.reward, outcome.present)
            if isinstance(reference, OraclePolicy | JointOracle) and reference.unrestricted:
                terms = scenario.lyapunov.v * np.abs(outcome.cost) + situation.backlog + np.abs(best)
                _check_never_negative(happened["regret"], terms.max(-1, keepdims=True) if shared else terms)
        if slot == 0:
            record = {name: np.empty((slots, *values.shape), values.dtype) for name, values in happened.items()}
        for name, values in happened.items():
            record[name][slot] = values
        backlog[slot + 1], waits[slot + 1] = step.backlog, np.stack(simulator.waits, -1)
        if on_slot is not None:
            on_slot()
    return Rollout(**record, backlog=backlog, waits=waits)


def _regret(scenario: Scenario, excess: np.ndarray, present: np.ndarray | None) -> np.ndarray:
    """Excess over the reference [E, M]; where devices share, the mean of all: one may gain by what another loses."""
    return team_reward(excess, present) if scenario.resources.pooled else excess


def _reward_of(policy: Policy, situation: Situation, simulator: OffloadingSimulator) -> np.ndarray:
    """Reward [E, M] of what ``policy`` would do."""
    scenario = simulator.scenario
    outcome = simulator.preview(*policy.act(situation), policy.placed)
    config, backlog = scenario.lyapunov, situation.backlog
    queue_growth = growth(config, outcome.fraction)
    return reward(config, outcome.cost, backlog, queue_growth, outcome.deadline_missed, scenario.cost.miss_penalty)


def _check_never_negative(regret: np.ndarray, terms: np.ndarray) -> None:
    """Nothing is better than the exact minimiser, but for the rounding of the terms that a reward is made of."""
    below = regret < -ROUNDING * (1.0 + terms)
    if below.any():
        raise RuntimeError(
            f"an action is better than the exact oracle's by {-regret[below].min():.3g}: they do not minimise the same."
        )
