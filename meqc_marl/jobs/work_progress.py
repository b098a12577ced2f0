"""Work of a job that is no training, such as an evaluation, told in the job's messages."""

from __future__ import annotations

import time
from collections.abc import Callable

from meqc_marl.jobs.protocol import Tell, WorkProgress

TOLD_EVERY_S = 1.0
"""Seconds between two messages of one piece of work: each is a line in a cluster's log."""


def telling(tell: Tell) -> Callable[[str, int, str], Callable[[], None]]:
    """What begins a piece of work (label, steps, their unit; 0 steps: unknown), and gives what to call at each step."""

    def begin(label: str, total: int, unit: str) -> Callable[[], None]:
        done, told_at = 0, time.monotonic()
        tell(WorkProgress(label=label, unit=unit, done=0, total=total))

        def step() -> None:
            nonlocal done, told_at
            done += 1
            if done == total or time.monotonic() - told_at >= TOLD_EVERY_S:
                told_at = time.monotonic()
                tell(WorkProgress(label=label, unit=unit, done=done, total=total))

        return step

    return begin
