"""Many training runs by Ray Tune: a trial for each, any number at once; a study goes on where it was stopped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.fs
import ray
from ray import tune
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.annotations import override
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial
from ray.tune.logger import JsonLoggerCallback, TBXLoggerCallback
from ray.tune.result import EXPR_RESULT_FILE, TIMESTEPS_TOTAL
from torch.utils.tensorboard import SummaryWriter

from meqc_marl.config import Scenario
from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.errors import InputError
from meqc_marl.files import telling_what_cannot_be_written
from meqc_marl.jobs.lease_callback import StopsWithoutLease, fit
from meqc_marl.jobs.ownership import owned
from meqc_marl.jobs.trial_checkpoint import Curve, farthest, farthest_sound, last_number, remove_others, seal
from meqc_marl.policies.folders import POLICY_FOLDER
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import (
    EVALUATION,
    evaluate_against_oracle,
    evaluate_while_training,
    mode_map,
    num_iterations,
    policy_of,
)
from meqc_marl.rl.tensorboard import (
    MODE_MAP,
    SHOWN,
    env_steps,
    hparams,
    hparams_end,
    keep_what_is_shown,
    layout,
    write_hparams,
)
from meqc_marl.storage import Storage, read_file, unreadable

_STUDY_FILE = "study.json"
_TRIALS_FOLDER = "trials"
_BUDGET_SPENT = "budget_spent"
CHECKPOINTS = 10
SLIVER = 0.001
"""Share of a machine's custom resource that says where something runs, and leaves room for a thousand."""

Report = Callable[[int, int, int], None]
"""Told how many trials have finished, run and failed."""


@dataclass(frozen=True)
class TrialSpec:
    """One training run.

    Attributes:
        scenario: All fields of the system.
        env_steps: Budget.
        seed: Of everything.
        learner: Parameters of the learner other than the defaults.
        labels: What tells it from the others, for tables and TensorBoard's hparams.
        num_env_runners: Remote samplers, a core each; without any the trial samples for itself, and a trial that is
            interrupted ends as if it had not been.
        learner_resource: Custom resource of the machines on which its Learner must run; None for any machine.
    """

    scenario: dict[str, Any]
    env_steps: int
    seed: int
    learner: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, float | str] = field(default_factory=dict)
    num_env_runners: int = 0
    learner_resource: str | None = None

    def config(self) -> Any:
        """The algorithm's configuration.

        Raises:
            InputError: If a parameter of the learner is not allowed.
        """
        scenario = Scenario.model_validate(self.scenario)
        config = offloading_config(
            scenario,
            env_steps=self.env_steps,
            seed=self.seed,
            num_env_runners=self.num_env_runners,
            learner=self.learner,
        )
        if self.learner_resource is not None:  # the Learner is in the trial's main process
            config.resources(custom_resources_for_main_process={self.learner_resource: SLIVER})
        evaluate_while_training(config, self.env_steps)
        return config


