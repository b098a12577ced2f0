"""``meqc-marl submit``: any job on a Ray cluster, checked and followed from here, its report brought here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Union

import tyro

from meqc_marl.cli.benchmark import NamedBenchmark
from meqc_marl.cli.figure import NamedFigure
from meqc_marl.cli.job_options import OptionalText, StoragePlace
from meqc_marl.cli.options import InputFile, read_mapping
from meqc_marl.cli.search import SearchOptions
from meqc_marl.cli.sweep import SweepOptions
from meqc_marl.cli.train import TrainOptions
from meqc_marl.errors import InputError
from meqc_marl.jobs.job import Job
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.run import Placement
from meqc_marl.jobs.sweep import SweepJob
from meqc_marl.report.plain import plain_console
from meqc_marl.uris import check_address, check_place

_Out = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Which cluster, and how the job gets there."""

    address: str = "http://127.0.0.1:8265"
    """Of the cluster's dashboard; forward its port rather than open it."""
    storage: StoragePlace = None
    """Where the job is kept: a bucket (s3://, gs://) or a folder that every node shares. Needed."""
    out: _Out = None
    """Folder here for the report; by default results/ and the kind of the job."""
    runtime_env: InputFile = None
    """YAML file of Ray's runtime environment, for a cluster without this package."""
    python: str = "python"
    """The cluster's Python that has this package, such as /opt/venv/bin/python."""
    driver_resource: OptionalText = None
    """Custom resource of the machines that drivers run on; by default the head."""
    dry_run: bool = False
    """Check everything that can be checked here, tell what would be done, and stop."""

    def job(self) -> Job:
        """What is done, checked."""
        raise NotImplementedError

    def placement(self) -> Placement:
        """Where and how its runs run."""
        raise NotImplementedError

    def run(self) -> None:
        """Check, submit or find again, follow, fetch."""
        self.check_place()
        check_address(self.address)
        for place in getattr(self, "trace", ()):
            if "://" not in place and not Path(place).is_absolute():
                raise InputError(
                    f"trace '{place}' is not an absolute path; every node must reach it: give a URI (s3://, gs://), or "
                    "a folder that all share."
                )
        self.send(self.job(), self.placement())

    def check_place(self) -> str:
        """The storage, by the name that jobs on it are told by.

        Raises:
            InputError: If it is missing, or one that the cluster would refuse or take for another.
        """
        if self.storage is None:
            raise InputError("storage is missing; it must be a bucket or a folder that every node shares (--storage).")
        check_place(self.storage)
        if "://" not in self.storage and not Path(self.storage).is_absolute():
            raise InputError(f"storage '{self.storage}' is not an absolute path; each node would have one of its own.")
        return self.storage.rstrip("/")

    def send(self, job: Job, placement: Placement) -> None:
        """Submit a job that is checked, or find it again; follow it and fetch its report."""
        runtime_env = read_mapping("runtime-env", self.runtime_env) if self.runtime_env else {}
        description = Description(job, self.check_place(), placement)
        console = plain_console()
        for what, told in self._plan(description):
            console.print(f"{what}: {told}", highlight=False, soft_wrap=True, markup=False)
        if self.dry_run:
            return
        from meqc_marl.cluster.client import JobClient
        from meqc_marl.cluster.submission import Submission
        from meqc_marl.jobs.here import showing

        client = JobClient(self.address)
        submission = Submission(client, description, runtime_env, self.driver_resource, self.python)
        name = submission.start()
        console.print(f"job: {name}", highlight=False)
        try:
            with showing() as tell:
                report, failure = submission.follow(name, tell)
            files = submission.fetch(report, self._out(job)) if report is not None and report.files else []
        except KeyboardInterrupt:
            print(
                f"job {name} goes on; the same command follows it again, and this ends it: "
                f"ray job stop --address {self.address} {name}",
                flush=True,
            )
            raise
        for path in files:
            console.print(f"fetched: {path}", highlight=False, soft_wrap=True)
        if failure is not None:
            raise failure

    def _out(self, job: Job) -> Path:
        return Path("results") / job.kind if self.out is None else self.out

    def _plan(self, description: Description) -> list[tuple[str, str]]:
        job, runs = description.job, description.job.runs()
        steps, cpus = sum(run.env_steps for run in runs.values()), job.cpus_of_a_run
        return [
            ("cluster", self.address),
            ("job", job.kind),
            ("trials", f"{len(runs)}, {cpus} CPUs each; all at once {cpus * len(runs):,} CPUs"),
            ("environment steps", f"{steps:,} in all"),
            ("storage", description.where),
            (
                "driver",
                "on the head" if self.driver_resource is None else f"on a machine with '{self.driver_resource}'",
            ),
            ("python", self.python),
            ("runtime environment", str(self.runtime_env or "that of the cluster")),
            ("description", description.to_json()),
        ]


@dataclass(frozen=True, kw_only=True)
class SubmitTrain(TrainOptions, ClusterOptions):
    """Train a policy on a cluster; the same command goes on with a run that was interrupted, or extends it."""


@dataclass(frozen=True, kw_only=True)
class SubmitSweep(SweepOptions, ClusterOptions):
    """Run a sweep on a cluster; the same command goes on with it, one with more values or seeds extends it."""

    def job(self) -> SweepJob:
        """What is done, checked; a policy is read on the cluster."""
        if self.policy is not None and "://" not in self.policy and not Path(self.policy).is_absolute():
            raise InputError(f"policy '{self.policy}' is not an absolute path; each node would have one of its own.")
        return super().job()


@dataclass(frozen=True, kw_only=True)
class SubmitSearch(SearchOptions, ClusterOptions):
    """Search for the learner's parameters on a cluster; the same command goes on, one with more trials extends it."""


@dataclass(frozen=True, kw_only=True)
class SubmitFigure(NamedFigure, ClusterOptions):
    """Make a figure of the paper on a cluster; the same command goes on with it."""


@dataclass(frozen=True, kw_only=True)
class SubmitBenchmark(NamedBenchmark, ClusterOptions):
    """Measure the learner on a cluster; the same command goes on with it."""


_Jobs = Union[  # noqa: UP007
    Annotated[SubmitTrain, tyro.conf.subcommand("train")],
    Annotated[SubmitSweep, tyro.conf.subcommand("sweep")],
    Annotated[SubmitSearch, tyro.conf.subcommand("search")],
    Annotated[SubmitFigure, tyro.conf.subcommand("figure")],
    Annotated[SubmitBenchmark, tyro.conf.subcommand("benchmark")],
]


@dataclass(frozen=True)
class SubmitCommand:
    """Run a job on a Ray cluster; the same command goes on with one that was interrupted, or follows it again."""

    job: _Jobs

    def run(self) -> None:
        """Check, submit or find again, follow, fetch."""
        self.job.run()
