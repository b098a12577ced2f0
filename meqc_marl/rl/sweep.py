"""The sweep over V and Delta by Ray Tune: a trial for every V, Delta and seed; it goes on where it was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.annotations import override
from ray.tune.experiment import Trial
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback, TBXLoggerCallback

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.files import replacing
from meqc_marl.rl.algorithm import DQNDDPG
from meqc_marl.rl.config import offloading_config, register_envs
from meqc_marl.rl.evaluation import add_evaluation
from meqc_marl.rl.tensorboard import env_steps, scalars

_SPEC_FILE = "sweep.json"
_CHECKPOINTS = 10
_EVALUATIONS = 5
EVALUATION = "evaluation"


@dataclass(frozen=True)
class Sweep:
    """What is swept; stored in the folder of the sweep, so that another one cannot be mixed into it.

    Attributes:
        scenario: The system; V and Delta in it do not count.
        v, delta: Grid.
        seeds: Training seeds.
        env_steps: Budget of a trial.
        learner: Parameters of the learner other than the defaults.
    """

    scenario: dict[str, Any]
    v: tuple[float, ...]
    delta: tuple[float, ...]
    seeds: tuple[int, ...]
    env_steps: int
    learner: dict[str, Any] = field(default_factory=dict)

    def scenario_at(self, v: float, delta: float) -> Scenario:
        """The scenario of a trial."""
        return load_scenario(Scenario.model_validate(self.scenario), [f"lyapunov.v={v!r}", f"lyapunov.delta={delta!r}"])

    def config_at(self, v: float, delta: float, seed: int) -> Any:
        """The algorithm's configuration of a trial."""
        scenario = self.scenario_at(v, delta)
        config = offloading_config(scenario, env_steps=self.env_steps, seed=seed, learner=self.learner)
        every = max(1, self.iterations(config) // _EVALUATIONS)
        config.callbacks(on_train_result=partial(add_evaluation, every=every, env_steps=self.env_steps))
        return config

    def iterations(self, config: Any) -> int:
        """Training iterations of a trial."""
        return max(1, -(-self.env_steps // config.min_sample_timesteps_per_iteration))

    @property
    def num_trials(self) -> int:
        """Trials in all."""
        return len(self.v) * len(self.delta) * len(self.seeds)

    def check(self) -> None:
        """Build every configuration once.

        Raises:
            InputError: If a value is not allowed, or one is given twice.
        """
        for name in ("v", "delta", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"{name} is {list(values)}; each of one or more values must be given once.")
        for v in self.v:
            for delta in self.delta:
                self.config_at(v, delta, self.seeds[0])


class OffloadingTrial(DQNDDPG):
    """A training run as Tune sees it: V, Delta and seed by name; the rest comes from the sweep."""

    sweep: Sweep

    @classmethod
    def of(cls, sweep: Sweep) -> type[OffloadingTrial]:
        """The class of a sweep's trials; its name is that of Tune's folders and must not change."""
        return type(cls.__name__, (cls,), {"sweep": sweep, "__module__": cls.__module__})

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        register_envs()
        if isinstance(config, dict):
            config = self.sweep.config_at(config["v"], config["delta"], config["seed"])
        super().__init__(config, **kwargs)

    @classmethod
    @override(Algorithm)
    def default_resource_request(cls, config: Any) -> Any:
        return DQNDDPG.default_resource_request(cls.sweep.config_at(config["v"], config["delta"], config["seed"]))

    @override(Algorithm)
    def step(self) -> dict[str, Any]:
        result = super().step()
        # Tune's loggers take it for the horizontal axis.
        result["timesteps_total"] = env_steps(result)
        return result


class BoundedTensorBoard(TBXLoggerCallback):
    """TensorBoard files of a trial with the scalars of a training run, and its V, Delta and seed as hparams."""

    @override(TBXLoggerCallback)
    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        kept = {name: result[name] for name in ("timesteps_total", "training_iteration") if name in result}
        super().log_trial_result(iteration, trial, kept | scalars(result))


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial at the end: metrics of the greedy policy on held-out traces, or the error."""

    v: float
    delta: float
    seed: int
    env_steps: int
    metrics: dict[str, float]
    error: str | None = None


Report = Callable[[int, int, int], None]
"""Told how many trials have finished, run and failed."""


class _Progress(tune.Callback):
    """Tune stores its callbacks and brings them back; whom they tell belongs to the process."""

    report: Report | None = None

    def _tell(self, trials: list[Trial]) -> None:
        if _Progress.report is not None:
            states = [trial.status for trial in trials]
            _Progress.report(*(states.count(kind) for kind in (Trial.TERMINATED, Trial.RUNNING, Trial.ERROR)))

    @override(tune.Callback)
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._tell(trials)

    @override(tune.Callback)
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._tell(trials)

    @override(tune.Callback)
    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self._tell(trials)

    @override(tune.Callback)
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._tell(trials)


def run_sweep(
    sweep: Sweep, storage: str, name: str, report: Report | None = None, max_failures: int = 3
) -> list[TrialRecord]:
    """Run the trials that have not finished yet.

    Args:
        sweep: What to sweep.
        storage: Folder or URI (S3, GCS, NFS) under which the sweep's folder is.
        name: Name of the sweep's folder.
        report: Called when a trial starts or ends, to show progress.
        max_failures: Times that a trial whose process dies is started again from its checkpoint.

    Raises:
        InputError: If the folder holds another sweep.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output prints whatever the verbosity
    _Progress.report = report
    path = f"{storage.rstrip('/')}/{name}"
    trainable = OffloadingTrial.of(sweep)
    space: dict[str, Any] = {
        "v": tune.grid_search(list(sweep.v)),
        "delta": tune.grid_search(list(sweep.delta)),
        "seed": tune.grid_search(list(sweep.seeds)),
    }
    if tune.Tuner.can_restore(path):
        tuner = tune.Tuner.restore(path, trainable=trainable, param_space=space, resume_errored=True)
    else:
        any_config = sweep.config_at(sweep.v[0], sweep.delta[0], sweep.seeds[0])
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(trial_name_creator=_trial_name, trial_dirname_creator=_trial_name),
            run_config=tune.RunConfig(
                name=name,
                storage_path=storage,
                stop={"timesteps_total": sweep.env_steps},
                failure_config=tune.FailureConfig(max_failures=max_failures),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_frequency=max(1, sweep.iterations(any_config) // _CHECKPOINTS),
                    checkpoint_at_end=True,
                    num_to_keep=1,
                ),
                callbacks=[BoundedTensorBoard(), JsonLoggerCallback(), CSVLoggerCallback(), _Progress()],
                verbose=0,
            ),
        )
    return [_record(result) for result in tuner.fit()]


def _trial_name(trial: Trial) -> str:
    at = trial.config
    return f"v={at['v']!r},delta={at['delta']!r},seed={at['seed']}"


def _record(result: Any) -> TrialRecord:
    # RLlib puts its own configuration into the results, and a trial that failed at once has none: the name tells.
    at = dict(part.split("=") for part in Path(result.path).name.split(","))
    metrics = result.metrics or {}
    return TrialRecord(
        v=float(at["v"]),
        delta=float(at["delta"]),
        seed=int(at["seed"]),
        env_steps=int(metrics.get("timesteps_total", 0)),
        metrics={key: float(value) for key, value in metrics.get(EVALUATION, {}).items()},
        error=str(result.error).strip().splitlines()[-1] if result.error else None,
    )


def begin_sweep(folder: Path, sweep: Sweep) -> None:
    """Store what is swept, or check that it is what was begun there.

    Raises:
        InputError: If the folder cannot be written, or holds another sweep.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output folder '{folder}' cannot be written: {error.strerror or error}.") from error
    text = json.dumps(asdict(sweep), indent=1)
    path = folder / _SPEC_FILE
    if path.exists() and json.loads(path.read_text()) != json.loads(text):
        raise InputError(f"output folder '{folder}' holds another sweep; name another folder.")
    with replacing(path) as file:
        file.write(text.encode())
