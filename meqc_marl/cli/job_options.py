"""Options that the commands of several jobs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from meqc_marl.errors import InputError, at_least
from meqc_marl.jobs.job import check_placement
from meqc_marl.jobs.run import Placement

OptionalText = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
StoragePlace = Annotated[str | None, tyro.conf.arg(metavar="FOLDER|URI", help_behavior_hint="")]
"""A folder, or a bucket (``s3://``, ``gs://``)."""


Track = Annotated[
    tyro.conf.UseAppendAction[tuple[Literal["mlflow", "wandb"], ...]],
    tyro.conf.arg(
        metavar="{mlflow,wandb}",
        help="Tell MLflow or Weights & Biases as well, from the extra of that name; may be repeated.",
    ),
]
"""``--track mlflow``."""


def placement_of(**given: object) -> Placement:
    """A placement from options, checked.

    Raises:
        InputError: If a value is not allowed.
    """
    gpus = given.get("gpus", 0.0)
    assert isinstance(gpus, int | float)
    if not 0.0 <= gpus < float("inf"):
        raise InputError(f"gpus: {gpus:g} is not allowed; it must be at least 0.")
    if isinstance(failures := given.get("max_failures", 0), int):
        at_least("max-failures", failures, -1)
    seconds = given.get("checkpoint_every_s", 0.0)
    assert isinstance(seconds, int | float)
    if not seconds >= 0.0:
        raise InputError(f"checkpoint-every-s: {seconds:g} is not allowed; it must be at least 0.")
    placement = Placement.model_validate(given)
    check_placement(placement)
    return placement


@dataclass(frozen=True)
class StudyOptions:
    """Where and how the trials of a study run."""

    learner_resource: OptionalText = None
    """Custom resource of the machines on which Learners run, such as driver; by default they run on any."""
    gpus: float = 0.0
    """Graphics processors of a trial's Learner; a fraction shares one."""
    max_failures: int = 3
    """Times that a trial is started again after its process or machine died; -1 for any number."""
    autoscaling: bool = False
    """The cluster grows by itself: do not refuse a trial larger than the cluster is now."""
    track: Track = ()

    def placement(self) -> Placement:
        """The same as data."""
        return placement_of(
            learner_resource=self.learner_resource,
            gpus=self.gpus,
            max_failures=self.max_failures,
            autoscaling=self.autoscaling,
            track=self.track,
        )
