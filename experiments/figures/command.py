"""What the command line of a figure takes, and what it does here: ``meqc-marl figure 5a``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.run import Placement

if TYPE_CHECKING:
    from experiments.figures.job import FigureJob


@dataclass(frozen=True)
class FigureOptions:
    """Options of every figure."""

    scale: str = "quick"
    """smoke (tests), quick (two cores) or paper (a cluster)."""
    exact_only: bool = False
    """The exact solvers only, no training."""

    def job_of(self, name: str) -> FigureJob:
        """The job of one figure."""
        from experiments.figures.job import FigureJob

        job = FigureJob(name=name, scale=self.scale, exact_only=self.exact_only)
        job.check()
        return job


@dataclass(frozen=True)
class FigureHere(FigureOptions):
    """Make a figure on this machine, or on the cluster that it belongs to."""

    out: Path = Path("results/figures")
    """Folder of data file and pictures, in a folder for each scale."""
    storage: Annotated[str | None, tyro.conf.arg(metavar="FOLDER|URI", help_behavior_hint="")] = None
    """Folder or bucket (s3://, gs://) of its training runs; by default one below results/figures. The same command goes
    on where it was stopped."""

    def make(self, name: str, placement: Placement) -> None:
        """Train what is missing, evaluate, draw and judge."""
        from experiments.figures.job import figure_of
        from meqc_marl.jobs.here import carry_out

        job = self.job_of(name)
        where = self.storage or str(Path("results/figures") / job.folder / figure_of(name).name)
        carry_out(Description(job, where, placement), out=self.out / job.folder)
