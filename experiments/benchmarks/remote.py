"""Independent pieces of work, one core each, on whatever cores Ray has; finished ones are kept and not repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import ray

from meqc_marl.errors import InputError
from meqc_marl.jobs.job import Place
from meqc_marl.jobs.protocol import Tell, TrialsProgress

Work = Mapping[str, Callable[[], dict[str, Any]]]
"""What is done, by the name of its result."""


def perform_missing(work: Work, place: Place, tell: Tell) -> None:
    """Do what has no result yet and store what it returns, as ``NAME.json``.

    A machine that is lost has its pieces done again by others.

    Raises:
        InputError: If a piece fails; what has finished stays.
    """
    waiting = {name: piece for name, piece in work.items() if place.storage.read_named(f"{name}.json") is None}
    done = len(work) - len(waiting)
    remote = ray.remote(num_cpus=1, max_retries=place.placement.max_failures)(lambda piece: piece())
    pending = {remote.remote(piece): name for name, piece in waiting.items()}
    while pending:
        # The rest waits for a core; a cluster that grows has more cores the next time.
        running = min(len(pending), int(ray.cluster_resources().get("CPU", 0)))
        tell(TrialsProgress(finished=done, running=running, failed=0, total=len(work)))
        ready, _ = ray.wait(list(pending))
        for reference in ready:
            name = pending.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                last = str(error).strip().splitlines()[-1]
                raise InputError(f"{name} failed: {last}; the same command tries it again.") from error
            place.lease.check()
            place.storage.write(f"{name}.json", json.dumps(result, indent=1).encode())
            done += 1
    tell(TrialsProgress(finished=done, running=0, failed=0, total=len(work)))