Study = Mapping[str, TrialSpec]
"""Trials by name; a name is that of a folder."""


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial at the end.

    Attributes:
        name, labels, seed: Of the trial.
        env_steps: Steps trained.
        metrics: Of the greedy policy on held-out traces, at the end.
        curve: Environment steps and metrics at each evaluation, the untrained policy's first.
        policy: Folder of the trained policy, for :func:`~meqc_marl.policies.learned.load_policy`.
        error: Last line of the error, if it failed.
    """

    name: str
    labels: dict[str, float | str]
    seed: int
    env_steps: int
    metrics: dict[str, float]
    curve: Curve
    policy: str | None
    error: str | None = None


class OffloadingTrial(DQNDDPG):
    """A training run as Tune sees it: the trial's name in, metrics and checkpoints out."""

    study: Study

    @classmethod
    def of(cls, study: Study) -> type[OffloadingTrial]:
        """The class of a study's trials."""
        return type(cls.__name__, (cls,), {"study": dict(study), "__module__": cls.__module__})

    @classmethod
    def spec(cls, config: Mapping[str, Any]) -> TrialSpec:
        """The training run that a trial's configuration names."""
        return cls.study[config["trial"]["name"]]

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        spec = self.spec(config)
        self._budget = spec.env_steps
        self._identity = {"scenario": spec.scenario, "seed": spec.seed, "learner": spec.learner}
        self._curve: Curve = []
        self._has_begun = False
        self._has_ended = False
        super().__init__(spec.config(), **kwargs)

    @classmethod
    @override(Algorithm)
    def default_resource_request(cls, config: Any) -> Any:
        return DQNDDPG.default_resource_request(cls.spec(config).config())

    @override(Algorithm)
    def step(self) -> dict[str, Any]:
        if not self._has_begun:
            self._go_on()
        if self._has_ended:
            steps, metrics = self._curve[-1]
            return {TIMESTEPS_TOTAL: steps, _BUDGET_SPENT: 1, EVALUATION: metrics}
        if not self._curve:
            self._curve.append((0, evaluate_against_oracle(self)))
        result = super().step()
        # Tune's loggers take it for the horizontal axis.
        result[TIMESTEPS_TOTAL] = env_steps(result)
        result[_BUDGET_SPENT] = int(result[TIMESTEPS_TOTAL] >= self._budget)
        return result

    @override(Algorithm)
    def log_result(self, result: dict[str, Any]) -> None:
        if not self._has_ended:
            super().log_result(result)  # evaluates
            if EVALUATION in result:
                self._curve.append((result[TIMESTEPS_TOTAL], result[EVALUATION]))
        keep_what_is_shown(result, (_BUDGET_SPENT, EVALUATION))

    @override(Algorithm)
    def save_checkpoint(self, checkpoint_dir: str) -> Any:
        with telling_what_cannot_be_written(f"checkpoint '{checkpoint_dir}'"):
            saved = super().save_checkpoint(checkpoint_dir)
            folder = Path(checkpoint_dir) / POLICY_FOLDER
            folder.mkdir()
            policy_of(self).save(folder)
            seal(Path(checkpoint_dir), self._last_result, self._curve, self._identity)
        return saved

    @override(Algorithm)
    def save(self, checkpoint_dir: str | None = None) -> Any:
        saved = super().save(checkpoint_dir)
        remove_others(saved.checkpoint)
        if self._curve[-1][0] >= self._budget and not self._has_ended:
            self._write_mode_map()
        return saved

    @override(Algorithm)
    def restore(self, checkpoint_path: Any) -> None:
        """Go on from the trial's own checkpoint that got farthest, whichever Tune names; without any begin anew."""
        self._go_on()

    def _go_on(self) -> None:
        self._has_begun = True
        where = self._storage.storage_filesystem, self._storage.trial_fs_path
        found = farthest_sound(*where, self._identity)
        # Tune may count from before; what is there must not be written over.
        self._storage.current_checkpoint_index = last_number(*where)
        if found is None:
            return
        super().restore(_TrainingResult(found.checkpoint, found.metrics))
        self._curve = found.curve
        if found.env_steps >= self._budget:
            # Its last checkpoint was there before Tune took down that it had ended: only the end is told again.
            self._has_ended = True
            self._iteration -= 1

    def _write_mode_map(self) -> None:
        """A TensorBoard file of its own in the trial's folder: where the trained policy and the oracle compute."""
        with tempfile.TemporaryDirectory() as folder:
            with SummaryWriter(folder, filename_suffix=".modes") as writer:
                writer.add_image(MODE_MAP, mode_map(policy_of(self)), self._curve[-1][0], dataformats="HWC")
            storage = self._storage
            pyarrow.fs.copy_files(folder, storage.trial_fs_path, destination_filesystem=storage.storage_filesystem)


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
        spec: TrialSpec = spec_of(trial.config)
        write_hparams(Path(trial.local_path), hparams(spec.config(), spec.env_steps, self._job, spec.labels))
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


