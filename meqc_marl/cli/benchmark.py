"""``meqc-marl benchmark``: how good the learner is, on this system and on public tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from experiments.benchmarks.command import BenchmarkHere, BenchmarkOptions
from meqc_marl.cli.job_options import StudyOptions

if TYPE_CHECKING:
    from experiments.benchmarks.job import BenchmarkJob


@dataclass(frozen=True, kw_only=True)
class NamedBenchmark(BenchmarkOptions, StudyOptions):
    """Which benchmark, here or on a cluster."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """quality, ablation, cooperation, platform or public."""

    def job(self) -> BenchmarkJob:
        """The job, checked."""
        return self.job_of(self.name)


@dataclass(frozen=True, kw_only=True)
class BenchmarkCommand(BenchmarkHere, NamedBenchmark):
    """Measure the learner: quality (beside the oracle), ablation (each option), cooperation (devices that share),
    platform and public (public tasks)."""

    def run(self) -> None:
        """Measure."""
        self.measure(self.name, self.placement())
