"""Learned policies beside rules where servers queue: cost with the penalty of misses, once the queues have filled.

``python -m experiments.queues.looking_ahead --learned itself=RUN mean=RUN --out FOLDER``. Means over the last three
quarters of the reference traces, whose nature is drawn with slots of a second; rules are given by name.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.measured import REFERENCE_SEEDS, check_draws, check_kept, keep, learned_policies, made_on
from experiments.queues.rules import SLOTS, means, traces
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.nature.trace import Trace
from meqc_marl.policies import Policy, make_policy
from meqc_marl.policies.priced import priced_joint
from meqc_marl.policies.toll.schedules import Prices

RULES = ("selfish",)
PRICES = Prices(1.52, 1.85, 0.28, 0.31)
"""Searched for this system on other traces, by an independent implementation of the model."""
RESULT = "looking_ahead.json"


def measured(policy: Policy, scenario: Scenario, trace: Trace) -> dict[str, float]:
    """Means over the last three quarters of the slots; misses in %."""
    found = means(policy, scenario, trace)
    return found._asdict() | {"missed": 100 * found.missed}


def table(results: dict[str, Any]) -> str:
    """In Markdown; how much dearer each is than the cheapest rule and the myopic optimum."""
    found = results["policies"]
    best = min(each["charged"] for name, each in found.items() if not name.startswith("learned"))
    myopic = found["joint-oracle"]["charged"]
    heads = ["policy", "C", "C + penalty", "over the cheapest rule", "over the myopic optimum"]
    heads += ["misses", "mean phi", "wait CPU, QPU"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, each in found.items():
        over = (f"{100 * (each['charged'] / other - 1):+.1f} %" for other in (best, myopic))
        cells = (name, f"{each['cost']:.2f}", f"{each['charged']:.2f}", *over, f"{each['missed']:.1f} %")
        waits = f"{each['cpu_wait_s']:.1f} s, {each['qpu_wait_s']:.1f} s"
        lines.append("| " + " | ".join((*cells, f"{each['fraction']:.3f}", waits)) + " |")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class LookingAhead:
    """Measure, keep the numbers, print the table."""

    out: Path
    """Folder of looking_ahead.json."""
    scenario: str = "queued"
    """A preset or a YAML file."""
    rules: tuple[str, ...] = RULES
    """Names of rules beside those that every table is relative to."""
    learned: tuple[str, ...] = ()
    """Trained policies, each as NAME=RUN."""
    num_slots: int = SLOTS
    """Slots of a trace."""

    def run(self) -> None:
        """Measure."""
        check_draws(self.num_slots)
        check_kept(self.out / RESULT)
        scenario = load_scenario(self.scenario)
        policies = {name: make_policy(name, scenario) for name in dict.fromkeys(("joint-oracle", *self.rules))}
        policies["searched prices"] = priced_joint(scenario, PRICES)
        policies |= {f"learned ({name})": policy for name, policy in learned_policies(self.learned).items()}
        trace = traces(scenario, own_nature=False, slots=self.num_slots)
        results = made_on(self.num_slots, REFERENCE_SEEDS)
        results["policies"] = {name: measured(policy, scenario, trace) for name, policy in policies.items()}
        keep(results, self.out / RESULT)
        print(table(results))


if __name__ == "__main__":
    sys.exit(run_module(LookingAhead))
