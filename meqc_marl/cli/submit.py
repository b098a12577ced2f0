"""``meqc-marl submit``: a sweep as a job of a Ray cluster, checked and followed from here, its report brought here."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meqc_marl.cli.options import InputFile, read_mapping
from meqc_marl.cli.sweep import REPORT, REPORT_TOLD, SweepOptions
from meqc_marl.errors import InputError
from meqc_marl.report.plain import plain_console
from meqc_marl.report.progress import show_trials
from meqc_marl.uris import check_address, check_place

if TYPE_CHECKING:
    from meqc_marl.cluster.client import JobClient

_PROGRESS = re.compile(r"^(\d+) of \d+ trials finished, (\d+) running, (\d+) failed$")


@dataclass(frozen=True)
class SubmitCommand(SweepOptions):
    """Run a sweep on a Ray cluster; the same command goes on with a sweep that was interrupted, or follows it again."""

    address: str = "http://127.0.0.1:8265"
    """Of the cluster's dashboard; forward its port rather than open it."""
    storage: str | None = None
    """Where the sweep is kept: a bucket (s3://, gs://) or a folder that every node shares. Needed."""
    out: Path = Path("results/sweep")
    """Folder here for the report: table, picture, numbers."""
    runtime_env: InputFile = None
    """YAML file of Ray's runtime environment, for a cluster without this package."""
    driver_resource: str | None = None
    """Custom resource of the machines that drivers run on; by default the head."""
    dry_run: bool = False
    """Check everything that can be checked here, tell what would be done, and stop."""

    def run(self) -> None:
        """Check, submit or find again, follow, fetch."""
        if self.storage is None:
            raise InputError("storage is missing; it must be a bucket or a folder that every node shares (--storage).")
        check_address(self.address)
        runtime_env = read_mapping("runtime-env", self.runtime_env) if self.runtime_env else {}
        study = self.study()
        storage = _checked_storage(self.storage)
        needed = (1 + self.num_env_runners) * len(study)
        entrypoint = shlex.join(
            ["python", "-m", "meqc_marl.cli", "sweep", *self.words(), "--storage", storage, "--resume"]
        )
        console = plain_console()
        steps = sum(spec.env_steps for spec in study.values())
        for what, told in (
            ("cluster", self.address),
            ("trials", f"{len(study)}, {1 + self.num_env_runners} CPUs each; all at once {needed:,} CPUs"),
            ("environment steps", f"{steps:,} in all"),
            ("storage", storage),
            (
                "driver",
                "on the head" if self.driver_resource is None else f"on a machine with '{self.driver_resource}'",
            ),
            ("runtime environment", str(self.runtime_env or "that of the cluster")),
            ("command", entrypoint),
        ):
            console.print(f"{what}: {told}", highlight=False, soft_wrap=True, markup=False)
        if self.dry_run:
            return
        from meqc_marl.cluster.archive import save, unpack
        from meqc_marl.cluster.client import JobClient
        from meqc_marl.jobs.configuration import SLIVER

        client = JobClient(self.address)
        client.check()
        for name in {self.driver_resource, self.learner_resource} - {None} if not self.autoscaling else ():
            client.check_resource(str(name))
        job = client.running(entrypoint, storage)
        resources = {self.driver_resource: SLIVER} if self.driver_resource else {}
        if job is None:
            job = client.submit(entrypoint, storage, runtime_env, resources)
        console.print(f"job: {job}", highlight=False)
        try:
            failure, has_report = self._follow(client, job, len(study))
            if failure is not None and not has_report:
                raise failure
            archive = shlex.join(["python", "-m", "meqc_marl.cluster.archive", storage])
            fetch = client.submit(archive, "", runtime_env, resources)
            for _ in client.follow(fetch):
                pass
        except KeyboardInterrupt:
            print(
                f"job {job} goes on; the same command follows it again, and this ends it: "
                f"ray job stop --address {self.address} {job}",
                flush=True,
            )
            raise
        for path in save(unpack(client.log(fetch), REPORT), self.out):
            console.print(f"fetched: {path}", highlight=False, soft_wrap=True)
        if failure is not None:
            raise failure

    def _follow(self, client: JobClient, job: str, total: int) -> tuple[InputError | None, bool]:
        """Show the log, its lines about trials as a bar.

        Returns:
            An error with the last thing that the job said, if it failed; and whether it left a report: it does so even
            if some trials failed.
        """
        from meqc_marl.cluster.client import WAITING

        last, has_report = "", False
        with show_trials(total) as report:
            for line in client.follow(job):
                if progress := _PROGRESS.match(line):
                    finished, running, failed = map(int, progress.groups())
                    report(finished, running, failed)
                elif line.strip():
                    print(line, flush=True)
                    last = "" if line.startswith(WAITING) else line.strip()
                    has_report |= line.startswith(f"{REPORT_TOLD}: ")
        status, message = client.status(job)
        if status == "SUCCEEDED":
            return None, True
        reason = (last or message).removeprefix("error: ").rstrip(".") or "it said nothing"
        return InputError(f"job {job} has {status.lower()}: {reason}; the same command goes on with it."), has_report


def _checked_storage(storage: str) -> str:
    """The name by which jobs on it are told; what the cluster would refuse, or take for another place, is refused."""
    check_place(storage)
    if "://" not in storage and not Path(storage).is_absolute():
        raise InputError(f"storage '{storage}' is not an absolute path; each node would have one of its own.")
    return storage.rstrip("/")
