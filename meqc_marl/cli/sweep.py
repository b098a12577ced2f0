"""``meqc-marl sweep``: train over a grid of V, Delta and seeds by Ray Tune, beside the exact oracle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from meqc_marl.cli.job_options import StoragePlace, StudyOptions
from meqc_marl.cli.options import (
    MAX_ENV_RUNNERS,
    MAX_ENV_STEPS,
    MAX_SEEDS,
    LearnerParameters,
    OptionalInt,
    Overrides,
    ScenarioSource,
    parse_assignments,
    within,
)
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.sweep import SweepJob, sweep_study
from meqc_marl.uris import check_place


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
    learner: LearnerParameters = ()
    """Change a parameter of the learner, such as critic=separate; may be repeated."""
    num_env_runners: int = 0
    """Remote samplers of a trial, a core each. Without any, an interrupted trial ends exactly as an undisturbed one."""

    def job(self) -> SweepJob:
        """The sweep, all checked.

        Raises:
            InputError: If an option is not allowed.
        """
        within("num-seeds", self.num_seeds, 1, MAX_SEEDS)
        within("num-env-runners", self.num_env_runners, 0, MAX_ENV_RUNNERS)
        if self.env_steps is not None:
            within("env-steps", self.env_steps, 1, MAX_ENV_STEPS)
        scenario = load_scenario(self.scenario, self.overrides)
        learner = parse_assignments("learner", self.learner)
        self.placement()
        # Ray takes seconds to import; bad input has been told by now.
        from meqc_marl.rl.config import default_env_steps

        base = Run(
            scenario=scenario,
            env_steps=self.env_steps or default_env_steps(scenario),
            learner=learner,
            num_env_runners=self.num_env_runners,
        )
        job = SweepJob(base=base, v=self.v, delta=self.delta, num_seeds=self.num_seeds)
        job.check()
        return job


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
    policy: Annotated[str | None, tyro.conf.arg(metavar="RUN", help_behavior_hint="")] = None
    """Train nothing: evaluate this policy, folder or URI of a run, everywhere on the grid (see `train --vary`)."""

    def run(self) -> None:
        """Run what has not finished, then report."""
        where = str(self.out) if self.storage is None else self.storage
        check_place(where)
        if self.policy is not None:
            self._evaluate(self.policy)
            return
        job = self.job()
        from meqc_marl.jobs.here import carry_out

        carry_out(Description(job, where, self.placement()), resume=self.resume)

    def _evaluate(self, run: str) -> None:
        """One trained policy over the whole grid; its numbers and picture go to the folder."""
        if self.storage is not None:
            raise InputError("storage: with --policy the report goes to a folder; give --out.")
        from meqc_marl.evaluation.grid import grid_json, grid_points, over_grid
        from meqc_marl.evaluation.held_out import held_out_traces
        from meqc_marl.files import make_folder
        from meqc_marl.policies.learned import load_policy
        from meqc_marl.report.grid import grid_table, save_grid_plot
        from meqc_marl.report.plain import plain_console
        from meqc_marl.report.progress import show_progress
        from meqc_marl.report.tables import save_json

        policy = load_policy(run)
        scenario = load_scenario(self.scenario, self.overrides)
        sweep_study(Run(scenario=scenario, env_steps=1), self.v, self.delta, [0])  # tells values that are not allowed
        folder = make_folder(self.out)
        trace = held_out_traces(scenario)
        with show_progress() as progress:
            records = over_grid(policy, scenario, trace, self.v, self.delta, progress)
            points = grid_points(scenario, trace, records, progress)
        save_json({"policy": run, "points": grid_json(points)}, folder / "sweep-points.json")
        save_grid_plot(points, folder / "sweep.png")
        console = plain_console()
        console.print(grid_table(points))
        if unseen := policy.unseen_in(scenario):
            console.print(f"not seen by the policy: {', '.join(unseen)}", highlight=False, markup=False)
