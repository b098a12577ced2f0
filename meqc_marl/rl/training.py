"""The training run behind ``meqc-marl train``: sample, learn, log, checkpoint, stop cleanly."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from torch.utils.tensorboard import SummaryWriter

from meqc_marl.config import Scenario, save_scenario
from meqc_marl.errors import InputError
from meqc_marl.rl.algorithm import DQNDDPG
from meqc_marl.rl.checkpoint import latest_checkpoint, remove_incomplete, save_checkpoint
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import add_evaluation, policy_of
from meqc_marl.rl.tensorboard import env_steps, scalars

_RUN_FILE = "run.json"


@dataclass(frozen=True)
class TrainingRun:
    """What a run was started with; stored in its folder, so that it can be resumed.

    Attributes:
        env_steps: Environment steps of the whole run.
        seed: Seed of everything.
        num_env_runners: Remote samplers.
        env_runner: ``batched`` or ``stock``.
        checkpoint_every_s: Seconds between checkpoints.
    """

    env_steps: int
    seed: int = 0
    num_env_runners: int = 0
    env_runner: str = "batched"
    checkpoint_every_s: float = 60.0


@dataclass(frozen=True)
class Progress:
    """Told to the caller after every iteration."""

    env_steps: int
    total_env_steps: int
    scalars: dict[str, float]


def train(
    scenario: Scenario,
    run: TrainingRun,
    folder: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    resume: bool = False,
) -> tuple[Path, bool]:
    """Train a policy.

    Args:
        scenario: The system.
        run: Budget, seed and workers.
        folder: Where TensorBoard files, checkpoints and ``scenario.yaml`` go.
        report: Called after every iteration.
        resume: Go on from the newest checkpoint in the folder.

    Returns:
        The last checkpoint, and whether the whole budget was trained (False if the run was interrupted).

    Raises:
        InputError: If the folder cannot be written, or holds a run already and ``resume`` is not set.
    """
    folder = folder.resolve()
    _prepare(folder, scenario, run, resume)
    checkpoint = latest_checkpoint(folder) if resume else None
    with _local_ray(run.num_env_runners):
        algorithm = DQNDDPG.from_checkpoint(str(checkpoint)) if checkpoint else _build(scenario, run)
        try:
            return _loop(algorithm, run, folder, report)
        finally:
            algorithm.stop()


def load_run(folder: Path) -> TrainingRun:
    """Read what a run was started with.

    Raises:
        InputError: If the folder holds no run.
    """
    try:
        return TrainingRun(**json.loads((folder / _RUN_FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"run folder '{folder}' holds no readable {_RUN_FILE} to resume from ({error}).") from error


def _loop(algorithm: DQNDDPG, run: TrainingRun, folder: Path, report: Callable[[Progress], None]) -> tuple[Path, bool]:
    steps = int(algorithm.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0))
    if steps >= run.env_steps:
        return latest_checkpoint(folder), True
    saved_at = time.monotonic()
    with SummaryWriter(str(folder / "tensorboard")) as writer, _stop_on_interrupt() as interrupted:
        while steps < run.env_steps and not interrupted():
            result = algorithm.train()
            steps = env_steps(result)
            values = scalars(result)
            for tag, value in values.items():
                writer.add_scalar(tag, value, steps)
            report(Progress(steps, run.env_steps, values))
            if time.monotonic() - saved_at > run.checkpoint_every_s:
                save_checkpoint(algorithm, policy_of(algorithm), folder)
                saved_at = time.monotonic()
        return save_checkpoint(algorithm, policy_of(algorithm), folder), steps >= run.env_steps


def _build(scenario: Scenario, run: TrainingRun) -> DQNDDPG:
    config: Any = offloading_config(
        scenario,
        env_steps=run.env_steps,
        seed=run.seed,
        num_env_runners=run.num_env_runners,
        env_runner=run.env_runner,  # type: ignore[arg-type]
    )
    iterations = max(1, run.env_steps // config.min_sample_timesteps_per_iteration)
    config.callbacks(on_train_result=partial(add_evaluation, every=max(1, iterations // 10)))
    algorithm: DQNDDPG = config.build_algo()
    return algorithm


def _prepare(folder: Path, scenario: Scenario, run: TrainingRun, resume: bool) -> None:
    if resume:
        remove_incomplete(folder)
        return
    if (folder / _RUN_FILE).exists():
        raise InputError(f"output folder '{folder}' holds a run already; resume it with --resume, or name another.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_scenario(scenario, folder / "scenario.yaml")
        aside = folder / f".{_RUN_FILE}"
        aside.write_text(json.dumps(asdict(run), indent=2))
        os.replace(aside, folder / _RUN_FILE)
    except OSError as error:
        raise InputError(f"output folder '{folder}' cannot be written: {error.strerror or error}.") from error


@contextmanager
def _local_ray(num_env_runners: int) -> Iterator[None]:
    """A Ray of our own, unless one is running already (a job on a cluster)."""
    if ray.is_initialized():
        yield
        return
    for name in ("ray", "ray.rllib", "ray.tune", "ray._common", "ray._private"):  # some set a level of their own
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.init(
        num_cpus=max(os.cpu_count() or 1, num_env_runners + 1),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks for a stop after the current iteration; a second one interrupts at once."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
