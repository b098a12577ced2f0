"""Search for the learner's parameters by Ray Tune: Optuna with ASHA, or population based training as an example.

Run ``python -m meqc_marl.jobs.search``; needs ``pip install -e '.[search]'``. The best parameters go to a YAML file
that ``meqc-marl train --learner-file`` takes. What is minimised is the regret of the greedy policy, missed deadlines
included, in the states that it visits, as a share of V times cost.
"""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import tyro
import yaml
from ray import tune
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.annotations import override
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.errors import InputError
from meqc_marl.files import replacing
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.lease_callback import StopsWithoutLease, fit
from meqc_marl.jobs.ownership import owned
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.session import local_ray, quiet
from meqc_marl.jobs.tune_callbacks import loggers
from meqc_marl.report.plain import plain_console
from meqc_marl.rl.evaluation import EVALUATION
from meqc_marl.rl.tensorboard import env_steps as steps_of
from meqc_marl.rl.tensorboard import keep_what_is_shown
from meqc_marl.storage import Storage
from meqc_marl.uris import check_place

SCORE = "score"
_NO_SCORE = 1e9
SPACE: dict[str, Any] = {
    "critic_lr": tune.loguniform(3e-4, 1e-2),
    "actor_lr": tune.loguniform(3e-4, 1e-2),
    "huber_delta": tune.loguniform(0.005, 1.0),
    "exploration_noise": tune.loguniform(0.02, 0.3),
    "train_batch_size_per_learner": tune.choice([128, 256, 512]),
    "bounds": tune.choice(["clamp", "inverting", "sigmoid"]),
}
#: What population based training changes in mid-run; the rest stays as drawn at the start.
MUTATED = ("critic_lr", "actor_lr", "exploration_noise")


@dataclass(frozen=True)
class Search:
    """Search, and write the best parameters."""

    scheduler: Literal["asha", "pbt"] = "asha"
    """Optuna with ASHA, or population based training."""
    scenario: str = "paper"
    """Preset or YAML file."""
    num_trials: int = 20
    """Trials, or members of the population."""
    env_steps: int = 32_000
    """Budget of a trial that is not stopped early."""
    seed: int = 0
    """Of the search and of every training run."""
    out: Path = Path("results/search")
    """Folder of the search; the same command goes on where it was stopped."""


class SearchTrial(DQNDDPG):
    """A training run with parameters that Tune has drawn; tells a score in every result."""

    search: Search

    @classmethod
    def of(cls, search: Search) -> type[SearchTrial]:
        """The class of a search's trials."""
        return type(cls.__name__, (cls,), {"search": search, "__module__": cls.__module__})

    @classmethod
    def spec(cls, config: dict[str, Any]) -> Run:
        """The training run of drawn parameters."""
        search = cls.search
        learner = {name: value for name, value in config.items() if name in SPACE}
        scenario = load_scenario(search.scenario)
        return Run(scenario=scenario, env_steps=search.env_steps, seed=search.seed, learner=learner)

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        self._score = math.inf
        super().__init__(configuration(self.spec(config)), **kwargs)

    @classmethod
    @override(Algorithm)
    def default_resource_request(cls, config: Any) -> Any:
        return DQNDDPG.default_resource_request(configuration(cls.spec(config)))

    @override(Algorithm)
    def step(self) -> dict[str, Any]:
        result = super().step()
        result["timesteps_total"] = steps_of(result)
        return result

    @override(Algorithm)
    def log_result(self, result: dict[str, Any]) -> None:
        super().log_result(result)  # evaluates
        if EVALUATION in result:
            self._score = float(result[EVALUATION]["regret"])
        # Schedulers want a score in every result; before the first evaluation any is beaten.
        result[SCORE] = self._score if math.isfinite(self._score) else _NO_SCORE
        keep_what_is_shown(result, (SCORE, EVALUATION))


def run_search(search: Search) -> dict[str, Any]:
    """Run what has not finished and return the best parameters."""
    quiet()
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    configuration(SearchTrial.of(search).spec({}))
    trainable, folder = SearchTrial.of(search), search.out.resolve()
    check_place(str(folder))
    scenario = load_scenario(search.scenario).model_dump(mode="json")
    options = {**asdict(search), "out": None, "scenario": scenario}
    path = str(folder / "trials")
    with local_ray(), owned(storage := Storage.open(folder), "search"):
        storage.holds("search.json", options, "a search with other options")
        if tune.Tuner.can_restore(path):
            tuner = tune.Tuner.restore(path, trainable=trainable, resume_errored=True)
        else:
            algorithm, scheduler = _asha(search) if search.scheduler == "asha" else (None, _pbt(search))
            tuner = tune.Tuner(
                trainable,
                param_space=dict(SPACE),
                tune_config=tune.TuneConfig(
                    metric=SCORE,
                    mode="min",
                    search_alg=algorithm,
                    scheduler=scheduler,
                    num_samples=search.num_trials,
                    trial_name_creator=_name,
                    trial_dirname_creator=_name,
                ),
                run_config=tune.RunConfig(
                    name="trials",
                    storage_path=str(folder),
                    stop={"timesteps_total": search.env_steps},
                    failure_config=tune.FailureConfig(max_failures=2),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True, num_to_keep=4),
                    callbacks=[*loggers("search"), StopsWithoutLease()],
                    verbose=0,
                ),
            )
        results = fit(tuner, storage)
    finished = [
        result
        for result in results
        if result.error is None and (result.metrics or {}).get(SCORE, _NO_SCORE) < _NO_SCORE
    ]
    if not finished:
        raise InputError(f"none of the {len(results)} trials in '{folder}' came to an evaluation.")
    best = min(finished, key=_score)
    learner = _drawn(best)
    # A rate is the start of a decay over the budget of whoever takes it.
    with replacing(folder / "best.yaml") as file:
        file.write(yaml.safe_dump(learner, sort_keys=False).encode())
    console = plain_console()
    for result in sorted(finished, key=_score)[:5]:
        drawn = _drawn(result).items()
        told = ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in drawn
        )
        console.print(f"regret {_score(result):.2%}: {told}", highlight=False, soft_wrap=True)
    where = folder / "best.yaml"
    console.print(f"{len(finished)} of {len(results)} trials; best: {where}", highlight=False, soft_wrap=True)
    return learner


def _score(result: Any) -> float:
    return float((result.metrics or {}).get(SCORE, _NO_SCORE))


def _drawn(result: Any) -> dict[str, Any]:
    """What Tune drew for a trial (RLlib puts its own configuration into the results)."""
    params = json.loads((Path(result.path) / "params.json").read_text())
    return {name: params[name] for name in SPACE}


def _name(trial: Trial) -> str:
    return f"trial-{trial.trial_id}"


def _asha(search: Search) -> tuple[Any, TrialScheduler]:
    from ray.tune.search.optuna import OptunaSearch

    scheduler = ASHAScheduler(
        time_attr="timesteps_total",
        max_t=search.env_steps,
        grace_period=max(1, search.env_steps // 4),
        reduction_factor=2,
    )
    return OptunaSearch(seed=search.seed), scheduler


def _pbt(search: Search) -> TrialScheduler:
    return PopulationBasedTraining(
        time_attr="timesteps_total",
        perturbation_interval=max(1, search.env_steps // 4),
        hyperparam_mutations={name: SPACE[name] for name in MUTATED},
    )


def main(search: Search) -> None:
    """Run and tell errors in a sentence."""
    try:
        run_search(search)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except ImportError as error:
        name = error.name or "optuna"
        print(f"error: package '{name}' is missing; install it with: pip install -e '.[search]'.", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main(tyro.cli(Search))
