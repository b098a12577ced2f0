"""Many training runs by Ray Tune: a trial for each, any number at once.

A study is in its storage: which trials there are (``study.json``), and each one's newest checkpoint, which tells how
far it is and how it was evaluated. Whoever gives the command again runs what has not finished, whatever Tune knew of
it; and a study that is given more trials keeps those it has.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.result import TIMESTEPS_TOTAL

from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.interrupted import Interrupted
from meqc_marl.jobs.lease_callback import StopsWithoutLease, fit
from meqc_marl.jobs.ownership import Lease, owned
from meqc_marl.jobs.room import check_size
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.stored_study import TRIALS_FOLDER, Study, begin_study, has_finished, how_far
from meqc_marl.jobs.tracking import Tracker, check_trackers
from meqc_marl.jobs.trial import BUDGET_SPENT, OffloadingTrial, trial_config
from meqc_marl.jobs.trial_checkpoint import Curve, Sealed
from meqc_marl.jobs.trials_progress import Report, TellTrials
from meqc_marl.jobs.tune_callbacks import loggers
from meqc_marl.policies.folders import POLICY_FOLDER
from meqc_marl.rl.evaluation import EVALUATION, num_iterations
from meqc_marl.storage import Storage

CHECKPOINTS = 10
"""Of a trial in its life."""


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
        report: Told how far the trials are.
        placement: Where and how the trials run.
        resume: Go on with what is there; otherwise it is refused.
        job: Kind of the job that the trials are of, for TensorBoard's hparams.
        lease: Of the storage, if it is owned already.
        trainable: What a trial runs, where that is not training; one that can be reset serves many trials.

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
        begin_study(storage, study, resume)
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
    there = how_far(storage, study, lambda text: print(text, file=sys.stderr, flush=True))
    left = {name: run for name, run in study.items() if not has_finished(there[name], run)}
    if report is not None:
        steps = {name: 0 if found is None else found.env_steps for name, found in there.items()}
        done = sum(steps[name] for name in study if name not in left)
        budget = done + sum(run.env_steps for run in left.values())
        budget *= trainable is None  # what trains nothing is counted by trials
        begun = {name: steps[name] for name in left}
        config.callbacks.append(TellTrials(report, len(study), budget, len(study) - len(left), done, begun))
    results: dict[str, Any] = {}
    if left:
        tuner = tune.Tuner(
            trainable or OffloadingTrial,
            param_space=_param_space(left, placement),
            tune_config=tune.TuneConfig(
                trial_name_creator=trial_name,
                trial_dirname_creator=trial_name,
                reuse_actors=trainable is not None and "reset_config" in vars(trainable),
            ),
            run_config=config,
        )
        results = {Path(result.path).name: result for result in fit(tuner, storage)}
    # Interrupted, Tune returns what there is: a trial that has neither failed nor spent its budget is not a result.
    if any(name not in results or not _is_over(results[name]) for name in left):
        raise _interrupted(storage, study)
    ended = how_far(storage, left)
    return [_record(storage, name, run, results.get(name), ended.get(name, there[name])) for name, run in study.items()]


def run_config(storage: Storage, job: str, placement: Placement, checkpoint_every: int) -> tune.RunConfig:
    """How Tune runs the trials of a study, each of which keeps its own newest checkpoint."""
    check_trackers(placement.track)
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output prints whatever the verbosity
    return tune.RunConfig(
        name=TRIALS_FOLDER,
        storage_path=storage.uri,
        stop={BUDGET_SPENT: 1},
        failure_config=tune.FailureConfig(max_failures=placement.max_failures),
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=checkpoint_every, checkpoint_at_end=True),
        callbacks=[*loggers(job), *(Tracker(name, job) for name in placement.track), StopsWithoutLease()],
        verbose=0,
    )


def trial_name(trial: Trial) -> str:
    """Of a trial and of its folder."""
    name: str = trial.config["trial"]["name"]
    return name


def finished_records(storage: Storage, study: Study) -> list[TrialRecord]:
    """Records of those trials that have finished, by this command or an earlier one."""
    there = how_far(storage, study)
    return [
        _record(storage, name, run, None, there[name]) for name, run in study.items() if has_finished(there[name], run)
    ]


def _is_over(result: Any) -> bool:
    return bool(result.error or (result.metrics or {}).get(BUDGET_SPENT))


def _param_space(study: Study, placement: Placement) -> dict[str, Any]:
    trials = [trial_config(name, run, placement)["trial"] for name, run in study.items()]
    return {"trial": tune.grid_search(trials)}


def _interrupted(storage: Storage, study: Study) -> Interrupted:
    found = how_far(storage, study)
    finished = sum(has_finished(found[name], run) for name, run in study.items())
    begun = sum(each is not None for each in found.values())
    return Interrupted(
        f"{finished} of {len(study)} trials have finished, {begun - finished} halfway, with a checkpoint; "
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
