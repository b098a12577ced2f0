"""``meqc-marl sweep``: train over a grid of V, Delta and seeds by Ray Tune, beside the exact oracle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meqc_marl.cli.options import (
    MAX_ENV_RUNNERS,
    MAX_ENV_STEPS,
    MAX_SEEDS,
    LearnerParameters,
    Overrides,
    ScenarioSource,
    at_least,
    parse_assignments,
    within,
)
from meqc_marl.config import PRESETS, changes, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.run import RAYS_OWN, Placement, Run
from meqc_marl.report.plain import plain_console
from meqc_marl.report.progress import show_progress, show_trials
from meqc_marl.uris import check_place

if TYPE_CHECKING:
    from meqc_marl.jobs.study import TrialRecord


REPORT = ("sweep.png", "sweep-points.json", "trials.json")
"""Files that a finished sweep leaves in its storage, beside its trials."""
REPORT_TOLD = "picture"
"""Begins the line that tells where they are."""


@dataclass(frozen=True)
class SweepOptions:
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
    env_steps: int | None = None
    """Budget of a trial in environment steps; by default that of `train`."""
    learner: LearnerParameters = ()
    """Change a parameter of the learner, such as critic=separate; may be repeated."""
    num_env_runners: int = 0
    """Remote samplers of a trial, a core each. Without any, an interrupted trial ends exactly as an undisturbed one."""
    learner_resource: str | None = None
    """Custom resource of the machines on which Learners run, such as driver; by default they run on any."""
    max_failures: int = 3
    """Times that a trial is started again after its process or machine died; -1 for any number."""
    autoscaling: bool = False
    """The cluster grows by itself: do not refuse a trial larger than the cluster is now."""

    def study(self) -> dict[str, Run]:
        """The trials, all checked.

        Raises:
            InputError: If an option is not allowed.
        """
        within("num-seeds", self.num_seeds, 1, MAX_SEEDS)
        within("num-env-runners", self.num_env_runners, 0, MAX_ENV_RUNNERS)
        at_least("max-failures", self.max_failures, -1)
        if self.env_steps is not None:
            within("env-steps", self.env_steps, 1, MAX_ENV_STEPS)
        if self.learner_resource in RAYS_OWN:
            raise InputError(
                f"learner-resource is '{self.learner_resource}'; it must be the name of a custom resource, not one of "
                + ", ".join(RAYS_OWN)
                + "."
            )
        scenario = load_scenario(self.scenario, self.overrides)
        learner = parse_assignments("learner", self.learner)
        # Ray takes seconds to import; bad input has been told by now.
        from meqc_marl.jobs.configuration import configuration
        from meqc_marl.jobs.sweep import sweep_study
        from meqc_marl.rl.config import default_env_steps

        budget = self.env_steps or default_env_steps(scenario)
        seeds = range(self.num_seeds)
        study = sweep_study(
            *(scenario, self.v, self.delta, seeds, budget, learner),
            num_env_runners=self.num_env_runners,
        )
        configuration(next(iter(study.values())))  # knows which parameters a learner has
        return study

    def placement(self) -> Placement:
        """Where the trials run."""
        return Placement(
            learner_resource=self.learner_resource, autoscaling=self.autoscaling, max_failures=self.max_failures
        )

    def words(self) -> list[str]:
        """The options for a machine that does not have the scenario's file: as changes of a preset."""
        scenario = load_scenario(self.scenario, self.overrides)
        preset = self.scenario if self.scenario in PRESETS else "paper"
        words = ["--scenario", preset]
        for change in changes(load_scenario(preset), scenario):
            words += ["--set", change]
        words += ["--v", *map(repr, self.v), "--delta", *map(repr, self.delta), "--num-seeds", str(self.num_seeds)]
        if self.env_steps is not None:
            words += ["--env-steps", str(self.env_steps)]
        for parameter in self.learner:
            words += ["--learner", parameter]
        words += ["--num-env-runners", str(self.num_env_runners), "--max-failures", str(self.max_failures)]
        if self.learner_resource is not None:
            words += ["--learner-resource", self.learner_resource]
        return [*words, *(["--autoscaling"] if self.autoscaling else [])]


@dataclass(frozen=True)
class SweepCommand(SweepOptions):
    """Train over a grid of V, Delta and seeds; the same command goes on where it was stopped."""

    out: Path = Path("results/sweep")
    """Folder of the sweep: trials, TensorBoard files, table and picture."""
    storage: str | None = None
    """Instead of a folder a bucket, such as s3://bucket/sweep or gs://bucket/sweep; every node must reach it."""
    resume: bool = True
    """Go on with what is in the storage; --no-resume refuses it."""

    def run(self) -> None:
        """Run what has not finished, then report."""
        study = self.study()
        from meqc_marl.jobs.session import local_ray, quiet
        from meqc_marl.jobs.study import run_study
        from meqc_marl.storage import Storage

        quiet()
        where = str(self.out) if self.storage is None else self.storage
        check_place(where)
        with local_ray(self.num_env_runners), show_trials(len(study)) as report:
            storage = Storage.open(where)
            records = run_study(
                *(study, storage.uri, report),
                placement=self.placement(),
                resume=self.resume,
            )
        with tempfile.TemporaryDirectory() as folder:
            self._report(records, Path(folder))
            for name in REPORT:
                if (path := Path(folder, name)).exists():
                    storage.write(name, path.read_bytes())
        console = plain_console()
        for what, where in (
            (REPORT_TOLD, storage.uri_of("sweep.png")),
            ("numbers", storage.uri_of("sweep-points.json")),
            ("curves", f"tensorboard --logdir {storage.uri}"),
        ):
            console.print(f"{what}: {where}", highlight=False, soft_wrap=True)
        failed = [record for record in records if record.error is not None]
        for record in failed:
            console.print(f"failed: {record.name}: {record.error}", highlight=False, soft_wrap=True, markup=False)
        if failed:
            raise InputError(f"{len(failed)} of {len(records)} trials failed; the same command tries them again.")

    def _report(self, trials: Sequence[TrialRecord], folder: Path) -> None:
        """Print the table and write the files of REPORT."""
        from meqc_marl.evaluation.grid import grid_json, grid_points
        from meqc_marl.evaluation.held_out import held_out_traces
        from meqc_marl.report.grid import grid_table, save_grid_plot
        from meqc_marl.report.tables import save_json

        save_json({"trials": [asdict(trial) for trial in trials]}, folder / "trials.json")
        finished = [trial for trial in trials if trial.metrics and trial.error is None]
        if not finished:
            return
        scenario = load_scenario(self.scenario, self.overrides)
        trace = held_out_traces(scenario)
        records = [(float(record.labels["v"]), float(record.labels["delta"]), record.metrics) for record in finished]
        with show_progress() as progress:
            points = grid_points(scenario, trace, records, progress)
        plain_console().print(grid_table(points))
        save_json({"points": grid_json(points)}, folder / "sweep-points.json")
        save_grid_plot(points, folder / "sweep.png")
