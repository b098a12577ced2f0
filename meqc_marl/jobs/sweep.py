"""A job over a grid of V, Delta and seeds, beside the exact oracle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.job import Job, Outcome, Place, show
from meqc_marl.jobs.protocol import Said, Tell
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.work_progress import telling

if TYPE_CHECKING:
    from meqc_marl.jobs.study import TrialRecord

REPORT = ("sweep.png", "sweep-points.json", "trials.json")
"""Files that a finished sweep leaves in its storage, beside its trials."""


class SweepJob(Job):
    """A trial for every V, Delta and seed; more of each may be asked for later, on the same storage.

    Attributes:
        base: What all trials have in common; its V, Delta, seed and labels do not count.
        v, delta: Grid.
        num_seeds: Training seeds of every V and Delta, from 0 on.
        policy: Folder or URI of a trained policy that is evaluated everywhere instead of training; every machine must
            reach it.
    """

    kind: ClassVar[str] = "sweep"

    base: Run
    v: tuple[float, ...]
    delta: tuple[float, ...]
    num_seeds: int = Field(default=1, ge=1)
    policy: str | None = None

    def runs(self) -> dict[str, Run]:
        """The trials of the grid."""
        if self.policy is None:
            return sweep_study(self.base, self.v, self.delta, range(self.num_seeds))
        base = Run(scenario=self.base.scenario, env_steps=1, warm_start=self.policy)
        return sweep_study(base, self.v, self.delta, [0])

    def common(self) -> dict[str, Any]:
        """The base, without what the grid sets."""
        base: dict[str, Any] = self.base.model_dump(mode="json", exclude={"seed", "labels"})
        del base["scenario"]["lyapunov"]["v"], base["scenario"]["lyapunov"]["delta"]
        return base | {"policy": self.policy}

    def reports(self, name: str) -> bool:
        """Those of REPORT."""
        return name in REPORT

    def perform(self, place: Place, tell: Tell) -> Outcome:
        """Run what has not finished, then report on all that the storage holds."""
        from meqc_marl.jobs.stored_study import stored_study
        from meqc_marl.jobs.study import finished_records, run_study

        study = self.runs()
        options: dict[str, Any] = {"placement": place.placement, "resume": place.resume, "job": self.kind}
        if self.policy is not None:
            from meqc_marl.jobs.evaluated import EvaluatedPolicy

            self._tell_unseen(self.policy, tell)
            options["trainable"] = EvaluatedPolicy
        records = run_study(study, place.storage.uri, tell, lease=place.lease, **options)
        known = stored_study(place.storage)
        others = {name: run for name, run in known.items() if name not in study}
        before = finished_records(place.storage, others)
        if others:
            unfinished = len(others) - len(before)
            told = f"{len(before)} trials of earlier commands are in the report" + (
                f"; {unfinished} of them have not finished: give their command again" if unfinished else ""
            )
            tell(Said(text=told))
        records = sorted([*records, *before], key=lambda record: list(known).index(record.name))
        names = self._report(records, place, tell)
        failed = [record for record in records if record.error is not None]
        for record in failed:
            tell(Said(text=f"failed: {record.name}: {record.error}"))
        failure = f"{len(failed)} of {len(records)} trials failed; the same command tries them again."
        return Outcome(names, failure if failed else None)

    def _tell_unseen(self, policy: str, tell: Tell) -> None:
        """Read the policy, and tell what is another than where it was trained and does not show in what it sees."""
        from meqc_marl.policies.learned import load_policy

        if unseen := load_policy(policy).unseen_in(self.base.scenario):
            tell(Said(text=f"not seen by the policy: {', '.join(unseen)}"))

    def _report(self, records: Sequence[TrialRecord], place: Place, tell: Tell) -> tuple[str, ...]:
        """Tell the table and write the files of REPORT; their names."""
        from meqc_marl.evaluation.grid import grid_json, grid_points
        from meqc_marl.evaluation.held_out import held_out_traces
        from meqc_marl.report.grid import grid_table, save_grid_plot
        from meqc_marl.report.tables import save_json

        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            save_json({"trials": [asdict(record) for record in records]}, folder / "trials.json")
            measured = [
                (float(record.labels["v"]), float(record.labels["delta"]), record.metrics)
                for record in records
                if record.metrics and record.error is None
            ]
            if measured:
                scenario = self.base.scenario
                points = grid_points(
                    scenario, held_out_traces(scenario, files=self.base.trace), measured, telling(tell)
                )
                show(tell, grid_table(points))
                policy = {} if self.policy is None else {"policy": self.policy}
                save_json(policy | {"points": grid_json(points)}, folder / "sweep-points.json")
                save_grid_plot(points, folder / "sweep.png")
            return put(folder, REPORT, place)


def put(folder: Path, names: Sequence[str], place: Place) -> tuple[str, ...]:
    """Write those files of a folder that there are into the storage; their names."""
    there = tuple(name for name in names if (folder / name).exists())
    for name in there:
        place.lease.check()
        place.storage.write(name, (folder / name).read_bytes())
    return there


def sweep_study(base: Run, v: Sequence[float], delta: Sequence[float], seeds: Sequence[int]) -> dict[str, Run]:
    """The trials of a grid.

    Args:
        base: What all have in common; its V, Delta, seed and labels do not count.
        v, delta: Grid.
        seeds: Training seeds.

    Raises:
        InputError: If a value is not allowed, or one is given twice.
    """
    for name, values in (("v", v), ("delta", delta), ("seeds", seeds)):
        if not values or len(set(values)) < len(values):
            raise InputError(f"{name} is {list(values)}; each of one or more values must be given once.")
    study = {}
    for at_v in v:
        for at_delta in delta:
            here = load_scenario(base.scenario, [f"lyapunov.v={at_v!r}", f"lyapunov.delta={at_delta!r}"])
            for seed in seeds:
                labels = {"v": at_v, "delta": at_delta, "seed": seed}
                update = {"scenario": here, "seed": seed, "labels": labels}
                study[f"v={at_v!r},delta={at_delta!r},seed={seed}"] = base.model_copy(update=update)
    return study
