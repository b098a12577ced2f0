"""``meqc-marl search``: find parameters of the learner, by Optuna with ASHA or by population based training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meqc_marl.cli.job_options import StoragePlace, StudyOptions
from meqc_marl.cli.options import (
    MAX_ENV_RUNNERS,
    MAX_ENV_STEPS,
    MAX_TRAINING_SEED,
    HeldOut,
    InputFile,
    LearnerParameters,
    Overrides,
    ScenarioSource,
    Traces,
    library_of,
    parse_assignments,
    read_mapping,
    scenario_with,
)
from meqc_marl.errors import within
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.search import SearchJob
from meqc_marl.jobs.space import DEFAULT_SPACE, parse_space
from meqc_marl.uris import check_place

_MAX_TRIALS = 100_000


@dataclass(frozen=True)
class SearchOptions(StudyOptions):
    """What is searched, here or on a cluster."""

    scheduler: Literal["asha", "pbt"] = "asha"
    """Optuna with ASHA, or population based training."""
    space: InputFile = None
    """YAML file of what is drawn, such as {critic_lr: {low: 0.0003, high: 0.01, log: true}, bounds: [clamp, sigmoid]};
    by default learning rates, huber_delta, exploration_noise, minibatch and bounds."""
    scenario: ScenarioSource = "paper"
    """Preset or YAML file."""
    overrides: Overrides = ()
    """Change a field of the scenario; may be repeated."""
    trace: Traces = ()
    """Draw episodes from these traces (.npz), instead of drawing nature by the scenario: files, folders or URIs that
    every machine reaches (docs/traces.md)."""
    held_out: HeldOut = ()
    """Rows of the traces, by the file's name or name:row, that training does not see and evaluation is on; by default
    the last fifth of the slots of every row."""
    learner: LearnerParameters = ()
    """Set a parameter of the learner that is not drawn; may be repeated."""
    num_trials: int = 20
    """Trials in all, or members of the population."""
    env_steps: int = 32_000
    """Budget of a trial that is not stopped early."""
    seed: int = 0
    """Of the search and of every training run."""
    num_env_runners: int = 0
    """Remote samplers of a trial, a core each."""

    def job(self) -> SearchJob:
        """The search, all checked.

        Raises:
            InputError: If an option is not allowed.
        """
        within("num-trials", self.num_trials, 1, _MAX_TRIALS)
        within("env-steps", self.env_steps, 1, MAX_ENV_STEPS)
        within("seed", self.seed, 0, MAX_TRAINING_SEED)
        within("num-env-runners", self.num_env_runners, 0, MAX_ENV_RUNNERS)
        self.placement()
        scenario = scenario_with(self.scenario, self.overrides)
        base = Run(
            scenario=scenario,
            trace=library_of(self.trace, self.held_out, scenario.num_devices),
            env_steps=self.env_steps,
            seed=self.seed,
            learner=parse_assignments("learner", self.learner),
            num_env_runners=self.num_env_runners,
        )
        given = None if self.space is None else parse_space(f"space '{self.space}'", read_mapping("space", self.space))
        space = given or DEFAULT_SPACE
        job = SearchJob(base=base, space=space, num_trials=self.num_trials, scheduler=self.scheduler)
        job.check()
        return job


@dataclass(frozen=True)
class SearchCommand(SearchOptions):
    """Search for the learner's parameters; the same command goes on where it was stopped, one with more trials keeps
    those that have ended."""

    out: Path = Path("results/search")
    """Folder of the search: trials, TensorBoard files, Optuna's study, best.yaml."""
    storage: StoragePlace = None
    """Instead of a folder a bucket, such as s3://bucket/search or gs://bucket/search; every node must reach it."""
    resume: bool = True
    """Go on with what is in the storage; --no-resume refuses it."""

    def run(self) -> None:
        """Search, and write the best parameters."""
        where = str(self.out) if self.storage is None else self.storage
        check_place(where)
        job = self.job()
        from meqc_marl.jobs.here import carry_out

        carry_out(Description(job, where, self.placement()), resume=self.resume)
