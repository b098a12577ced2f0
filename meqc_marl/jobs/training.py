"""One training run: sample, learn, log, checkpoint, stop cleanly; go on, with a larger budget too."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.dqn_ddpg.errors import ConfigurationError, SamplingError
from meqc_marl.errors import InputError
from meqc_marl.jobs.checkpoint import newest_whole, remove_incomplete, save_checkpoint
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.curves import curves
from meqc_marl.jobs.interrupted import stop_on_signal
from meqc_marl.jobs.ownership import Lease, owned
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.run_folder import begin_run, check_new_run, extend_run, mark_diverged, warm_start_of
from meqc_marl.jobs.session import local_ray, quiet
from meqc_marl.jobs.tracking import check_trackers, tracked
from meqc_marl.jobs.warm_start import start_warm
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.rl.evaluation import EVALUATION, mode_map, policy_of
from meqc_marl.rl.tensorboard import env_steps, hparams, scalars
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
    lease: Lease | None = None,
    saved: Callable[[Path], None] = lambda checkpoint: None,
) -> tuple[Path, bool]:
    """Train a policy.

    Args:
        run: What is trained.
        folder: Where TensorBoard files, checkpoints and ``scenario.yaml`` go.
        report: Called after every iteration.
        placement: Where and how it runs.
        resume: Go on from the newest checkpoint in the folder, with the ``run`` that
            :func:`~meqc_marl.jobs.run_folder.load_run` finds there, or one like it with a larger budget.
        lease: Of the folder, if it is owned already.
        saved: Called after every checkpoint.

    Returns:
        The last checkpoint, and whether the whole budget was trained (False if the run was interrupted).

    Raises:
        InputError: If the folder cannot be written, or holds a run already and ``resume`` is not set, a parameter of
            the learner is not allowed, or training diverges.
    """
    folder = folder.resolve()
    if not ray.is_initialized():
        quiet()
    placement = placement or Placement()
    check_trackers(placement.track)
    config = configuration(run, placement)  # bad parameters are told before anything is written
    with local_ray(run.num_env_runners), nullcontext(lease) if lease else owned(Storage.open(folder), "run") as held:
        if resume:
            extend_run(folder, run)
        else:
            check_new_run(folder)
        remove_incomplete(folder)
        # The run may have a larger budget than when the checkpoint was made, and run elsewhere: its configuration is
        # that of now. A run that was killed before its first checkpoint begins again.
        checkpoint = newest_whole(folder, run.identity()) if resume else None
        algorithm: DQNDDPG = config.build_algo()
        algorithm.env_steps_budget = run.env_steps
        try:
            if checkpoint is not None:
                algorithm.restore_from_path(str(checkpoint))
            elif run.warm_start is not None:
                start_warm(algorithm, warm_start_of(folder, run) if resume else run.warm_start)
            if not resume:
                begin_run(folder, run)
            loop = _Loop(algorithm, run, folder, held, saved)
            return loop.go_on(report, placement)
        finally:
            algorithm.stop()


@dataclass
class _Loop:
    """Iterations and checkpoints until the budget is spent."""

    algorithm: DQNDDPG
    run: Run
    folder: Path
    lease: Lease
    saved: Callable[[Path], None]

    def go_on(self, report: Callable[[Progress], None], placement: Placement) -> tuple[Path, bool]:
        algorithm, budget = self.algorithm, self.run.env_steps
        steps = int(algorithm.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0))
        if steps >= budget:
            return list_checkpoints(self.folder)[-1], True
        saved_at, checkpoint = time.monotonic(), None
        # What a killed run logged after its last checkpoint is logged again: TensorBoard drops the first.
        session = hparams(algorithm.config, budget, "train")
        with (
            curves(self.folder / "tensorboard", steps + 1, session) as (write, end),
            tracked(placement.track, self.folder, session) as tell,
            stop_on_signal() as stopped,
        ):
            while steps < budget and not stopped():
                result = self._iteration(steps)
                if self.lease.is_lost:
                    self.lease.check()
                checkpoint = None
                steps = env_steps(result)
                values = scalars(result)
                write(values, steps, mode_map(policy_of(algorithm), self.run.trace) if EVALUATION in result else None)
                tell(values, steps)
                report(Progress(steps, budget, values))
                if time.monotonic() - saved_at > placement.checkpoint_every_s:
                    checkpoint = self._save()
                    saved_at = time.monotonic()
            checkpoint = checkpoint or self._save()
            if steps >= budget:
                end()
            return checkpoint, steps >= budget

    def _iteration(self, steps: int) -> dict[str, Any]:
        try:
            result: dict[str, Any] = self.algorithm.train()
        except (ConfigurationError, InputError) as error:  # what shows only when there are rows to keep
            if not list_checkpoints(self.folder):
                mark_diverged(self.folder, steps)
            raise InputError(
                f"learner parameter {error}" if isinstance(error, ConfigurationError) else str(error)
            ) from error
        except FloatingPointError as error:  # of a remote Learner too: Ray raises what is both its and this
            self.lease.check()
            sentence = " ".join(str(error).split()).rstrip(".")
            mark_diverged(self.folder, steps)
            raise InputError(
                f"training diverged after {steps:,} env-steps ({sentence}); the same command may be given again, with "
                "other parameters or --seed too, and begins anew."
            ) from error
        except SamplingError as error:
            last = str(error).strip().splitlines()[-1].rstrip(".")
            raise InputError(
                f"sampling failed after {steps:,} env-steps ({last}); with --resume the run goes on from its last "
                "checkpoint."
            ) from error
        return result

    def _save(self) -> Path:
        policy = policy_of(self.algorithm)
        identity, guard = self.run.identity(), self.lease.check
        checkpoint = save_checkpoint(self.algorithm, policy, self.folder, belongs_to=identity, guard=guard)
        self.saved(checkpoint)
        return checkpoint
