"""A job sent to a cluster, followed from outside, its report brought here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meqc_marl.cluster.archive import save, unpack
from meqc_marl.cluster.client import WAITING, JobClient, Needs
from meqc_marl.cluster.entry import NO_PYTHON, archive_command, digest_of, job_command, with_description
from meqc_marl.errors import InputError
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.protocol import Failure, Report, Said, Tell, decode

SLIVER = 0.001
"""Share of a custom resource that a driver takes."""


@dataclass(frozen=True)
class Submission:
    """A job for a cluster.

    Attributes:
        client: Of the cluster.
        description: The job.
        runtime_env: Ray's runtime environment.
        driver_resource: Custom resource of the machines that drivers run on; None for any, which is the head.
        python: The cluster's Python that runs it.
    """

    client: JobClient
    description: Description
    runtime_env: dict[str, Any]
    driver_resource: str | None = None
    python: str = "python"

    def start(self) -> str:
        """See what can be seen from outside, and submit the job, or find it again if it works already; its name.

        Raises:
            InputError: If the cluster does not take it, or does other work on the storage.
        """
        placement, where = self.description.placement, self.description.where
        self.client.check()
        for name in {self.driver_resource, placement.learner_resource} - {None} if not placement.autoscaling else ():
            self.client.check_resource(str(name))
        digest = digest_of(self.description)
        job = self.client.running(where, digest)
        if job is not None:
            return job
        learns = self.description.job.learns_in_driver
        needs = Needs(self._resources(), cpus=1.0 if learns else 0.0, gpus=placement.gpus if learns else 0.0)
        runtime_env = with_description(self.runtime_env, self.description)
        return self.client.submit(job_command(self.python), {"storage": where, "digest": digest}, runtime_env, needs)

    def follow(self, job: str, tell: Tell) -> tuple[Report | None, InputError | None]:
        """Pass on what a job says until it ends.

        Returns:
            What it left in its storage, also where it could not do all; and an error with its reason, if it failed.
        """
        report, failure, last = None, None, ""
        for line in self.client.follow(job):
            message = decode(line)
            if message is None:
                if line.strip():
                    tell(Said(text=line))
                    last = "" if line.startswith(WAITING) else line.strip()
            elif isinstance(message, Report):
                report = message
            elif isinstance(message, Failure):
                failure = message.sentence
            else:
                tell(message)
        status, message_of_ray = self.client.status(job)
        if status == "SUCCEEDED":
            return report, None
        if f"exit code {NO_PYTHON}" in message_of_ray:
            last = f"the cluster has no '{self.python}'; name its Python that has this package (--python)"
        reason = (failure or last or message_of_ray or "it said nothing").rstrip(".")
        # A job that could say why also says what to do, and what it refused would be refused again.
        again = "" if failure else "; the same command goes on with it"
        return report, InputError(f"job {job} has {status.lower()}: {reason}{again}.")

    def fetch(self, report: Report, out: Path) -> list[Path]:
        """Bring the files of a report here, by a job that prints them: no other way in or out is needed.

        Raises:
            InputError: If they do not come.
        """
        if other := [name for name in report.files if not self.description.job.reports(name)]:
            raise InputError(
                f"the job names {other[0][:40]!r} in its report, which no {self.description.job.kind} has."
            )
        command = archive_command(self.python, self.description.where, report.files)
        job = self.client.submit(command, {}, self.runtime_env, Needs(self._resources()))
        for _ in self.client.follow(job):
            pass
        return save(unpack(self.client.log(job), report.files), out)

    def _resources(self) -> dict[str, float]:
        return {self.driver_resource: SLIVER} if self.driver_resource else {}
