"""Where a task can run."""

from __future__ import annotations

from enum import IntEnum


class Mode(IntEnum):
    """Where the share that is sent away runs."""

    LOCAL = 0
    CPU = 1
    QPU = 2


REMOTE = (Mode.CPU, Mode.QPU)
"""The modes that send something away."""
FIRST_REMOTE = Mode.CPU
"""Arrays by ``Mode`` hold the remote places from here on."""
