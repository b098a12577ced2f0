"""Population based training over Ray Tune: members take over the weights of better ones, and change rates in mid-run.

Tune's own state says who took over from whom, so a population goes on from that state; its size is fixed.
"""

from __future__ import annotations

import json
import math
from typing import Any

from ray import tune
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.annotations import override
from ray.tune.experiment import Trial
from ray.tune.result import TIMESTEPS_TOTAL
from ray.tune.schedulers import PopulationBasedTraining

from meqc_marl.dqn_ddpg.options import LearnerOptions, extra_of
from meqc_marl.errors import InputError
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.interrupted import Interrupted
from meqc_marl.jobs.job import Place
from meqc_marl.jobs.lease_callback import fit
from meqc_marl.jobs.room import check_size
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.search import SCORE, Found, SearchJob
from meqc_marl.jobs.space import Choice, Interval, Space
from meqc_marl.jobs.stored_study import TRIALS_FOLDER
from meqc_marl.jobs.study import run_config, trial_name
from meqc_marl.jobs.trial import BUDGET_SPENT, TunedRun, trial_config
from meqc_marl.jobs.trials_progress import Report, TellTrials
from meqc_marl.rl.evaluation import EVALUATION
from meqc_marl.rl.tensorboard import keep_what_is_shown

_SCORE = "score"
_NO_SCORE = 1e9
#: What may change in mid-run; the rest stays as drawn at the start.
MUTABLE = tuple(name for name, field in LearnerOptions.model_fields.items() if extra_of(field).get("mid_run"))
_PERTURBATIONS = 4
_KEPT = 4


def check_mutable(space: Space) -> None:
    """See that a population has something to change.

    Raises:
        InputError: If nothing in the space can be changed in mid-run.
    """
    if not any(name in MUTABLE for name in space):
        raise InputError(f"space has nothing that a population can change in mid-run: one of {', '.join(MUTABLE)}.")


class Member(TunedRun):
    """A training run with parameters that Tune has drawn and may change; tells a score in every result."""

    @classmethod
    def spec(cls, config: dict[str, Any]) -> Run:
        """The run of a member as it is now."""
        run = super().spec(config)
        drawn = {name: value for name, value in config.items() if name != "trial" and not name.startswith("_")}
        return run.model_copy(update={"learner": run.learner | drawn})

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        self._score = math.inf
        super().__init__(config, **kwargs)

    @override(Algorithm)
    def log_result(self, result: dict[str, Any]) -> None:
        super().log_result(result)  # evaluates
        if EVALUATION in result:
            self._score = float(result[EVALUATION][SCORE])
        # The scheduler wants a score in every result; before the first evaluation any is beaten.
        result[_SCORE] = self._score if math.isfinite(self._score) else _NO_SCORE
        keep_what_is_shown(result, (_SCORE, EVALUATION, BUDGET_SPENT))


def run_population(job: SearchJob, place: Place, report: Report) -> list[Found]:
    """Train the population to its end.

    Raises:
        Interrupted: If it was interrupted; the same command goes on.
    """
    if not place.placement.autoscaling:
        check_size([configuration(job.base, place.placement)])
    path = place.storage.uri_of(TRIALS_FOLDER)
    config = run_config(place.storage, job.kind, place.placement, 0)
    config.checkpoint_config.num_to_keep = _KEPT
    config.callbacks.append(TellTrials(report, job.num_trials, job.num_trials * job.base.env_steps))
    if tune.Tuner.can_restore(path):
        tuner = tune.Tuner.restore(path, trainable=Member, resume_errored=True)
        # Tune stores its callbacks and would bring back those of the first command, which tell nobody here.
        tuner._local_tuner._run_config.callbacks = config.callbacks
    else:
        tuner = tune.Tuner(
            Member,
            param_space=_param_space(job, place),
            tune_config=tune.TuneConfig(
                metric=_SCORE,
                mode="min",
                scheduler=PopulationBasedTraining(
                    time_attr=TIMESTEPS_TOTAL,
                    perturbation_interval=max(1, job.base.env_steps // _PERTURBATIONS),
                    hyperparam_mutations={name: _domain(job.space[name]) for name in job.space if name in MUTABLE},
                ),
                num_samples=job.num_trials,
                trial_name_creator=_member_name,
                trial_dirname_creator=_member_name,
            ),
            run_config=config,
        )
    results = list(fit(tuner, place.storage))
    over = sum(bool(each.error or (each.metrics or {}).get(BUDGET_SPENT)) for each in results)
    if over < job.num_trials:
        raise Interrupted(f"{over} of {job.num_trials} members have finished; the same command goes on.")
    # Tune gives them in another order each time.
    return sorted((_found(job, place, result) for result in results), key=lambda found: found.name)


def _param_space(job: SearchJob, place: Place) -> dict[str, Any]:
    # The number comes from Tune's name for the trial: all members are drawn from one space.
    trial = trial_config("member", job.base, place.placement)["trial"]
    return {"trial": trial, **{name: _domain(drawn) for name, drawn in job.space.items()}}


def _member_name(trial: Trial) -> str:
    return f"{trial_name(trial)}-{trial.trial_id}"


def _domain(drawn: Interval | Choice) -> Any:
    if isinstance(drawn, Choice):
        return tune.choice(list(drawn.values))
    if drawn.is_whole:
        sample = tune.lograndint if drawn.log else tune.randint
        return sample(int(drawn.low), int(drawn.high) + 1)
    return tune.loguniform(drawn.low, drawn.high) if drawn.log else tune.uniform(drawn.low, drawn.high)


def _found(job: SearchJob, place: Place, result: Any) -> Found:
    metrics = result.metrics or {}
    score = float(metrics.get(_SCORE, _NO_SCORE))
    # What Tune drew or changed last; RLlib puts its own configuration into the results.
    params = json.loads(place.storage.read(f"{result.path}/params.json") or b"{}")
    error = str(result.error).strip().splitlines()[-1] if result.error else None
    state = "failed" if error else "complete"
    learner = {name: params[name] for name in job.space if name in params}
    return Found(
        result.path.rstrip("/").rpartition("/")[2], learner, score if score < _NO_SCORE else None, state, error
    )
