"""Who owns a place: a process on a host, and whether it is still there."""

from __future__ import annotations

import json
import os
import platform
import secrets
import socket
import time
import uuid
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """What a lease says.

    Attributes:
        token: Of this one lease, random.
        host, machine, boot, pids: Name, hardware address, boot and process namespace of the host.
        pid, began: Of the process: its number, and when it began in ticks of the kernel.
        since: Time of the first writing, for people.
        beat_s: Seconds between renewals.
        beat: Renewals so far.
        is_free: Whether it was given back.
    """

    token: str
    host: str
    machine: str
    boot: str
    pids: str
    pid: int
    began: str
    since: str
    beat_s: float
    beat: int = 0
    is_free: bool = False

    @classmethod
    def this_process(cls, beat_s: float) -> Owner:
        """A new lease of this process."""
        return cls(
            token=secrets.token_hex(16),
            host=socket.gethostname(),
            machine=f"{platform.machine()}-{uuid.getnode():012x}",
            boot=_text("/proc/sys/kernel/random/boot_id"),
            pids=_link("/proc/self/ns/pid"),
            pid=os.getpid(),
            began=_began(os.getpid()) or "",
            since=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
            beat_s=beat_s,
        )

    def is_alive(self) -> bool | None:
        """Whether the process is there, as far as this host can tell at once; None if it cannot."""
        here = Owner.this_process(0.0)
        if self.is_free:
            return False
        if (self.host, self.machine) != (here.host, here.machine) or not self.boot or not self.began:
            return None
        if self.boot != here.boot:
            return False
        # Containers share the boot and have process numbers of their own.
        return _began(self.pid) == self.began if self.pids == here.pids else None

    def __str__(self) -> str:
        return f"process {self.pid} on host '{self.host}' (since {self.since})"

    def to_bytes(self) -> bytes:
        """As a lease's file holds it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes | None) -> Owner | None:
        """Inverse of :meth:`to_bytes`; None if it is torn, or just being written."""
        try:
            given = json.loads(raw or b"")
            sound = all(type(given[field.name]).__name__ == field.type for field in fields(cls))
            return cls(**given) if sound else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return None


def _began(pid: int) -> str | None:
    """When a process began, in ticks of the kernel; None if it is not there, or is but a zombie."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
