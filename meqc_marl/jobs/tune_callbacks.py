"""What Ray Tune's driver does beside a study's trials: TensorBoard files, logs, and the telling of progress."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ray import tune
from ray.rllib.utils.annotations import override
from ray.tune.experiment import Trial
from ray.tune.logger import JsonLoggerCallback, TBXLoggerCallback
from ray.tune.result import EXPR_RESULT_FILE, TIMESTEPS_TOTAL
from torch.utils.tensorboard import SummaryWriter

from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.run import Run
from meqc_marl.rl.tensorboard import SHOWN, hparams, hparams_end, layout, write_hparams
from meqc_marl.storage import read_file


class BoundedTensorBoard(TBXLoggerCallback):
    """TensorBoard files of a trial: a training run's scalars under the same names, and what it is trained with.

    Args:
        job: The kind of job that the trials are of, for the hparams tab.
    """

    def __init__(self, job: str) -> None:
        self._job = job
        self._writers: dict[Trial, SummaryWriter] = {}
        self._told: dict[Trial, dict[str, Any]] = {}

    @override(TBXLoggerCallback)
    def log_trial_start(self, trial: Trial) -> None:
        if trial in self._writers:  # started again after its process died
            self._writers[trial].close()
        trial.init_local_path()
        writer = self._writers[trial] = SummaryWriter(trial.local_path)
        writer.add_custom_scalars(layout())
        self._tell_hparams(trial)

    def _tell_hparams(self, trial: Trial) -> None:
        """Write what the trial is trained with, if that is not there: a population changes it in mid-run."""
        spec_of = getattr(trial.get_trainable_cls(), "spec", None)
        if spec_of is None or self._told.get(trial) == trial.config:  # a stand-in for a training run has none
            return
        spec: Run = spec_of(trial.config)
        write_hparams(Path(trial.local_path), hparams(configuration(spec), spec.env_steps, self._job, spec.labels))
        self._told[trial] = dict(trial.config)

    @override(TBXLoggerCallback)
    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        if trial not in self._writers:
            self.log_trial_start(trial)
        self._tell_hparams(trial)
        for tag, value in result[SHOWN].items():
            self._writers[trial].add_scalar(tag, value, result[TIMESTEPS_TOTAL])
        self._writers[trial].flush()

    @override(TBXLoggerCallback)
    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        if (writer := self._writers.pop(trial, None)) is not None:
            if not failed:  # TensorBoard believes the first end, and one that failed may be tried again
                writer.file_writer.add_summary(hparams_end())  # type: ignore[attr-defined]
            writer.close()


class _JsonLog(JsonLoggerCallback):
    """``result.json``, which Tune begins anew where a sweep goes on: what is in the storage stays at its head."""

    @override(JsonLoggerCallback)
    def log_trial_start(self, trial: Trial) -> None:
        trial.init_local_path()
        log = Path(trial.local_path, EXPR_RESULT_FILE)
        if not log.exists():
            stored = f"{trial.storage.trial_fs_path}/{EXPR_RESULT_FILE}"
            log.write_bytes(read_file(trial.storage.storage_filesystem, stored) or b"")
        super().log_trial_start(trial)

    @override(JsonLoggerCallback)
    def _restore_from_remote(self, file_name: str, trial: Trial) -> None:
        """Nothing: where there is a log here, that of the storage may be older, and rows would be lost to it."""


def loggers(job: str) -> list[tune.Callback]:
    """What a trial of a kind of job leaves in its folder: TensorBoard files and ``result.json``; Tune adds no more."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    return [BoundedTensorBoard(job), _JsonLog()]
