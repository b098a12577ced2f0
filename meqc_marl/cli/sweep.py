"""``meqc-marl sweep``: train over a grid of V, Delta and seeds by Ray Tune, beside the exact oracle."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import tyro

from meqc_marl.cli.job_options import StoragePlace, StudyOptions
from meqc_marl.cli.options import (
    MAX_ENV_RUNNERS,
    MAX_ENV_STEPS,
    MAX_SEEDS,
    HeldOut,
    LearnerParameters,
    OptionalInt,
    Overrides,
    ScenarioSource,
    Traces,
    library_of,
    parse_assignments,
    scenario_with,
)
from meqc_marl.errors import InputError, within
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.sweep import SweepJob
from meqc_marl.uris import check_place

OptionalRun = Annotated[str | None, tyro.conf.arg(metavar="RUN", help_behavior_hint="")]


@dataclass(frozen=True)
class SweepOptions(StudyOptions):
    """What is trained, here or on a cluster."""

    scenario: ScenarioSource = "paper"
    """Preset or YAML file; `meqc-marl scenario show` lists its fields."""
    overrides: Overrides = ()
    """Change a field of the scenario; may be repeated."""
    v: tuple[float, ...] = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0)
    """Weights V of the cost."""
    delta: tuple[float, ...] = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)
    """Least mean offloading fractions."""
    num_seeds: int = 3
    """Training seeds of every V and Delta, from 0 on."""
    env_steps: OptionalInt = None
    """Budget of a trial in environment steps; by default that of `train`."""
    trace: Traces = ()
    """Draw episodes from these traces (.npz), instead of drawing nature by the scenario: files, folders or URIs that
    every machine reaches (docs/traces.md)."""
    held_out: HeldOut = ()
    """Rows of the traces, by the file's name or name:row, that training does not see and evaluation is on; by default
    the last fifth of the slots of every row."""
    learner: LearnerParameters = ()
    """Change a parameter of the learner, such as critic=separate; may be repeated."""
    num_env_runners: int = 0
    """Remote samplers of a trial, a core each. Without any, an interrupted trial ends exactly as an undisturbed one."""
    policy: OptionalRun = None
    """Train nothing: evaluate this policy, folder or URI of a run, everywhere on the grid (see `train --vary`)."""

    def job(self) -> SweepJob:
        """The sweep, all checked.

        Raises:
            InputError: If an option is not allowed.
        """
        within("num-seeds", self.num_seeds, 1, MAX_SEEDS)
        within("num-env-runners", self.num_env_runners, 0, MAX_ENV_RUNNERS)
        if self.env_steps is not None:
            within("env-steps", self.env_steps, 1, MAX_ENV_STEPS)
        self._check_policy()
        scenario = scenario_with(self.scenario, self.overrides)
        learner = parse_assignments("learner", self.learner)
        self.placement()
        # Ray takes seconds to import; bad input has been told by now.
        from meqc_marl.rl.config import default_env_steps

        base = Run(
            scenario=scenario,
            env_steps=self.env_steps or default_env_steps(scenario, learner),
            learner=learner,
            trace=library_of(self.trace, self.held_out, scenario.num_devices),
            num_env_runners=self.num_env_runners,
        )
        job = SweepJob(base=base, v=self.v, delta=self.delta, num_seeds=self.num_seeds, policy=self.policy)
        job.check()
        return job

    def _check_policy(self) -> None:
        """Nothing is trained with a policy: what says how is refused, not ignored."""
        if self.policy is None:
            return
        check_place(self.policy)
        usual = {field.name: field.default for field in fields(SweepOptions)}
        for name in ("num_seeds", "env_steps", "learner", "num_env_runners", "learner_resource", "gpus"):
            if getattr(self, name) != usual[name]:
                raise InputError(f"{name.replace('_', '-')}: with --policy nothing is trained; leave it out.")


@dataclass(frozen=True)
class SweepCommand(SweepOptions):
    """Train over a grid of V, Delta and seeds; the same command goes on where it was stopped, one with more values or
    seeds keeps what has finished."""

    out: Path = Path("results/sweep")
    """Folder of the sweep: trials, TensorBoard files, table and picture."""
    storage: StoragePlace = None
    """Instead of a folder a bucket, such as s3://bucket/sweep or gs://bucket/sweep; every node must reach it."""
    resume: bool = True
    """Go on with what is in the storage; --no-resume refuses it."""

    def run(self) -> None:
        """Run what has not finished, then report."""
        where = str(self.out) if self.storage is None else self.storage
        check_place(where)
        if self.policy is not None:
            self._with_whole_path()._perform(where)
        else:
            self._perform(where)

    def _with_whole_path(self) -> SweepCommand:
        """With the policy by a path that its workers, each in a folder of its own, find too; it is read."""
        from meqc_marl.policies.learned import load_policy

        assert self.policy is not None
        load_policy(self.policy)
        return self if "://" in self.policy else replace(self, policy=str(Path(self.policy).resolve()))

    def _perform(self, where: str) -> None:
        job = self.job()
        from meqc_marl.jobs.here import carry_out

        carry_out(Description(job, where, self.placement()), resume=self.resume)
