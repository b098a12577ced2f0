"""Seconds of one core to a regret of 1 %, 0.5 % and 0.2 %: ours beside RLlib's stock path, in one run.

Run ``python -m experiments.benchmarks.time_to_quality``. The stock path has the same networks, batches and updates for
each environment step, with RLlib's own EnvRunner over the PettingZoo environment and its own episode replay; once as
it is, and once with a critic that has to learn the queue's part of the reward, too. All take turns, so that other load
on the machine meets all; the time of evaluations does not count.
"""

# ruff: noqa: E402 (the number of threads is set before numpy and torch are imported)

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import logging
import platform
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ray
import torch

from experiments.benchmarks.learner_speed import RESULTS
from experiments.benchmarks.stock_path import as_stock
from experiments.measured import check_kept, keep
from meqc_marl.config import load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.errors import within
from meqc_marl.jobs.session import start_ray
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import evaluate_against_oracle

LEVELS = (0.01, 0.005, 0.002)
"""Regrets waited for."""
GROWTH = 0.1
"""A turn is this share of what a side has spent, so that every level is met as sharply by the quick as by the slow."""
OURS = "ours"
STOCK: dict[str, dict[str, Any]] = {
    "stock path": {},
    "stock path, all learned": {"price_columns": (), "unit_columns": ()},
}
"""Names of the others, and what their learners are told otherwise."""


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

    def finished(self, seconds: float) -> bool:
        """Whether the last level is reached or the time is over."""
        return self.spent_s >= seconds or self.reached()[f"{LEVELS[-1]:g}"] is not None


def table(sides: dict[str, dict[str, Any]]) -> str:
    """In Markdown; a ratio where ours has reached a level."""
    others = [name for name in sides if name != OURS]
    heads = ["regret", "ours, s", *(head for name in others for head in (f"{name}, s", "ratio"))]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for level in LEVELS:
        ours, *theirs = (sides[name]["reached_s"][f"{level:g}"] for name in (OURS, *others))
        cells = [_seconds(ours)]
        for name, seconds in zip(others, theirs, strict=True):
            spent = sides[name]["curve"][-1][0]
            least = "above " if seconds is None else ""
            cells += [_seconds(seconds), "" if ours is None else f"{least}{(seconds or spent) / ours:.0f}"]
        lines.append(f"| {100 * level:g} % | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seconds(reached: float | None) -> str:
    return "not reached" if reached is None else f"{reached:.1f}"


@dataclass(frozen=True)
class TimeToQuality:
    """Train all side by side until the best level is reached or the time is over."""

    scenario: str = "paper"
    """Preset."""
    env_steps: int = 40_000
    """Budget that all schedules are made for."""
    seconds: float = 1_200.0
    """Of one core for each side, evaluations apart."""
    turn_s: float = 0.25
    """How long a side trains at least before it is evaluated and the next has its turn; later a tenth of what it has
    spent."""
    seed: int = 0
    """Of all."""
    out: Path = RESULTS / "time_to_quality.json"
    """Where the numbers go."""

    def run(self) -> None:
        """Train, print and store."""
        within("env-steps", self.env_steps, 1, 10**12)
        within("seed", self.seed, 0, 2**32 - 1)
        for option, seconds in (("seconds", self.seconds), ("turn-s", self.turn_s)):
            within(option, seconds, 0, 10**10)
        check_kept(self.out)
        scenario = load_scenario(self.scenario)
        ours = offloading_config(scenario, env_steps=self.env_steps, seed=self.seed)
        stock = partial(offloading_config, scenario, env_steps=self.env_steps, seed=self.seed, env_runner="stock")
        theirs = {name: as_stock(stock()).training(**options) for name, options in STOCK.items()}
        logging.getLogger("ray").setLevel(logging.ERROR)
        torch.set_num_threads(1)
        start_ray(address="local", include_dashboard=False)
        sides = {name: Side(config.build_algo()) for name, config in {OURS: ours, **theirs}.items()}
        given = {"scenario": self.scenario, "env_steps": self.env_steps, "seed": self.seed}
        machine = {"date": time.strftime("%Y-%m-%d"), "machine": platform.machine(), "cores": os.cpu_count()}
        told: dict[str, dict[str, Any]] = {}
        while not all(side.finished(self.seconds) for side in sides.values()):
            for name, side in sides.items():
                if not side.finished(self.seconds):
                    side.turn(max(self.turn_s, GROWTH * side.spent_s))
                    print(f"{name}: {side.spent_s:.1f} s, regret {100 * side.curve[-1][1]:.2f} %", flush=True)
            told = {name: {"reached_s": side.reached(), "curve": side.curve} for name, side in sides.items()}
            keep(given | machine | {"sides": told}, self.out)
        for side in sides.values():
            side.algorithm.stop()
        ray.shutdown()
        print(table(told))


if __name__ == "__main__":
    sys.exit(run_module(TimeToQuality))
