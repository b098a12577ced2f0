"""The Ray that a job runs on: the one that is there, or one of our own."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._common.utils import get_default_ray_temp_dir

from meqc_marl.dqn_ddpg.memory import left_by_ulimit
from meqc_marl.entry.signals import handlers_as_before
from meqc_marl.errors import InputError
from meqc_marl.jobs.reach import reach

#: What Ray puts below its folder: sockets, whose whole path must fit into 107 bytes (103 on macOS).
_LONGEST_BELOW = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.10"
_SOCKET_BYTES = 103
_ROOM_BYTES = 32 * 2**20
_LEAST_STORE_BYTES, _STORE_BYTES = 80_000_000, 2_000_000_000
_OTHER_FOLDERS = ("/tmp/ray", "/var/tmp/ray", "/dev/shm/ray")


def quiet() -> None:
    """Leave stderr to our progress; RLlib warns about every run, Tune prints what stands in a failed trial's folder."""
    for name in ("ray", "ray.rllib", "ray.tune", "ray._common", "ray._private"):  # some set a level of their own
        logging.getLogger(name).setLevel(logging.ERROR if name != "ray.tune" else logging.CRITICAL)


@contextmanager
def local_ray(num_env_runners: int = 0) -> Iterator[None]:
    """The Ray that this process or cluster has, or one of our own.

    Raises:
        InputError: If the cluster that ``RAY_ADDRESS`` names cannot be reached (told within 30 s), or Ray cannot start
            here. Nothing of the job may have been written by then.
    """
    if ray.is_initialized():
        yield
        return
    quiet()
    # A job on a cluster finds its address here, and must not say how large the cluster is.
    address = os.environ.get("RAY_ADDRESS", "").strip()
    if address in ("", "local"):
        own = {"num_cpus": max(usable_cores(), num_env_runners + 1), "include_dashboard": False}
        if (left := left_by_ulimit()) is not None:  # Ray would map a third of the machine's memory, several times
            own["object_store_memory"] = max(_LEAST_STORE_BYTES, min(_STORE_BYTES, left // 16))
        start_ray(address="local", **own, **_session_folder())
    else:
        start_ray(address=reach(address))
    try:
        yield
    finally:
        ray.shutdown()


def usable_cores() -> int:
    """Cores that this process may run on, which ``taskset`` and batch systems make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_ray(**options: Any) -> None:
    """``ray.init`` without a word on stderr, and without its handler of SIGTERM in the place of ours.

    Raises:
        InputError: If it fails.
    """
    try:
        with handlers_as_before(signal.SIGTERM):
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises many kinds, some of them no more than Exception
        ray.shutdown()
        said = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise InputError(f"Ray does not start: {said}.") from error


def _session_folder() -> dict[str, str]:
    """Where Ray keeps its sockets and logs, if its own choice (RAY_TMPDIR, TMPDIR, /tmp) will not do."""
    own = get_default_ray_temp_dir()
    reason = _unfit(own)
    if reason is None:
        return {}
    for folder in _OTHER_FOLDERS:
        if _unfit(folder) is None:
            return {"_temp_dir": folder}
    raise InputError(
        f"Ray's session folder '{own}' cannot be used ({reason}), nor {', '.join(_OTHER_FOLDERS)}; set RAY_TMPDIR to a "
        f"folder of at most {_SOCKET_BYTES - len(_LONGEST_BELOW) - len('/ray')} characters with "
        f"{_ROOM_BYTES // 2**20} MiB of room."
    )


def _unfit(folder: str) -> str | None:
    """Why Ray cannot have a session there; None if it can."""
    if len(os.fsencode(os.path.abspath(folder) + _LONGEST_BELOW)) > _SOCKET_BYTES:
        return "its path is too long for sockets"
    there = Path(folder)
    is_new = not there.exists()
    try:
        there.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=there).close()
        free = shutil.disk_usage(there).free
        if is_new:
            there.rmdir()
    except OSError as error:
        return error.strerror or str(error)
    return None if free >= _ROOM_BYTES else f"it has {free / 2**20:.0f} MiB of room"
