"""Many training runs by Ray Tune: a trial for each, any number at once.

A study is in its storage: which trials there are (``study.json``), and each one's newest checkpoint, which tells how
far it is and how it was evaluated. Whoever gives the command again runs what has not finished, whatever Tune knew of
it; and a study that is given more trials keeps those it has.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.result import TIMESTEPS_TOTAL

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.errors import InputError
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.interrupted import Interrupted
from meqc_marl.jobs.lease_callback import StopsWithoutLease, fit
from meqc_marl.jobs.ownership import Lease, owned
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.trial import BUDGET_SPENT, OffloadingTrial, trial_config
from meqc_marl.jobs.trial_checkpoint import Curve, Sealed, farthest
from meqc_marl.jobs.tune_callbacks import Report, TellProgress, loggers
from meqc_marl.policies.folders import POLICY_FOLDER
from meqc_marl.rl.evaluation import EVALUATION, num_iterations
from meqc_marl.storage import Storage, unreadable

TRIALS_FOLDER = "trials"
CHECKPOINTS = 10
"""Of a trial in its life."""
_STUDY_FILE = "study.json"
_READERS = 16

Study = Mapping[str, Run]
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
    labels: dict[str, float | int | str]
    seed: int
    env_steps: int
    metrics: dict[str, float]
    curve: Curve
    policy: str | None
    error: str | None = None


def run_study(
    study: Study,
    where: Path | str,
    report: Report | None = None,
    *,
    placement: Placement | None = None,
    resume: bool = True,
    job: str = "sweep",
    lease: Lease | None = None,
    trainable: type[tune.Trainable] | None = None,
) -> list[TrialRecord]:
    """Run the trials that have not finished yet; a trial that was interrupted goes on from its checkpoint.

    Args:
        study: The trials. The storage remembers them: another run under the name of one is refused, more are added.
        where: Where everything goes: a folder, or a bucket by URI; every node of a cluster must reach it.
        report: Called when a trial starts or ends, to show progress.
        placement: Where and how the trials run.
        resume: Go on with what is there; otherwise it is refused.
        job: Kind of the job that the trials are of, for TensorBoard's hparams.
        lease: Of the storage, if it is owned already.
        trainable: What a trial runs, where that is not training (to measure all the rest).

    Returns:
        A record of each trial, in the order of the study.

    Raises:
        InputError: If the storage cannot be written or holds another study, a learner's parameter is not allowed, or
            the cluster is too small for a trial.
        Interrupted: If it was interrupted; the same call goes on.
    """
    placement = placement or Placement()
    configs = [configuration(run, placement) for run in study.values()]
    if not placement.autoscaling:
        check_size(configs)
    storage = Storage.open(where)
    with owned(storage, "study") if lease is None else nullcontext():
        _begin(storage, study, resume)
        every = max(1, num_iterations(configs[0], next(iter(study.values())).env_steps) // CHECKPOINTS)
        return _run(study, storage, report, placement, run_config(storage, job, placement, every), trainable)


def _run(
    study: Study,
    storage: Storage,
    report: Report | None,
    placement: Placement,
    config: tune.RunConfig,
    trainable: type[tune.Trainable] | None,
) -> list[TrialRecord]:
    there = how_far(storage, study)
    left = {name: run for name, run in study.items() if not _has_finished(there[name], run)}
    done = len(study) - len(left)
    results: dict[str, Any] = {}
    if left:
        if report is not None:
            config.callbacks.append(TellProgress(lambda finished, *others: report(done + finished, *others)))
        tuner = tune.Tuner(
            trainable or OffloadingTrial,
            param_space=_param_space(left, placement),
            tune_config=tune.TuneConfig(trial_name_creator=trial_name, trial_dirname_creator=trial_name),
            run_config=config,
        )
        results = {Path(result.path).name: result for result in fit(tuner, storage)}
    elif report is not None:
        report(done, 0, 0)
    # Interrupted, Tune returns what there is: a trial that has neither failed nor spent its budget is not a result.
    if any(name not in results or not _is_over(results[name]) for name in left):
        raise _interrupted(storage, study)
    ended = how_far(storage, left)
    return [_record(storage, name, run, results.get(name), ended.get(name, there[name])) for name, run in study.items()]


def run_config(storage: Storage, job: str, placement: Placement, checkpoint_every: int) -> tune.RunConfig:
    """How Tune runs the trials of a study, each of which keeps its own newest checkpoint."""
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output prints whatever the verbosity
    return tune.RunConfig(
        name=TRIALS_FOLDER,
        storage_path=storage.uri,
        stop={BUDGET_SPENT: 1},
        failure_config=tune.FailureConfig(max_failures=placement.max_failures),
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=checkpoint_every, checkpoint_at_end=True),
        callbacks=[*loggers(job), StopsWithoutLease()],
        verbose=0,
    )


def trial_name(trial: Trial) -> str:
    """Of a trial and of its folder."""
    name: str = trial.config["trial"]["name"]
    return name


def stored_study(storage: Storage) -> dict[str, Run]:
    """All trials that the storage remembers, also those of earlier commands.

    Raises:
        InputError: If they cannot be read.
    """
    content = storage.read_named(_STUDY_FILE)
    try:
        return {name: Run.model_validate(run) for name, run in json.loads(content or b"{}").items()}
    except (ValueError, AttributeError) as error:
        raise InputError(f"{_STUDY_FILE} in '{storage.shown}' is damaged; it must hold the trials by name.") from error


def finished_records(storage: Storage, study: Study) -> list[TrialRecord]:
    """Records of those trials that have finished, by this command or an earlier one."""
    there = how_far(storage, study)
    return [
        _record(storage, name, run, None, there[name]) for name, run in study.items() if _has_finished(there[name], run)
    ]


def how_far(storage: Storage, study: Study) -> dict[str, Sealed | None]:
    """The whole checkpoint of each trial that got farthest; None where there is none.

    Raises:
        InputError: If the storage cannot be read, or holds a checkpoint of another run under a trial's name.
    """
    folder = f"{storage.root}/{TRIALS_FOLDER}"
    try:
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(lambda name: farthest(storage.filesystem, f"{folder}/{name}"), study)
            ended = dict(zip(study, found, strict=True))
    except (OSError, pyarrow.ArrowException) as error:
        raise unreadable(storage.uri, error) from error
    for name, run in study.items():
        if (last := ended[name]) is not None:
            last.check_belongs_to(run.identity())
    return ended


def _has_finished(found: Sealed | None, run: Run) -> bool:
    return found is not None and found.env_steps >= run.env_steps


def _is_over(result: Any) -> bool:
    return bool(result.error or (result.metrics or {}).get(BUDGET_SPENT))


def _param_space(study: Study, placement: Placement) -> dict[str, Any]:
    trials = [trial_config(name, run, placement)["trial"] for name, run in study.items()]
    return {"trial": tune.grid_search(trials)}


def _interrupted(storage: Storage, study: Study) -> Interrupted:
    found = how_far(storage, study)
    finished = sum(_has_finished(found[name], run) for name, run in study.items())
    begun = sum(each is not None for each in found.values())
    return Interrupted(
        f"{finished} of {len(study)} trials have finished, {begun - finished} are halfway, with a checkpoint; "
        "the same command goes on."
    )


def _record(storage: Storage, name: str, run: Run, result: Any, last: Sealed | None) -> TrialRecord:
    metrics = (result.metrics or {}) if result is not None else {}
    if result is None and last is not None and last.curve:  # it had finished before
        steps, evaluation = last.curve[-1]
        metrics = {TIMESTEPS_TOTAL: steps, EVALUATION: evaluation}
    return TrialRecord(
        name=name,
        labels=run.labels,
        seed=run.seed,
        env_steps=int(metrics.get(TIMESTEPS_TOTAL, 0)),
        metrics=metrics.get(EVALUATION, {}),
        curve=last.curve if last else [],
        policy=storage.uri_of(f"{storage.name_of(last.checkpoint.path)}/{POLICY_FOLDER}") if last else None,
        error=str(result.error).strip().splitlines()[-1] if result is not None and result.error else None,
    )


def check_size(configs: Iterable[Any]) -> None:
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
    if needed.get("GPU", 0.0) > there.get("GPU", 0.0):
        raise InputError(
            f"a trial needs {needed['GPU']:g} GPUs and the cluster has {there.get('GPU', 0.0):g}; give it fewer "
            "(--gpus), or say that the cluster grows (--autoscaling)."
        )
    for name, amount in needed.items():
        if amount > there.get(name, 0.0):
            raise InputError(
                f"a trial needs a machine with the resource '{name}' and the cluster has none; name another "
                "(--learner-resource), or say that the cluster grows (--autoscaling)."
            )


def _begin(storage: Storage, study: Study, resume: bool) -> None:
    """Write down what is studied, beside what was; refuse what is not the same under a name that is there."""
    before = storage.read_named(_STUDY_FILE)
    known: dict[str, Any] = {} if before is None else json.loads(before)
    given = {name: run.model_dump(mode="json") for name, run in study.items()}
    if any(name in known and known[name] != run for name, run in given.items()):
        raise InputError(f"output folder '{storage.shown}' holds other trials; name another folder.")
    if known and not resume:
        raise InputError(
            f"output folder '{storage.shown}' holds these trials already; name another, or go on (--resume)."
        )
    if given.keys() - known.keys():
        storage.write(_STUDY_FILE, json.dumps(known | given, indent=1).encode())
