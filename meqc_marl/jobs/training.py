"""The training run behind ``meqc-marl train``: sample, learn, log, checkpoint, stop cleanly."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from torch.utils.tensorboard import SummaryWriter

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.files import unwritable
from meqc_marl.jobs.checkpoint import newest_whole, remove_incomplete, save_checkpoint
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.ownership import Lease, owned
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.run_folder import begin_run
from meqc_marl.jobs.session import local_ray, quiet
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.rl.evaluation import EVALUATION, mode_map, policy_of
from meqc_marl.rl.tensorboard import MODE_MAP, env_steps, hparams, hparams_end, layout, scalars, write_hparams
from meqc_marl.storage import Storage


@dataclass(frozen=True)
class Progress:
    """Told to the caller after every iteration."""

    env_steps: int
    total_env_steps: int
    scalars: dict[str, float]


def train(
    run: Run,
    folder: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    *,
    placement: Placement | None = None,
    resume: bool = False,
) -> tuple[Path, bool]:
    """Train a policy.

    Args:
        run: What is trained.
        folder: Where TensorBoard files, checkpoints and ``scenario.yaml`` go.
        report: Called after every iteration.
        placement: Where and how it runs.
        resume: Go on from the newest checkpoint in the folder, with the ``run`` that :func:`load_run` finds there.

    Returns:
        The last checkpoint, and whether the whole budget was trained (False if the run was interrupted).

    Raises:
        InputError: If the folder cannot be written, or holds a run already and ``resume`` is not set, or a parameter of
            the learner is not allowed.
    """
    folder = folder.resolve()
    if not ray.is_initialized():
        quiet()
    placement = placement or Placement()
    config = configuration(run, placement)  # bad parameters are told before anything is written
    with local_ray(run.num_env_runners), owned(Storage.open(folder), "run") as lease:
        if not resume:
            begin_run(folder, run)
        remove_incomplete(folder)
        identity = run.identity()
        checkpoint = newest_whole(folder, identity)
        # A run that was killed before its first checkpoint begins again.
        algorithm = DQNDDPG.from_checkpoint(str(checkpoint)) if checkpoint else config.build_algo()
        try:

            def save() -> Path:
                policy = policy_of(algorithm)
                return save_checkpoint(algorithm, policy, folder, belongs_to=identity, guard=lease.check)

            return _loop(algorithm, run, folder, report, lease, save, placement.checkpoint_every_s)
        finally:
            algorithm.stop()


def _loop(
    algorithm: DQNDDPG,
    run: Run,
    folder: Path,
    report: Callable[[Progress], None],
    lease: Lease,
    save: Callable[[], Path],
    checkpoint_every_s: float,
) -> tuple[Path, bool]:
    steps = int(algorithm.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0))
    if steps >= run.env_steps:
        return list_checkpoints(folder)[-1], True
    saved_at, checkpoint = time.monotonic(), None
    # What a killed run logged after its last checkpoint is logged again: TensorBoard drops the first.
    session = hparams(algorithm.config, run.env_steps, "train")
    with _curves(folder / "tensorboard", steps + 1, session) as (write, end), _stop_on_signal() as stopped:
        while steps < run.env_steps and not stopped():
            result = algorithm.train()
            if lease.is_lost:
                lease.check()
            checkpoint = None
            steps = env_steps(result)
            values = scalars(result)
            write(values, steps, mode_map(policy_of(algorithm)) if EVALUATION in result else None)
            report(Progress(steps, run.env_steps, values))
            if time.monotonic() - saved_at > checkpoint_every_s:
                checkpoint = save()
                saved_at = time.monotonic()
        checkpoint = checkpoint or save()
        if steps >= run.env_steps:
            end()
        return checkpoint, steps >= run.env_steps


_Write = Callable[[dict[str, float], int, "np.ndarray | None"], None]


@contextmanager
def _curves(folder: Path, first_step: int, session: dict[str, Any]) -> Iterator[tuple[_Write, Callable[[], None]]]:
    """Yield what writes scalars and a picture for TensorBoard, and what ends the run there.

    Args:
        folder: Of the files.
        first_step: What is there from this step on is dropped.
        session: The run's values in the hparams tab.
    """

    def write(values: dict[str, float], step: int, picture: np.ndarray | None) -> None:
        try:
            for tag, value in values.items():
                writer.add_scalar(tag, value, step)
            if picture is not None:
                writer.add_image(MODE_MAP, picture, step, dataformats="HWC")
        except OSError as error:
            raise unwritable(folder, error) from error

    def end() -> None:
        try:
            writer.file_writer.add_summary(hparams_end())  # type: ignore[attr-defined]
        except OSError as error:
            raise unwritable(folder, error) from error

    try:
        writer = SummaryWriter(str(folder), purge_step=first_step)
        write_hparams(folder, session)
        writer.add_custom_scalars(layout())
    except OSError as error:
        raise unwritable(folder, error) from error
    hook = threading.excepthook
    # An error of TensorBoard's thread is raised again in ours, which tells it in a sentence.
    threading.excepthook = lambda told: None if type(told.thread).__module__.startswith("tensorboard") else hook(told)
    try:
        yield write, end
    finally:
        threading.excepthook = hook
        with suppress(OSError):
            # It would raise again what stopped training, or lose the last few points; the checkpoint is what counts.
            writer.close()


@contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C (or SIGTERM) asks for a stop after the current iteration; a second one interrupts at once."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals go to the main thread
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
