"""``meqc-marl figure``: a figure of the paper, with a verdict on each of its claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from experiments.figures.command import FigureHere, FigureOptions
from meqc_marl.cli.job_options import StudyOptions

if TYPE_CHECKING:
    from experiments.figures.job import FigureJob


@dataclass(frozen=True, kw_only=True)
class NamedFigure(FigureOptions, StudyOptions):
    """Which figure, here or on a cluster."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """3a, 3b, 3c, 4, 5a, 5b, 5c or 6; module:function or the name of an entry point for one of your own."""

    def job(self) -> FigureJob:
        """The job, checked."""
        return self.job_of(self.name)


@dataclass(frozen=True, kw_only=True)
class FigureCommand(FigureHere, NamedFigure):
    """Make a figure of the paper: train what is missing, beside the exact solvers, draw, and judge every claim."""

    def run(self) -> None:
        """Make it."""
        self.make(self.name, self.placement())
