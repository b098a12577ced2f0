"""Many training runs, one core each, on whatever cores Ray has; finished runs are kept and not repeated."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.metrics import OracleReference, measure
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.files import replacing
from meqc_marl.policies import make_policy
from meqc_marl.rl.evaluation import HELD_OUT_SEED
from meqc_marl.rl.policy import load_policy
from meqc_marl.rl.run_folder import TrainingRun
from meqc_marl.trace import generate_trace

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
    trace = generate_trace(scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + rows))
    oracle = make_policy("oracle", scenario)
    reference = OracleReference.of(rollout(oracle, scenario, trace))
    record = rollout(load_policy(policy_folder), scenario, trace, reference=oracle)
    return {name: float(value.mean()) for name, value in measure(record, scenario, oracle=reference).items()}


def perform(run: LearnerRun, folder: Path) -> None:
    """Train, evaluate and store."""
    from meqc_marl.rl.training import Progress as TrainingProgress
    from meqc_marl.rl.training import train

    work = folder / ".work" / f"{run.name}-{run.seed}"
    shutil.rmtree(work, ignore_errors=True)
    curve: list[list[float]] = []

    def watch(progress: TrainingProgress) -> None:
        if "evaluation/objective_regret" in progress.scalars:
            curve.append([progress.env_steps, progress.scalars["evaluation/objective_regret"]])

    started = time.perf_counter()
    settings = TrainingRun(env_steps=run.env_steps, seed=run.seed, checkpoint_every_s=1e9, learner=run.learner)
    train(load_scenario(run.scenario, run.overrides), settings, work, watch)
    seconds = time.perf_counter() - started
    result = {
        "run": asdict(run),
        "training_s": seconds,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
        "curve_objective_regret": curve,
        "held_out": evaluate(work, run),
        "held_out_devices": {count: evaluate(work, run, count) for count in run.devices},
    }
    with replacing(run.file(folder)) as file:
        file.write(json.dumps(result, indent=1).encode())
    shutil.rmtree(work)


def perform_all(runs: Sequence[LearnerRun], folder: Path) -> None:
    """Perform what has no result yet, as many at once as Ray has cores, with a progress bar."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [run for run in runs if not run.file(folder).exists()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("runs", total=len(runs), completed=len(runs) - len(waiting))
        if not waiting:
            return
        logging.getLogger("ray").setLevel(logging.ERROR)
        own = {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
        ray.init(**own, log_to_driver=False, logging_level=logging.ERROR)
        try:
            pending = [ray.remote(num_cpus=1)(perform).remote(run, folder) for run in waiting]
            while pending:
                done, pending = ray.wait(pending)
                ray.get(done)
                bar.advance(task, len(done))
        finally:
            ray.shutdown()


def load_results(runs: Sequence[LearnerRun], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Results that exist, by the name of their setting, in the order of the seeds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run.file(folder).exists():
            found.setdefault(run.name, []).append(json.loads(run.file(folder).read_text()))
    return found
