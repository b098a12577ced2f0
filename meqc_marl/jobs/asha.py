"""Optuna with ASHA over Ray Tune: all that is known of the search is Optuna's study, in the job's storage.

Optuna draws the parameters (TPE) and stops trials early (successive halving); Tune runs them. A search that goes on
hands out again the trials that had not ended, under their names, so that they go on from their own checkpoints; with
more trials asked for, Optuna draws on from what it knows. ``optuna-dashboard`` shows the study's file.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import TrialState
from ray import tune
from ray.rllib.utils.annotations import override
from ray.tune.experiment import Trial
from ray.tune.result import TIMESTEPS_TOTAL
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.interrupted import Interrupted
from meqc_marl.jobs.job import Place
from meqc_marl.jobs.lease_callback import fit
from meqc_marl.jobs.room import check_size
from meqc_marl.jobs.search import SCORE, Found, SearchJob
from meqc_marl.jobs.space import Interval
from meqc_marl.jobs.study import CHECKPOINTS, run_config, trial_name
from meqc_marl.jobs.trial import OffloadingTrial, trial_config
from meqc_marl.jobs.trials_progress import Report, TellTrials
from meqc_marl.rl.evaluation import EVALUATION, num_iterations
from meqc_marl.storage import Storage

if TYPE_CHECKING:
    from optuna.study import Study

JOURNAL = "optuna.log"
"""Name of the study's file: `optuna-dashboard optuna.log`."""
_REDUCTION, _RUNGS = 2, 2
_SCORED = f"{EVALUATION}/{SCORE}"
_DIVERGED = "FloatingPointError"
_FAILED = "error"


