"""Training runs beside the exact oracle, for the experiments on the learner."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from experiments.benchmarks.jobs import run_jobs
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.held_out import beside_oracle, held_out_traces
from meqc_marl.jobs.run_folder import TrainingRun
from meqc_marl.policies.learned import load_policy

NUM_TRACES = 10


@dataclass(frozen=True)
class LearnerRun:
    """One training run and where its policy is evaluated.

    Attributes:
        name: Of the setting; with the seed, the name of the result's file.
        scenario: Preset.
        seed: Of the training.
        env_steps: Budget.
        overrides: Of the scenario.
        learner: Parameters of the learner other than the defaults.
        devices: Numbers of devices that the policy is evaluated on, beside the scenario's own.
    """

    name: str
    scenario: str
    seed: int
    env_steps: int
    overrides: tuple[str, ...] = ()
    learner: dict[str, Any] = field(default_factory=dict)
    devices: tuple[int, ...] = ()

    def file(self, folder: Path) -> Path:
        """Where the result is stored."""
        return folder / f"{self.name}-{self.seed}.json"


def evaluate(policy_folder: Path, run: LearnerRun, num_devices: int | None = None) -> dict[str, float]:
    """Means over held-out traces of all metrics, of the trained policy beside the oracle."""
    more = () if num_devices is None else (f"num_devices={num_devices}",)
    scenario = load_scenario(run.scenario, [*run.overrides, *more])
    # About as many devices in all, whatever their number in a row.
    rows = NUM_TRACES if num_devices is None else max(1, NUM_TRACES * 15 // num_devices)
    metrics = beside_oracle(load_policy(policy_folder), scenario, held_out_traces(scenario, rows))
    return {name: float(value.mean()) for name, value in metrics.items()}


def perform(run: LearnerRun) -> dict[str, Any]:
    """Train and evaluate."""
    from meqc_marl.jobs.training import Progress, train

    curve: list[list[float]] = []

    def watch(progress: Progress) -> None:
        if "evaluation/objective_regret" in progress.scalars:
            curve.append([progress.env_steps, progress.scalars["evaluation/objective_regret"]])

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "run"
        started = time.perf_counter()
        settings = TrainingRun(env_steps=run.env_steps, seed=run.seed, checkpoint_every_s=1e9, learner=run.learner)
        train(load_scenario(run.scenario, run.overrides), settings, work, watch)
        return {
            "run": asdict(run),
            "training_s": time.perf_counter() - started,
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "date": time.strftime("%Y-%m-%d"),
            "curve_objective_regret": curve,
            "held_out": evaluate(work, run),
            "held_out_devices": {count: evaluate(work, run, count) for count in run.devices},
        }


def perform_all(runs: Sequence[LearnerRun], folder: Path) -> None:
    """Perform what has no result yet, as many at once as Ray has cores."""
    run_jobs({run.file(folder): partial(perform, run) for run in runs})


def load_results(runs: Sequence[LearnerRun], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Results that exist, by the name of their setting, in the order of the seeds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run.file(folder).exists():
            found.setdefault(run.name, []).append(json.loads(run.file(folder).read_text()))
    return found
