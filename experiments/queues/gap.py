"""Where a learned policy's distance from the best lies: in the toll, in the modes or in the shares.

``python -m experiments.queues.gap --learned NAME=RUN --out FOLDER``. A value of the waits is learned from what the
policy does on traces of its own, as in training. The exact optimum of every slot with that toll, on the reference
traces, says what the toll is worth. In the states that the policy itself visits, its objective with the toll is
compared with that optimum, and with its own modes and the best shares.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.measured import REFERENCE_SEEDS, check_draws, check_kept, keep, learned_policies, made_on
from experiments.queues.rules import SLOTS, means, traces
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.evaluation.rollout import Rollout, rollout
from meqc_marl.lyapunov import BacklogValue, beyond_local, discount_of, growth, objective
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import settle
from meqc_marl.physics.load import Load
from meqc_marl.physics.modes import Mode
from meqc_marl.physics.places import Work, price
from meqc_marl.policies import Policy, Situation
from meqc_marl.policies.joint.place_values import place_values
from meqc_marl.policies.joint.search import joint_optimum
from meqc_marl.policies.toll.schedules import toll_of_seconds
from meqc_marl.policies.toll.training import TRAINING_SEED

ROWS, EPISODES, EPISODE = 16, 8, 200
"""Of the traces that the value is learned from: 25,600 slots."""
RESULT = "gap.json"
_FIRST_SEED = TRAINING_SEED + 5000


class _Watched(Policy):
    """A policy whose situations are kept."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.name, self.placed, self.columns = policy, policy.name, policy.placed, policy.columns
        self.seen: list[tuple[Work, np.ndarray]] = []

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append((situation.work, situation.backlog.copy()))
        return self.policy.act(situation)


class Tolled(Policy):
    """The exact optimum of every slot with the toll of a value."""

    def __init__(self, scenario: Scenario, value: BacklogValue) -> None:
        self.name, self._scenario, self._value = "tolled", scenario, value

    def toll(self, work: Work) -> np.ndarray:
        """By ``Mode`` [3, E, M]: what a second of work costs all devices later."""
        assert work.cpu_wait_s is not None
        assert work.qpu_wait_s is not None
        for_all = self._scenario.lyapunov.v * self._scenario.num_devices
        slopes = self._value.tolls(work.cpu_wait_s, work.qpu_wait_s)
        cpu, qpu = (for_all * np.maximum(each, 0.0) for each in slopes)
        return toll_of_seconds(self._scenario, work, cpu, qpu)

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Solve the slot."""
        best = joint_optimum(self._scenario, situation.work, situation.backlog, toll=self.toll(situation.work))
        return best.mode, best.fraction


def value_under(policy: Policy, scenario: Scenario, episodes: int = EPISODES, slots: int = EPISODE) -> BacklogValue:
    """Learned from what a policy does, as in training."""
    value = BacklogValue(discount_of(scenario))
    for episode in range(episodes):
        seeds = range(_FIRST_SEED + ROWS * episode, _FIRST_SEED + ROWS * (episode + 1))
        record = rollout(policy, scenario, generate_trace(scenario, seeds, num_slots=slots))
        assert record.waits is not None
        gain = beyond_local(scenario.lyapunov, record.backlog[:-1], record.local_cost, record.reward).mean(-1)
        value.begin()
        for slot in range(slots):
            cpu_s, qpu_s = record.waits[slot + 1].T
            value.observe(gain[slot], record.backlog[slot + 1].mean(-1) / scenario.lyapunov.v, (cpu_s, qpu_s))
    return value


def regret(
    record: Rollout, seen: list[tuple[Work, np.ndarray]], tolled: Tolled, scenario: Scenario
) -> dict[str, float]:
    """Means of the last three quarters of the slots, by device, in units of the objective."""
    config, penalty, found = scenario.lyapunov, scenario.cost.miss_penalty, []
    for slot in range(len(seen) // 4, len(seen)):
        (work, z), mode = seen[slot], record.mode[slot]
        toll = tolled.toll(work)

        def charged(mode: np.ndarray, share: np.ndarray, cost: np.ndarray, missed: np.ndarray) -> np.ndarray:
            own = objective(config, cost + penalty * missed, z, growth(config, share))  # noqa: B023
            return np.asarray(own + np.take_along_axis(toll, mode[None].astype(np.intp), 0)[0] * share)  # noqa: B023

        own = charged(mode, record.fraction[slot], record.cost[slot], record.deadline_missed[slot])
        places = price(scenario, work, Load.seen(mode))
        with_best_shares = np.take_along_axis(place_values(scenario, places, z, toll).value, mode[None], 0)[0]
        best = joint_optimum(scenario, work, z, toll=toll)
        there = settle(scenario.cost, price(scenario, work, Load.seen(best.mode)), best.mode, best.fraction)
        optimum = charged(there.mode, there.fraction, there.cost, there.deadline_missed)
        counts = [abs((mode == at).sum(-1) - (there.mode == at).sum(-1)) for at in (Mode.CPU, Mode.QPU)]
        found.append(
            {
                "optimum": optimum.mean(),
                "modes": (with_best_shares - optimum).mean(),
                "shares": (own - with_best_shares).mean(),
                "same_mode": (mode == there.mode).mean(),
                "cpu_count_off": counts[0].mean(),
                "qpu_count_off": counts[1].mean(),
            }
        )
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def table(results: dict[str, Any]) -> str:
    """In Markdown."""
    heads = ["policy", "C + penalty", "optimum of every slot with its toll", "regret by modes", "by shares"]
    heads += ["same mode", "counts off, CPU, QPU"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, found in results["policies"].items():
        own = found["regret"]
        parts = [f"{100 * own[part] / own['optimum']:.1f} %" for part in ("modes", "shares")]
        counts = f"{own['cpu_count_off']:.2f}, {own['qpu_count_off']:.2f}"
        cells = [name, f"{found['policy']['charged']:.2f}", f"{found['tolled']['charged']:.2f}", *parts]
        lines.append("| " + " | ".join([*cells, f"{100 * own['same_mode']:.0f} %", counts]) + " |")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Measure, keep the numbers, print the table."""

    out: Path
    """Folder of gap.json."""
    learned: tuple[str, ...]
    """Trained policies, each as NAME=RUN."""
    num_slots: int = SLOTS
    """Slots of a trace."""

    def run(self) -> None:
        """Measure."""
        check_draws(self.num_slots)
        check_kept(self.out / RESULT)
        scenario = load_scenario("queued")
        trace = traces(scenario, own_nature=False, slots=self.num_slots)
        results = made_on(self.num_slots, REFERENCE_SEEDS) | {"policies": {}}
        for name, policy in learned_policies(self.learned).items():
            tolled, watched = Tolled(scenario, value_under(policy, scenario)), _Watched(policy)
            record = rollout(watched, scenario, trace)
            found = {"policy": means(policy, scenario, trace), "tolled": means(tolled, scenario, trace)}
            results["policies"][name] = {each: at._asdict() for each, at in found.items()}
            results["policies"][name]["regret"] = regret(record, watched.seen, tolled, scenario)
            keep(results, self.out / RESULT)
        print(table(results))


if __name__ == "__main__":
    sys.exit(run_module(Gap))