def run_asha(job: SearchJob, place: Place, report: Report) -> list[Found]:
    """Run the trials that are missing; what is known of all in the study.

    Raises:
        Interrupted: If it was interrupted; the same command goes on.
    """
    first = configuration(job.base, place.placement)
    if not place.placement.autoscaling:
        check_size([first])
    study = _open(job, place.storage)
    unfinished = [trial for trial in study.trials if trial.state in (TrialState.RUNNING, TrialState.WAITING)]
    done = len(study.trials) - len(unfinished)
    missing = len(unfinished) + max(0, job.num_trials - len(study.trials))
    ended = [trial for trial in study.trials if trial not in unfinished]
    spent, budget = sum(map(_steps_of, ended)), job.base.env_steps
    begun = {_name(trial.number): _steps_of(trial) for trial in unfinished}
    progress = TellTrials(report, done + missing, spent + missing * budget, done, spent, begun)
    if missing:
        every = max(1, num_iterations(first, job.base.env_steps) // CHECKPOINTS)
        config = run_config(place.storage, job.kind, place.placement, every)
        config.callbacks.append(progress)
        state = _Drawn(job, place, study, [trial.number for trial in unfinished])
        tune_config = tune.TuneConfig(
            search_alg=_Draws(state),
            scheduler=_Prunes(state),
            num_samples=missing,
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
        )
        fit(tune.Tuner(OffloadingTrial, tune_config=tune_config, run_config=config), place.storage)
        over = sum(trial.state.is_finished() or _FAILED in trial.user_attrs for trial in study.trials)
        if over < job.num_trials:
            halfway = len(study.trials) - over
            raise Interrupted(
                f"{over} of {job.num_trials} trials have ended, {halfway} have begun; the same command goes on."
            )
    return [_found(job, trial) for trial in study.trials]


class _Drawn:
    """Optuna's trials by Tune's names for them."""

    def __init__(self, job: SearchJob, place: Place, study: Study, waiting: list[int]) -> None:
        self.job, self.place, self.study, self.waiting = job, place, study, waiting
        self.trials: dict[str, optuna.trial.Trial] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune stores its searcher; what counts is in the study

    def next(self, tune_id: str) -> dict[str, Any] | None:
        """What Tune gives to the next trial."""
        if self.waiting:
            number = self.waiting.pop(0)
            trial = optuna.trial.Trial(self.study, self.study.trials[number]._trial_id)
            trial.set_user_attr(_FAILED, None)
        else:
            number = len(self.study.trials)
            # A sampler of its own for each trial: what is drawn depends on what is known, not on who was stopped when.
            seed = self.job.base.seed * 1_000_003 + number
            self.study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            trial = self.study.ask()
        learner = _draw(self.job, trial)
        self.trials[tune_id] = trial
        return trial_config(_name(trial.number), self.job.with_drawn(learner), self.place.placement)

    def tell(self, tune_id: str, state: TrialState, value: float | None = None) -> None:
        trial = self.trials.pop(tune_id, None)
        if trial is not None:
            self.study.tell(trial, value, state)

    def failed(self, tune_id: str, error: str) -> None:
        """One that diverged has ended; any other failure may be of a machine, and is tried by the next command."""
        if (trial := self.trials.get(tune_id)) is not None:
            trial.set_user_attr(_FAILED, error.strip().splitlines()[-1] if error.strip() else "its process died")
            if _DIVERGED in error:
                self.tell(tune_id, TrialState.FAIL)


class _Draws(Searcher):
    """Tune's way to ask for parameters."""

    def __init__(self, drawn: _Drawn) -> None:
        super().__init__(metric=TIMESTEPS_TOTAL, mode="max")  # Tune wants one that every result has
        self._drawn = drawn

    @override(Searcher)
    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        return self._drawn.next(trial_id)

    @override(Searcher)
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass  # the scheduler tells Optuna

    @override(Searcher)
    def save(self, checkpoint_path: str) -> None:
        pass

    @override(Searcher)
    def restore(self, checkpoint_path: str) -> None:
        pass


class _Prunes(FIFOScheduler):
    """Reports every evaluation to Optuna, whose pruner stops a trial."""

    def __init__(self, drawn: _Drawn) -> None:
        super().__init__()
        self._drawn = drawn

    @override(FIFOScheduler)
    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        drawn = self._drawn.trials.get(trial.trial_id)
        if drawn is None or _SCORED not in result:  # Tune gives a flat result here
            return str(TrialScheduler.CONTINUE)
        drawn.report(float(result[_SCORED]), int(result[TIMESTEPS_TOTAL]))
        if drawn.should_prune():
            self._drawn.tell(trial.trial_id, TrialState.PRUNED)
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    @override(FIFOScheduler)
    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        if _SCORED in result and (drawn := self._drawn.trials.get(trial.trial_id)) is not None:
            drawn.report(float(result[_SCORED]), int(result[TIMESTEPS_TOTAL]))
            self._drawn.tell(trial.trial_id, TrialState.COMPLETE, float(result[_SCORED]))

    @override(FIFOScheduler)
    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._drawn.failed(trial.trial_id, str(trial.get_error() or ""))


def _steps_of(trial: optuna.trial.FrozenTrial) -> int:
    """Environment steps up to the last evaluation that it told."""
    return max(trial.intermediate_values, default=0)


def _name(number: int) -> str:
    return f"trial-{number:04}"


def _draw(job: SearchJob, trial: optuna.trial.Trial) -> dict[str, Any]:
    learner: dict[str, Any] = {}
    for name, drawn in job.space.items():
        if not isinstance(drawn, Interval):
            learner[name] = drawn.value_of(trial.suggest_categorical(name, drawn.names()))
        elif drawn.is_whole:
            learner[name] = trial.suggest_int(name, int(drawn.low), int(drawn.high), log=drawn.log)
        else:
            learner[name] = trial.suggest_float(name, drawn.low, drawn.high, log=drawn.log)
    return learner


def _found(job: SearchJob, trial: optuna.trial.FrozenTrial) -> Found:
    learner = {
        name: value if isinstance(drawn := job.space[name], Interval) else drawn.value_of(value)
        for name, value in trial.params.items()
    }
    scores = trial.intermediate_values
    score = trial.value if trial.value is not None else scores[max(scores)] if scores else None
    error = trial.user_attrs.get(_FAILED)
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "diverged"}
    return Found(_name(trial.number), learner, score, states.get(trial.state, "failed"), error)


def _open(job: SearchJob, storage: Storage) -> Study:
    """The study in the storage, as it was left."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    backend: BaseJournalBackend
    if storage.is_local:
        path = Path(storage.root, JOURNAL)
        _drop_torn_line(path)
        backend = JournalFileBackend(str(path))
    else:
        backend = BucketJournal(storage)
    pruner = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=max(1, job.base.env_steps // _REDUCTION**_RUNGS), reduction_factor=_REDUCTION
    )
    return optuna.create_study(
        study_name="search", storage=JournalStorage(backend), pruner=pruner, direction="minimize", load_if_exists=True
    )


def _drop_torn_line(path: Path) -> None:
    """Remove what a killed process did not write to its end."""
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


class BucketJournal(BaseJournalBackend):
    """Optuna's journal as one object of a bucket, in the format of its file.

    A bucket cannot append, so the object is written anew with every entry, whole or not at all; the one who writes is
    the owner of the storage, and keeps what is there in memory.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lines = (storage.read_named(JOURNAL) or b"").decode().splitlines()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Entries from one on."""
        for line in self._lines[log_number_from:]:
            yield json.loads(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries."""
        self._lines += [json.dumps(log, separators=(",", ":")) for log in logs]
        self._storage.write(JOURNAL, "".join(f"{line}\n" for line in self._lines).encode())
