"""Carry a job out: on this machine, or on the cluster that this process belongs to."""

from __future__ import annotations

from contextlib import nullcontext

from meqc_marl.errors import InputError
from meqc_marl.jobs.interrupted import Interrupted
from meqc_marl.jobs.job import Place, check_placement
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.ownership import owned
from meqc_marl.jobs.protocol import Report, Said, Tell
from meqc_marl.jobs.session import local_ray, quiet
from meqc_marl.storage import Storage
from meqc_marl.uris import check_place


def perform(description: Description, tell: Tell, *, resume: bool = True) -> Storage:
    """Do what has not been done yet, with the report in the storage.

    Args:
        description: The job.
        tell: Takes its messages.
        resume: Go on with what is in the storage; otherwise it is refused.

    Returns:
        The storage.

    Raises:
        InputError: If it cannot be done, or not all of it; what is done stays.
        Interrupted: If it was interrupted; the same command goes on.
    """
    quiet()
    job, placement = description.job, description.placement
    check_place(description.where)
    check_placement(placement)
    job.check()
    storage = None
    try:
        with local_ray(job.cpus_of_a_run - 1) if job.needs_ray else nullcontext():
            storage = Storage.open(description.where)
            with owned(storage, job.kind, lambda text: tell(Said(text=text))) as lease:
                place = Place(storage, lease, placement, resume)
                job.begin(place)
                outcome = job.perform(place, tell)
    except Interrupted:
        raise
    except KeyboardInterrupt:  # while Ray starts, or something is evaluated, compared or drawn
        if storage is None or not job.has_begun(storage):
            raise Interrupted("nothing has begun; the same command begins it.", begun=False) from None
        raise Interrupted(f"what is finished is kept in '{storage.shown}'; {job.goes_on}.") from None
    tell(Report(files=outcome.report))
    if outcome.failure is not None:
        raise InputError(outcome.failure)
    return storage
