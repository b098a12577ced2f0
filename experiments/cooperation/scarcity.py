"""Prices of anarchy and ignorance by number of devices and by how scarce the pools are.

``python -m experiments.cooperation.scarcity --devices 5 15 --pools 0.5 1 2``
"""

from __future__ import annotations

import argparse

import numpy as np

from experiments.measured import first_seeds
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.evaluation.rollout import Rollout, rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.load import Pools
from meqc_marl.policies import make_policy

RULES = ("joint-oracle", "team-best-response", "selfish", "oblivious")


def scaled(devices: int, pools: float) -> Scenario:
    """The preset with so many devices, and pools so many times as large as its own."""
    scenario = load_scenario("pooled", [f"num_devices={devices}"])
    own = Pools.of(scenario)
    return load_scenario(
        scenario,
        [
            f"resources.band_hz={own.band_hz * pools!r}",
            f"resources.server_hz={own.server_hz * pools!r}",
            f"resources.qpu_tiles={max(1, round(own.tiles * pools))}",
        ],
    )


def charged(scenario: Scenario, record: Rollout) -> float:
    """Mean cost with the penalty of misses."""
    return float((record.cost + scenario.cost.miss_penalty * record.deadline_missed).mean())


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, nargs="+", default=[5, 15, 50])
    parser.add_argument("--pools", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--num-traces", type=int, default=2)
    parser.add_argument("--num-slots", type=int, default=60)
    options = parser.parse_args()
    print("| devices | pools | C + penalty, joint optimum | team best response | anarchy | ignorance | misses, joint |")
    print("|---|---|---|---|---|---|---|")
    for devices in options.devices:
        for pools in options.pools:
            scenario = scaled(devices, pools)
            trace = generate_trace(scenario, first_seeds(options.num_traces), num_slots=options.num_slots)
            records = {name: rollout(make_policy(name, scenario), scenario, trace) for name in RULES}
            cost = {name: charged(scenario, record) for name, record in records.items()}
            best = cost["joint-oracle"]
            times = " | ".join(f"{cost[name] / best:.3f}" for name in RULES[1:])
            missed = 100 * float(np.mean(records["joint-oracle"].deadline_missed))
            print(f"| {devices} | {pools:g} | {best:.2f} | {times} | {missed:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
