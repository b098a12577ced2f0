"""Learned policies beside rules where servers queue: cost with the penalty of misses, once the queues have filled.

``python -m experiments.queues.looking_ahead --learned itself=RUN mean=RUN --out FOLDER``. Means over the last three
quarters of the reference traces, whose nature is drawn with slots of a second; rules are given by name.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.files import replacing
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.policies import Policy, make_policy
from meqc_marl.policies.learned import load_policy

SEEDS = range(1000, 1006)
RULES = ("joint-oracle", "selfish", "priced-joint")
RESULT = "looking_ahead.json"


def measured(policy: Policy, scenario: Scenario, trace: Trace) -> dict[str, float]:
    """Means over the last three quarters of the slots."""
    record, begin = rollout(policy, scenario, trace), trace.num_slots // 4
    assert record.waits is not None
    missed = float(record.deadline_missed[begin:].mean())
    cost = float(record.cost[begin:].mean())
    cpu_s, qpu_s = record.waits[:-1][begin:].mean((0, 1))
    return {
        "cost": cost,
        "charged": cost + scenario.cost.miss_penalty * missed,
        "missed": 100 * missed,
        "fraction": float(record.fraction[begin:].mean()),
        "cpu_wait_s": float(cpu_s),
        "qpu_wait_s": float(qpu_s),
    }


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


def main() -> None:
    """Measure, keep the numbers, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="queued")
    parser.add_argument("--rules", nargs="*", default=RULES)
    parser.add_argument("--learned", nargs="*", default=[], metavar="NAME=RUN", help="trained policies")
    parser.add_argument("--num-slots", type=int, default=400)
    parser.add_argument("--out", type=Path, required=True, help=f"folder of {RESULT}")
    options = parser.parse_args()
    scenario = load_scenario(options.scenario)
    policies = {name: make_policy(name, scenario) for name in options.rules}
    for given in options.learned:
        name, equals, run = given.partition("=")
        if not equals:
            raise InputError(f"learned is '{given}'; it must be NAME=RUN.")
        policies[f"learned ({name})"] = load_policy(run)
    trace = generate_trace(load_scenario(scenario, ["slot_s=1"]), SEEDS, num_slots=options.num_slots)
    results: dict[str, Any] = {"num_slots": options.num_slots, "seeds": list(SEEDS), "date": time.strftime("%Y-%m-%d")}
    results["policies"] = {name: measured(policy, scenario, trace) for name, policy in policies.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    with replacing(options.out / RESULT) as file:
        file.write((json.dumps(results, indent=1) + "\n").encode())
    print(table(results))


if __name__ == "__main__":
    main()
