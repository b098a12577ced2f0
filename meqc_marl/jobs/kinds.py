"""The kinds of jobs, by name; a new one is a class of :class:`~meqc_marl.jobs.job.Job` and a line here."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from meqc_marl.errors import InputError, did_you_mean
from meqc_marl.jobs.job import Job
from meqc_marl.jobs.run import Placement

KINDS: dict[str, str] = {
    "train": "meqc_marl.jobs.train:TrainJob",
    "sweep": "meqc_marl.jobs.sweep:SweepJob",
    "search": "meqc_marl.jobs.search:SearchJob",
    "figure": "experiments.figures.job:FigureJob",
    "benchmark": "experiments.benchmarks.job:BenchmarkJob",
}
"""Name to ``module:class``, imported when a job of that kind is made: those above this room come last."""


VARIABLE = "MEQC_MARL_JOB"
"""Of a job's environment on a cluster: its description, as JSON."""


def kind_of(name: str) -> type[Job]:
    """The class of a kind.

    Raises:
        InputError: If there is none of this name.
    """
    if name not in KINDS:
        raise InputError(f"job kind '{name}' is unknown{did_you_mean(name, KINDS)}")
    module, _, attribute = KINDS[name].partition(":")
    found: type[Job] = getattr(importlib.import_module(module), attribute)
    return found


@dataclass(frozen=True)
class Description:
    """A job and where it is carried out: all that a machine of a cluster needs to know.

    Attributes:
        job: What is done.
        where: The storage, a folder or URI.
        placement: Where and how its runs run.
    """

    job: Job
    where: str
    placement: Placement

    def to_json(self) -> str:
        """As text."""
        content: dict[str, Any] = {
            "kind": self.job.kind,
            "job": self.job.model_dump(mode="json"),
            "storage": self.where,
            "placement": self.placement.model_dump(mode="json"),
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Description:
        """From text.

        Raises:
            InputError: If it is no job, such as one of another version of this package.
        """
        try:
            content = json.loads(text)
            job = kind_of(content["kind"]).model_validate(content["job"])
            return cls(job, content["storage"], Placement.model_validate(content["placement"]))
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            told = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
            where = ".".join(map(str, told["loc"])) or "it"
            raise InputError(
                f"the job's description is not understood ({where}: {told['msg']}); client and cluster must have the "
                "same version of this package."
            ) from error