def loggers(job: str) -> list[tune.Callback]:
    """What a trial of a kind of job leaves in its folder: TensorBoard files and ``result.json``; Tune adds no more."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    return [BoundedTensorBoard(job), _JsonLog()]


class _Progress(tune.Callback):
    """Tells how far the study is; gives its trials as many failures as this process allows, and none yet.

    Tune stores its callbacks and the trials' failures and brings them back; what is set here belongs to the process.
    """

    report: Report | None = None
    max_failures = 0
    counts_anew = False

    @override(tune.Callback)
    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if _Progress.counts_anew:
            _Progress.counts_anew = False
            for trial in trials:
                trial.run_metadata.num_failures = 0

    def _tell(self, trials: list[Trial]) -> None:
        if _Progress.report is not None:
            states = [trial.status for trial in trials]
            _Progress.report(*(states.count(kind) for kind in (Trial.TERMINATED, Trial.RUNNING, Trial.ERROR)))

    @override(tune.Callback)
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        # Tune makes the trials of a large study in time, as the first command said.
        trial.max_failures = _Progress.max_failures
        self._tell(trials)

    @override(tune.Callback)
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._tell(trials)

    @override(tune.Callback)
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._tell(trials)

    @override(tune.Callback)
    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self._tell(trials)


def run_study(
    study: Study,
    where: Path | str,
    report: Report | None = None,
    *,
    max_failures: int = 3,
    resume: bool = True,
    autoscaling: bool = False,
    trainable: type[tune.Trainable] | None = None,
) -> list[TrialRecord]:
    """Run the trials that have not finished yet; a trial that was interrupted goes on from its checkpoint.

    Args:
        study: The trials. The storage remembers them: another study is refused.
        where: Where everything goes: a folder, or a bucket by URI; every node of a cluster must reach it.
        report: Called when a trial starts or ends, to show progress.
        max_failures: Times that a trial whose process or machine dies is started again from its checkpoint; counted
            from this call on.
        resume: Go on with what is there; otherwise it is refused.
        autoscaling: The cluster may grow, so a trial larger than it is now is not refused.
        trainable: What a trial runs, where that is not training (to measure all the rest).

    Returns:
        A record of each trial, in the order of the study.

    Raises:
        InputError: If the storage cannot be written or holds another study, a learner's parameter is not allowed, or
            the cluster is too small for a trial.
        KeyboardInterrupt: If it was interrupted; the same call goes on.
    """
    configs = [spec.config() for spec in study.values()]
    if not autoscaling:
        _check_size(configs)
    storage = Storage.open(where)
    with owned(storage, "study"):
        _begin(storage, study, resume)
        return _run(study, configs, storage, report, max_failures, trainable or OffloadingTrial.of(study))


def _run(
    study: Study,
    configs: list[Any],
    storage: Storage,
    report: Report | None,
    max_failures: int,
    trainable: type[tune.Trainable],
) -> list[TrialRecord]:
    _Progress.report, _Progress.max_failures, _Progress.counts_anew = report, max_failures, True
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output prints whatever the verbosity
    space = {"trial": tune.grid_search([{"name": name, **spec.labels} for name, spec in study.items()])}
    path = storage.uri_of(_TRIALS_FOLDER)
    if tune.Tuner.can_restore(path):
        tuner = tune.Tuner.restore(path, trainable=trainable, param_space=space, resume_errored=True)
    else:
        first = next(iter(study.values()))
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(trial_name_creator=_name, trial_dirname_creator=_name),
            run_config=tune.RunConfig(
                name=_TRIALS_FOLDER,
                storage_path=storage.uri,
                stop={_BUDGET_SPENT: 1},
                failure_config=tune.FailureConfig(max_failures=max_failures),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_frequency=max(1, num_iterations(configs[0], first.env_steps) // CHECKPOINTS),
                    checkpoint_at_end=True,  # and the trial keeps one (see trial_checkpoint)
                ),
                callbacks=[*loggers("sweep"), _Progress(), StopsWithoutLease()],
                verbose=0,
            ),
        )
    results = {Path(result.path).name: result for result in fit(tuner)}
    # Interrupted, Tune returns what there is: a trial that has neither failed nor spent its budget is not a result.
    for name in study:
        result = results.get(name)
        if result is None or (not result.error and not (result.metrics or {}).get(_BUDGET_SPENT)):
            raise KeyboardInterrupt
    return [_record(name, spec, results[name], storage) for name, spec in study.items()]


def _name(trial: Trial) -> str:
    name: str = trial.config["trial"]["name"]
    return name


def _record(name: str, spec: TrialSpec, result: Any, storage: Storage) -> TrialRecord:
    try:
        last = farthest(storage.filesystem, result.path)
    except (OSError, pyarrow.ArrowException) as error:
        raise unreadable(storage.uri, error) from error
    metrics = result.metrics or {}
    return TrialRecord(
        name=name,
        labels=spec.labels,
        seed=spec.seed,
        env_steps=int(metrics.get(TIMESTEPS_TOTAL, 0)),
        metrics=metrics.get(EVALUATION, {}),
        curve=last.curve if last else [],
        policy=f"{last.checkpoint.path}/{POLICY_FOLDER}" if last else None,
        error=str(result.error).strip().splitlines()[-1] if result.error else None,
    )


def _check_size(configs: Iterable[Any]) -> None:
    """Refuse a trial that the cluster has no room for: Tune would wait for ever."""
    if not ray.is_initialized():
        return
    there = ray.cluster_resources()
    needed: dict[str, float] = {}
    for config in configs:
        for name, amount in DQNDDPG.default_resource_request(config).required_resources.items():
            needed[name] = max(amount, needed.get(name, 0.0))
    if needed["CPU"] > there.get("CPU", 0.0):
        raise InputError(
            f"a trial needs {needed['CPU']:g} CPUs and the cluster has {there.get('CPU', 0.0):g}; give it fewer "
            "EnvRunners (--num-env-runners), or say that the cluster grows (--autoscaling)."
        )
    for name, amount in needed.items():
        if amount > there.get(name, 0.0):
            raise InputError(
                f"a trial needs a machine with the resource '{name}' and the cluster has none; name another "
                "(--learner-resource), or say that the cluster grows (--autoscaling)."
            )


def _begin(storage: Storage, study: Study, resume: bool) -> None:
    """Store what is studied, or check that it is what was begun there."""
    specs = {name: asdict(spec) for name, spec in study.items()}
    for spec in specs.values():
        del spec["learner_resource"]  # where it runs may change
    if storage.holds(_STUDY_FILE, specs, "other trials") and not resume:
        raise InputError(
            f"output folder '{storage.uri}' holds these trials already; name another, or go on (--resume)."
        )
