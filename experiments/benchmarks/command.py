"""What the command line of a benchmark takes, and what it does here: ``meqc-marl benchmark quality``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from experiments.measured import kept, of_this_kind
from meqc_marl.errors import InputError, within
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.run import Placement

if TYPE_CHECKING:
    from experiments.benchmarks.job import BenchmarkJob

_Count = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Options of every benchmark."""

    seeds: _Count = None
    """Training seeds of every setting; by default those of the published table."""
    env_steps: _Count = None
    """Budget of a run; by default that of the published table."""

    def job_of(self, name: str) -> BenchmarkJob:
        """The job of one benchmark, checked."""
        from experiments.benchmarks.job import BenchmarkJob, module_of

        module = module_of(name)
        for option, value, most in (("seeds", self.seeds, 10_000), ("env-steps", self.env_steps, 10**12)):
            if value is not None:
                within(option, value, 1, most)
        job = BenchmarkJob(name=name, seeds=self.seeds or module.SEEDS, env_steps=self.env_steps or module.ENV_STEPS)
        job.check()
        return job


@dataclass(frozen=True, kw_only=True)
class BenchmarkHere(BenchmarkOptions):
    """Run a benchmark on this machine, or on the cluster that it belongs to."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """Folder of table and results; by default one below results/benchmarks."""
    storage: Annotated[str | None, tyro.conf.arg(metavar="FOLDER|URI", help_behavior_hint="")] = None
    """Folder or bucket (s3://, gs://) of its training runs; by default one below results/benchmarks. The same command
    goes on where it was stopped."""
    only_report: bool = False
    """Print the table of the results in --out, and train nothing."""

    def measure(self, name: str, placement: Placement) -> None:
        """Train what is missing, evaluate, tell the table; or tell that of what there is."""
        from experiments.benchmarks.job import module_of
        from meqc_marl.jobs.here import carry_out

        where = str(Path("results/benchmarks") / name)
        if self.only_report:
            folder = self.out or Path(where)
            results = {path.stem: kept(path) for path in _results(folder)}
            if not results:
                raise InputError(f"folder '{folder}' holds no results; run without --only-report.")
            with of_this_kind(f"folder '{folder}'"):
                print(module_of(name).table(results))
            return
        carry_out(Description(self.job_of(name), self.storage or where, placement), out=self.out)


def _results(folder: Path) -> list[Path]:
    """Files of results, by setting and seed."""
    found = [path for path in folder.glob("*-*.json") if path.stem.rpartition("-")[2].isdecimal()]
    return sorted(found, key=lambda path: (path.stem.rpartition("-")[0], int(path.stem.rpartition("-")[2])))
