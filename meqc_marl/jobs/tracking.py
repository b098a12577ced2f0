"""MLflow and Weights & Biases beside TensorBoard, by Ray's own callbacks; each comes with an extra of its name.

Where they write is theirs to be told: ``MLFLOW_TRACKING_URI``, ``WANDB_MODE``, ``WANDB_DIR`` and so on. Left alone,
MLflow keeps files in ``results/mlruns`` and Weights & Biases works offline in ``results/wandb``: nothing leaves the
machine.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.rllib.utils.annotations import override
from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback
from ray.tune.result import TIMESTEPS_TOTAL

from meqc_marl.errors import InputError, how_to_install
from meqc_marl.files import make_folder
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.run import Run
from meqc_marl.rl.tensorboard import SHOWN, hparams

PROJECT = "meqc-marl"
"""Experiment in MLflow and project in Weights & Biases, unless their variables say otherwise."""
_FOLDER = Path("results")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Told:
    """A trial as it is told: what it is trained with, and no more."""

    trial_id: str
    name: str = field(compare=False)
    config: dict[str, Any] = field(compare=False)
    experiment_dir_name: str = field(compare=False)
    local_path: str = field(compare=False)

    def __str__(self) -> str:
        return self.name


def _mlflow() -> LoggerCallback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    where = os.environ.get("MLFLOW_TRACKING_URI")
    if where is None:
        where = make_folder(_FOLDER / "mlruns").absolute().as_uri()
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # which newer releases ask for
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    return MLflowLoggerCallback(tracking_uri=where, experiment_name=name)


def _wandb() -> LoggerCallback:
    from ray.air.integrations.wandb import WandbLoggerCallback

    class Checked(WandbLoggerCallback):
        """Raises what went wrong in the process that Ray keeps for each run, which is else lost with it."""

        def _cleanup_logging_actor(self, trial: Any) -> None:
            future = self._trial_logging_futures[trial]
            super()._cleanup_logging_actor(trial)
            if ray.wait([future], timeout=0)[0]:
                ray.get(future)

    mode = os.environ.setdefault("WANDB_MODE", "offline")
    folder = os.environ.get("WANDB_DIR", str(make_folder(_FOLDER).absolute()))
    # Given to each process: Ray's workers have the variables with which Ray was started.
    return Checked(project=os.environ.get("WANDB_PROJECT", PROJECT), mode=mode, dir=folder)


TRACKERS: dict[str, Callable[[], LoggerCallback]] = {"mlflow": _mlflow, "wandb": _wandb}
"""Name, which is also that of the package and of the extra, to what makes Ray's callback."""


def check_trackers(names: Sequence[str]) -> None:
    """Refuse one whose package is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(f"track is '{name}'; it needs the package {name}; {how_to_install(name)}.")


class Tracker(LoggerCallback):
    """Tells one of them a training run's scalars, under TensorBoard's names, and what the run is trained with.

    What goes wrong there is told once in the log, and training goes on without it.

    Args:
        name: One of :data:`TRACKERS`.
        job: The kind of job that the trials are of.
    """

    def __init__(self, name: str, job: str) -> None:
        self._name, self._job = name, job
        self._callback: LoggerCallback | None = None
        self._told: dict[str, _Told] = {}
        self._is_over = False

    def __getstate__(self) -> dict[str, Any]:
        """Tune stores its callbacks; what is open belongs to this process."""
        return {"name": self._name, "job": self._job}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Tracker.__init__(self, **state)

    def _do(self, what: Callable[[LoggerCallback], object]) -> None:
        if self._is_over:
            return
        try:
            if self._callback is None:
                self._callback = TRACKERS[self._name]()
                self._callback.setup()
            what(self._callback)
        except Exception as error:  # of a server, a disk or a library of others: no reason to lose a training run
            self._is_over = True
            said = " ".join(f"{type(error).__name__}: {error}".split())
            _LOG.warning("%s is told nothing more, training goes on: %s", self._name, said)

    def begin(self, told: _Told) -> None:
        """A run begins."""
        self._told[told.trial_id] = told
        self._do(lambda callback: callback.log_trial_start(told))

    def tell(self, trial_id: str, values: dict[str, float], step: int) -> None:
        """Scalars of a run at a number of environment steps."""
        told, result = self._told[trial_id], {**values, TIMESTEPS_TOTAL: step}
        self._do(lambda callback: callback.log_trial_result(step, told, result))

    def end(self, trial_id: str, failed: bool = False) -> None:
        """A run has ended."""
        if (told := self._told.pop(trial_id, None)) is not None:
            self._do(lambda callback: callback.log_trial_end(told, failed))

    @override(LoggerCallback)
    def log_trial_start(self, trial: Trial) -> None:
        spec_of = getattr(trial.get_trainable_cls(), "spec", None)
        config: dict[str, Any] = {}
        if spec_of is not None:  # a stand-in for a training run has none
            spec: Run = spec_of(trial.config)
            config = hparams(configuration(spec), spec.env_steps, self._job, spec.labels)
        trial.init_local_path()  # in which Weights & Biases' actor works
        name = str(trial.custom_trial_name or trial)
        self.begin(_Told(trial.trial_id, name, config, trial.experiment_dir_name, str(trial.local_path)))

    @override(LoggerCallback)
    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        if trial.trial_id not in self._told:
            self.log_trial_start(trial)
        self.tell(trial.trial_id, result[SHOWN], result[TIMESTEPS_TOTAL])

    @override(LoggerCallback)
    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        self.end(trial.trial_id, failed)

    @override(LoggerCallback)
    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Wait until all is written."""
        if self._callback is not None:
            self._do(lambda callback: callback.on_experiment_end(trials=trials))
        self._callback, self._is_over = None, True  # it looks for Ray when it is dropped: not at the interpreter's end


@contextmanager
def tracked(
    names: Sequence[str], folder: Path, session: dict[str, Any]
) -> Iterator[Callable[[dict[str, float], int], None]]:
    """Tell of a single training run; yields what tells its scalars.

    Args:
        names: Of :data:`TRACKERS`.
        folder: Of the run; its name is the run's.
        session: What it is trained with.
    """
    trackers = [Tracker(name, "train") for name in names]
    told = _Told(os.urandom(4).hex(), folder.name, session, folder.parent.name, str(make_folder(folder).resolve()))

    def tell(values: dict[str, float], step: int) -> None:
        for tracker in trackers:
            tracker.tell(told.trial_id, values, step)

    for tracker in trackers:
        tracker.begin(told)
    failed = True
    try:
        yield tell
        failed = False
    finally:
        for tracker in trackers:
            tracker.end(told.trial_id, failed)
            tracker.on_experiment_end([])
