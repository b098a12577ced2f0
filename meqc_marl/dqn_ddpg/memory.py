"""How much memory a process may still take, so that sizes are decided before it is taken."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_SHARE = 0.75
"""Of what is left that one thing may take: a library that asks for memory in vain ends the process without a word."""
_CGROUPS = (("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),)
_UNLIMITED = 2**62


def most_bytes() -> int:
    """Bytes that one array, or several of one kind, may take: three quarters of what is left to the process.

    Left is the least of what the machine has, what its container may take and what ``ulimit -v`` leaves.
    """
    return int(_SHARE * max(0, min(_of_machine(), _of_container(), left_by_ulimit() or _UNLIMITED)))


def _of_machine() -> int:
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _UNLIMITED


def _of_container() -> int:
    for limit, taken in _CGROUPS:
        with suppress(OSError, ValueError):
            return int(Path(limit).read_text()) - int(Path(taken).read_text())
    return _UNLIMITED


def left_by_ulimit() -> int | None:
    """Bytes of address space that ``ulimit -v`` leaves to this process; None where there is no limit."""
    if sys.platform != "linux":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    taken = 0
    with suppress(OSError, ValueError):
        taken = os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[0])
    return int(max(1, limit - taken))
