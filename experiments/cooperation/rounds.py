"""What one-shot learning buys against rounds of best response: regret beside time and messages of a slot.

``python -m experiments.cooperation.rounds --learned itself=RUN mean=RUN --out FOLDER``. Every rule is judged in the
states that it visits, on the reference traces. A round asks every device once, in turn: the access point tells it how
many are at each place and what one more there costs the others, and it answers with its place. With a learned policy
the first round is its decision, all at once; after it the counts may also be announced to all at once, upon which the
one change that helps most is made.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.measured import REFERENCE_SEEDS, check_draws, check_kept, keep, learned_policies, made_on
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.env.broadcast import USE_COLUMNS
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.policies import Policy, Situation, make_policy
from meqc_marl.policies.best_response import BestResponse
from meqc_marl.policies.learned import LearnedPolicy

ROUNDS = (1, 2, 3)
RESULT = "rounds.json"


class Rule(NamedTuple):
    """Who is measured."""

    policy: Policy
    told: float = 0.0
    """Messages of a device in a slot, apart from rounds of best response."""

    def messages(self, devices: int) -> float:
        """Messages of the last slot: in every round in turn a question to each device and its answer, and where the
        devices decide for all, everybody's values after each change; in a round at once everybody's values and answer,
        and two of the access point."""
        rounds = 0.0
        if isinstance(self.policy, BestResponse) and self.policy.at_once:
            # Everybody's values, what is announced, everybody's answer, and who changes.
            rounds = float(self.policy.rounds.mean()) * (2.0 + 2.0 / devices)
        elif isinstance(self.policy, BestResponse):
            values = self.policy.changes.mean() if self.policy.name.startswith("team") else 0.0
            rounds = float(2 * self.policy.rounds.mean() + values)
        return devices * (self.told + rounds)


def rules(scenario: Scenario, learned: Mapping[str, Policy]) -> dict[str, Rule]:
    """All rules by name."""
    found = {"joint optimum": Rule(make_policy("joint-oracle", scenario), 2.0)}
    for rounds in ROUNDS:
        name = f"team best response, {rounds} round{'s' * (rounds > 1)}"
        found[name] = Rule(BestResponse(scenario, "team", team=True, most_rounds=rounds))
    found["team best response, settled"] = Rule(make_policy("team-best-response", scenario))
    found["selfish, settled"] = Rule(make_policy("selfish", scenario))
    for name, policy in learned.items():
        told = _told(policy, scenario.num_devices)
        found[f"learned ({name}), one shot"] = Rule(policy, told)
        for then, at_once in (("counts announced, one change", True), ("then one round", False)):
            second = BestResponse(scenario, "team", team=True, most_rounds=1, start=policy, at_once=at_once)
            found[f"learned ({name}), {then}"] = Rule(second, told)
    return found


def _told(policy: Policy, devices: int) -> float:
    """Messages of a device: whoever sees all is told all, and tells what to do; who sees itself tells its place.

    A broadcast is one message of a slot.
    """
    if not isinstance(policy, LearnedPolicy):
        return 1.0
    everybodys = 2.0 if policy.spec.context != "none" else 1.0
    return everybodys + (1.0 / devices if USE_COLUMNS[0] in (policy.columns or ()) else 0.0)


class _Timed(Policy):
    """A policy with a clock and a count of the messages of its slots."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.name, self.placed, self.columns = rule.policy.name, rule.policy.placed, rule.policy.columns
        self.seconds: list[float] = []
        self.sent: list[float] = []

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Decide; the time is that of a row."""
        begun = time.process_time()
        action = self._rule.policy.act(situation)
        rows, devices = situation.backlog.shape
        self.seconds.append((time.process_time() - begun) / rows)
        self.sent.append(self._rule.messages(devices))
        return action


def measured(rule: Rule, scenario: Scenario, trace: Trace, reference: Policy) -> dict[str, float]:
    """Regret and misses in per cent, time in ms and messages of a slot of one row."""
    timed = _Timed(rule)
    record = rollout(timed, scenario, trace, reference=reference)
    assert record.regret is not None
    weight = scenario.lyapunov.v * record.cost.mean()
    return {
        "regret": 100 * float(record.regret.mean() / weight),
        "missed": 100 * float(record.deadline_missed.mean()),
        "charged": float((record.cost + scenario.cost.miss_penalty * record.deadline_missed).mean()),
        "fraction": float(record.fraction.mean()),
        "ms": 1e3 * float(np.median(timed.seconds)),
        "messages": float(np.mean(timed.sent)),
    }


def table(results: dict[str, Any]) -> str:
    """In Markdown."""
    heads = ("rule", "regret", "misses", "C + penalty", "mean phi", "ms a slot", "messages a slot")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, found in results["rules"].items():
        lines.append(
            f"| {name} | {found['regret']:.2f} % | {found['missed']:.1f} % | {found['charged']:.2f} | "
            f"{found['fraction']:.3f} | {found['ms']:.2f} | {found['messages']:.0f} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Measure every rule, keep the numbers, print the table."""

    out: Path
    """Folder of rounds.json."""
    learned: tuple[str, ...] = ()
    """Trained policies, each as NAME=RUN."""
    num_slots: int = 500
    """Slots of a trace."""

    def run(self) -> None:
        """Measure."""
        check_draws(self.num_slots)
        check_kept(self.out / RESULT)
        scenario = load_scenario("pooled")
        learned = learned_policies(self.learned)
        trace = generate_trace(scenario, REFERENCE_SEEDS, num_slots=self.num_slots)
        reference = make_policy("joint-oracle", scenario)
        results = made_on(self.num_slots, REFERENCE_SEEDS)
        results["rules"] = {
            name: measured(rule, scenario, trace, reference) for name, rule in rules(scenario, learned).items()
        }
        keep(results, self.out / RESULT)
        print(table(results))


if __name__ == "__main__":
    sys.exit(run_module(Rounds))
