"""Seconds of one core to a regret of 1 %, 0.5 % and 0.2 %: ours beside RLlib's stock path, in one run.

Run ``python -m experiments.benchmarks.time_to_quality``. The stock path has the same networks, batches and updates for
each environment step, with RLlib's own EnvRunner over the PettingZoo environment and its own episode replay. The two
take turns, so that other load on the machine meets both; the time of evaluations does not count.
"""

# ruff: noqa: E402 (the number of threads is set before numpy and torch are imported)

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import json
import logging
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import torch
import tyro

from experiments.benchmarks.learner_speed import RESULTS
from experiments.benchmarks.stock_path import as_stock
from meqc_marl.config import load_scenario
from meqc_marl.files import make_folder, replacing
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import evaluate_against_oracle

LEVELS = (0.01, 0.005, 0.002)
"""Regrets waited for."""


@dataclass(frozen=True)
class TimeToQuality:
    """Train both side by side until the better levels are reached or the time is over."""

    scenario: str = "paper"
    """Preset."""
    env_steps: int = 160_000
    """Budget that the schedules of both are made for."""
    seconds: float = 1_200.0
    """Of one core for each side, evaluations apart."""
    turn_s: float = 10.0
    """How long a side trains before it is evaluated and the other's turn comes."""
    seed: int = 0
    """Of both."""
    out: Path = RESULTS / "time_to_quality.json"
    """Where the numbers go."""


@dataclass
class Side:
    """One learner and how far it has come: (seconds of the process' own time, regret) after every turn."""

    algorithm: Any
    spent_s: float = 0.0
    curve: list[tuple[float, float]] = field(default_factory=list)

    def turn(self, seconds: float) -> None:
        """Train for a while, then evaluate."""
        started = time.process_time()
        while time.process_time() - started < seconds:
            self.algorithm.training_step()
        self.spent_s += time.process_time() - started
        self.curve.append((self.spent_s, evaluate_against_oracle(self.algorithm)["regret"]))

    def reached(self) -> dict[str, float | None]:
        """Seconds to each level, None where it was not reached."""
        return {f"{level:g}": next((at for at, regret in self.curve if regret <= level), None) for level in LEVELS}

    def finished(self, args: TimeToQuality) -> bool:
        """Whether the last level is reached or the time is over."""
        return self.spent_s >= args.seconds or self.reached()[f"{LEVELS[-1]:g}"] is not None


def main(args: TimeToQuality) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    scenario = load_scenario(args.scenario)
    ours = offloading_config(scenario, env_steps=args.env_steps, seed=args.seed)
    stock = as_stock(offloading_config(scenario, env_steps=args.env_steps, seed=args.seed, env_runner="stock"))
    sides = {"ours": Side(ours.build_algo()), "stock": Side(stock.build_algo())}
    while not all(side.finished(args) for side in sides.values()):
        for name, side in sides.items():
            if not side.finished(args):
                side.turn(args.turn_s)
                print(f"{name}: {side.spent_s:.0f} s, regret {100 * side.curve[-1][1]:.2f} %", flush=True)
    content = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "sides": {name: {"reached_s": side.reached(), "curve": side.curve} for name, side in sides.items()},
    }
    for side in sides.values():
        side.algorithm.stop()
    ray.shutdown()
    make_folder(args.out.parent)
    with replacing(args.out) as file:
        file.write(json.dumps(content, indent=1).encode())
    print("| regret | ours, s | stock path, s |\n|---|---|---|")
    for level in LEVELS:
        cells = [sides[name].reached()[f"{level:g}"] for name in sides]
        print(f"| {100 * level:g} % | " + " | ".join("not reached" if s is None else f"{s:.0f}" for s in cells) + " |")


if __name__ == "__main__":
    main(tyro.cli(TimeToQuality))
