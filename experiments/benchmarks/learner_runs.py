"""Training runs beside the exact oracle, for the experiments on the learner."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.benchmarks.jobs import run_jobs
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.held_out import beside_oracle, held_out_traces
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.policies.learned import load_policy

NUM_TRACES = 10


def file_of(run: Run, folder: Path) -> Path:
    """Where a run's result is stored, by the name of its setting and its seed."""
    return folder / f"{run.labels['setting']}-{run.seed}.json"


def evaluate(policy_folder: Path, run: Run, num_devices: int | None = None) -> dict[str, float]:
    """Means over held-out traces of all metrics, of the trained policy beside the oracle."""
    more = () if num_devices is None else (f"num_devices={num_devices}",)
    scenario = load_scenario(run.scenario, more)
    # About as many devices in all, whatever their number in a row.
    rows = NUM_TRACES if num_devices is None else max(1, NUM_TRACES * 15 // num_devices)
    metrics = beside_oracle(load_policy(policy_folder), scenario, held_out_traces(scenario, rows))
    return {name: float(value.mean()) for name, value in metrics.items()}


def perform(run: Run, devices: Sequence[int] = ()) -> dict[str, Any]:
    """Train and evaluate, also with other numbers of devices than the scenario's own."""
    from meqc_marl.jobs.training import Progress, train

    curve: list[list[float]] = []

    def watch(progress: Progress) -> None:
        if "evaluation/regret" in progress.scalars:
            curve.append([progress.env_steps, progress.scalars["evaluation/regret"]])

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "run"
        started = time.perf_counter()
        train(run, work, watch, placement=Placement(checkpoint_every_s=1e9))
        return {
            "run": run.model_dump(mode="json"),
            "training_s": time.perf_counter() - started,
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "date": time.strftime("%Y-%m-%d"),
            "curve_regret": curve,
            "held_out": evaluate(work, run),
            "held_out_devices": {count: evaluate(work, run, count) for count in devices},
        }


def perform_all(runs: Sequence[Run], folder: Path, devices: Sequence[int] = ()) -> None:
    """Perform what has no result yet, as many at once as Ray has cores."""
    run_jobs({file_of(run, folder): partial(perform, run, devices) for run in runs})


def load_results(runs: Sequence[Run], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Results that exist, by the name of their setting, in the order of the seeds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if (path := file_of(run, folder)).exists():
            found.setdefault(str(run.labels["setting"]), []).append(json.loads(path.read_text()))
    return found
