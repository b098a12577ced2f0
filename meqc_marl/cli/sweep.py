"""``meqc-marl sweep``: train over a grid of V, Delta and seeds by Ray Tune, beside the exact oracle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from meqc_marl.cli.options import LearnerParameters, Overrides, ScenarioSource, at_least, parse_assignments
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError

if TYPE_CHECKING:
    from meqc_marl.rl.study import Report


@dataclass(frozen=True)
class SweepCommand:
    """Train over a grid of V, Delta and seeds; the same command goes on where it was stopped."""

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
    out: Path = Path("results/sweep")
    """Folder of the sweep: trials, TensorBoard files, table and picture."""

    def run(self) -> None:
        """Run what has not finished, then report."""
        at_least("num-seeds", self.num_seeds, 1)
        if self.env_steps is not None:
            at_least("env-steps", self.env_steps, 1)
        scenario = load_scenario(self.scenario, self.overrides)
        learner = parse_assignments("learner", self.learner)
        # Ray takes seconds to import; bad input has been told by now.
        from meqc_marl.evaluation.report import save_json
        from meqc_marl.evaluation.sweep_report import grid_points, save_sweep_plot, sweep_json, sweep_table
        from meqc_marl.rl.config import default_env_steps
        from meqc_marl.rl.evaluation import HELD_OUT_SEED, NUM_TRACES
        from meqc_marl.rl.study import run_study
        from meqc_marl.rl.sweep import sweep_study
        from meqc_marl.rl.training import local_ray, quiet
        from meqc_marl.trace import generate_trace

        quiet()
        budget = self.env_steps or default_env_steps(scenario)
        study = sweep_study(scenario, self.v, self.delta, range(self.num_seeds), budget, learner)
        folder = self.out.resolve()
        with local_ray(), show_trials(len(study)) as report:
            records = run_study(study, folder, report)
        finished = [record for record in records if record.metrics and record.error is None]
        console = Console()
        save_json({"trials": [asdict(record) for record in records]}, folder / "trials.json")
        if finished:
            trace = generate_trace(scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + NUM_TRACES))
            points = grid_points(
                scenario,
                trace,
                [(float(record.labels["v"]), float(record.labels["delta"]), record.metrics) for record in finished],
            )
            console.print(sweep_table(points))
            save_json({"points": sweep_json(points)}, folder / "sweep-points.json")
            save_sweep_plot(points, folder / "sweep.png")
        for what, where in (
            ("picture", folder / "sweep.png"),
            ("numbers", folder / "sweep-points.json"),
            ("curves", f"tensorboard --logdir {folder}"),
        ):
            console.print(f"{what}: {where}", highlight=False, soft_wrap=True)
        failed = [record for record in records if record.error is not None]
        for record in failed:
            console.print(f"failed: {record.name}: {record.error}", highlight=False, soft_wrap=True, markup=False)
        if failed:
            raise InputError(f"{len(failed)} of {len(records)} trials failed; the same command tries them again.")


@contextmanager
def show_trials(total: int) -> Iterator[Report]:
    """A bar over all trials where someone watches, a line at every change where the output is a log."""
    console = Console(stderr=True)
    columns = (
        TextColumn("trials"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total, state="starting")
        last = (-1, -1)

        def report(finished: int, running: int, failed: int) -> None:
            nonlocal last
            state = f"{running} running, {failed} failed"
            bar.update(task, completed=finished + failed, state=state)
            if not console.is_terminal and (finished, failed) != last:
                console.print(f"{finished} of {total} trials finished, {state}", highlight=False, soft_wrap=True)
                last = (finished, failed)

        yield report
