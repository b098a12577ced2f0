"""One kind of thing to do with runs, as data: a kind, its runs, a storage, a report.

A job is a model of pydantic, so it travels as JSON. :data:`~meqc_marl.jobs.kinds.KINDS` says where each kind is.
"""

from __future__ import annotations

import io
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from meqc_marl.errors import InputError
from meqc_marl.jobs.manifest import first_difference, plain
from meqc_marl.jobs.protocol import Said, Tell
from meqc_marl.jobs.run import RAYS_OWN, Placement, Run, completed, wherever_they_lie

if TYPE_CHECKING:
    from meqc_marl.jobs.ownership import Lease
    from meqc_marl.storage import Storage

_JOB_FILE = "job.json"


@dataclass(frozen=True)
class Place:
    """Where a job is carried out.

    Attributes:
        storage: Where all of it is kept; owned by the job.
        lease: Of the storage.
        placement: Where and how its runs run.
        resume: Go on with what is there; otherwise it is refused.
    """

    storage: Storage
    lease: Lease
    placement: Placement
    resume: bool


@dataclass(frozen=True)
class Outcome:
    """What a job has done.

    Attributes:
        report: Names of its files in the storage.
        failure: Why not all is done, in one sentence; None if all is.
    """

    report: tuple[str, ...]
    failure: str | None = None


class Job(BaseModel, ABC):
    """What is done, complete as data; two commands with equal jobs do the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    """Name of the kind."""

    @abstractmethod
    def runs(self) -> Mapping[str, Run]:
        """Its training runs by the names of their folders; of a search, as many as it may make.

        Raises:
            InputError: If a value is not allowed.
        """

    @abstractmethod
    def perform(self, place: Place, tell: Tell) -> Outcome:
        """Do what has not been done in the storage yet, and write the report there.

        Raises:
            InputError: If it cannot be done.
            Interrupted: If it was interrupted; the same command goes on.
        """

    @property
    def goes_on(self) -> str:
        """How it goes on after an interruption, as the end of a sentence."""
        return "the same command goes on"

    def has_begun(self, storage: Storage) -> bool:
        """Whether the storage holds something to go on with."""
        return stored_job(storage)[0] is not None

    def common(self) -> dict[str, Any]:
        """What two commands on one storage must have in common; a job that is extended has more besides."""
        return self.model_dump(mode="json")

    def check(self) -> None:
        """See all that can be seen without a cluster: the runs, and the learner's parameters.

        Raises:
            InputError: If a value is not allowed.
        """
        from meqc_marl.jobs.configuration import configuration
        from meqc_marl.jobs.session import quiet

        quiet()
        for run in self.runs().values():
            configuration(run)  # knows which parameters a learner has
            return

    @property
    def cpus_of_a_run(self) -> int:
        """Cores that a run needs."""
        return 1 + max((run.num_env_runners for run in self.runs().values()), default=0)

    @property
    def needs_ray(self) -> bool:
        """Whether it runs on Ray at all."""
        return True

    @property
    def learns_in_driver(self) -> bool:
        """Whether the job's own process is the Learner's, and needs the core or the graphics processor itself."""
        return False

    @abstractmethod
    def reports(self, name: str) -> bool:
        """Whether a file of this name may be in its report; what a cluster's job says is read like a stranger's."""

    def begin(self, place: Place) -> None:
        """Write down what the storage is used for.

        Raises:
            InputError: If it is used for something else; that names the first difference.
        """
        kind, common = stored_job(place.storage)
        if kind is None:
            content = {"kind": self.kind, "common": self.common()}
            place.storage.write(_JOB_FILE, json.dumps(content, indent=1).encode())
            return
        mine = plain(self.common())
        theirs = wherever_they_lie(completed(common, mine))
        other = f"a {kind}" if kind != self.kind else first_difference(theirs, wherever_they_lie(mine))
        if other is not None:
            raise InputError(
                f"output folder '{place.storage.shown}' holds other work than this {self.kind} ({other}); give what is "
                "there, or name another folder."
            )


def stored_job(storage: Storage) -> tuple[str | None, dict[str, Any]]:
    """Kind of the job that a storage is used for, and what its commands have in common; None if there is none yet.

    Raises:
        InputError: If it cannot be read.
    """
    found = storage.read_object(_JOB_FILE)
    if found is None:
        return None, {}
    try:
        return str(found["kind"]), dict(found["common"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{_JOB_FILE} in '{storage.shown}' is damaged; it must hold a job's kind and options."
        ) from error


def rendered(*parts: Any) -> str:
    """Rich tables and text as plain text, as wide as the terminal."""
    console = Console(file=io.StringIO(), width=shutil.get_terminal_size((120, 24)).columns, color_system=None)
    for part in parts:
        console.print(part, highlight=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n")


def show(tell: Tell, *parts: Any) -> None:
    """Tell rich tables and text."""
    tell(Said(text=rendered(*parts)))


def check_placement(placement: Placement) -> None:
    """See that a placement is one.

    Raises:
        InputError: If a custom resource is none.
    """
    if placement.learner_resource in RAYS_OWN:
        raise InputError(
            f"learner-resource is '{placement.learner_resource}'; it must be the name of a custom resource, not one of "
            + ", ".join(RAYS_OWN)
            + "."
        )
