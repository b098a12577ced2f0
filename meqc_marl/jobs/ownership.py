"""One owner at a time for the folder or bucket of a run, a sweep or a search.

The owner is whoever wrote the lease with the highest number, ``owner.000001.json``. A lease says who holds it (host,
process, when that process began, boot of the host) and is renewed by a thread; a random token tells it from others.

- **Alive or dead.** On the same host, at the same boot, the process table is asked: at once, also after ``kill -9``.
  After a reboot of the same machine the owner is dead. Elsewhere a lease is watched: one that does not change for
  :data:`STALE_BEATS` of its beats, by the watcher's own monotonic clock, is of a dead owner. No two hosts' clocks are
  compared.
- **Taking over** means to write the lease with the next number. In a folder (also on NFS) the file is created
  exclusively, so one of any number of takers wins. A bucket offers no such thing through pyarrow: there a taker
  writes, waits :data:`SETTLE_S` and reads; the last who wrote wins.
- **Losing.** An owner that was held up for so long that another took over sees a higher number, or another's token
  under its own: :meth:`Lease.check`, called before anything that must not be written twice, refuses from then on.
  Between a check and the write after it an owner can still be held up; a file system alone cannot close that gap.
- **Giving back.** The first lease is removed. A later one stays and says that it is free: else a lease from before
  would count again for an owner that was thought dead.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import BinaryIO

import pyarrow

from meqc_marl.errors import InputError
from meqc_marl.files import replacing, system_words
from meqc_marl.jobs.owner import Owner
from meqc_marl.storage import Storage
from meqc_marl.uris import redacted

BEAT_S = 10.0
"""Seconds between renewals."""
STALE_BEATS = 6
"""Beats without a change after which another host's owner is dead: a minute."""
SETTLE_S = 2.0
"""Seconds between writing a lease into a bucket and believing it."""
_LONGEST_BEAT_S = 60.0
_NAME = re.compile(r"owner\.(\d{6,})\.json")
_FAILURES = (OSError, pyarrow.ArrowException, InputError)


class Lease:
    """What an owner holds; see :func:`owned`."""

    def __init__(self, storage: Storage, number: int, owner: Owner) -> None:
        self._storage, self._number, self._owner = storage, number, owner
        self._lost: str | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether another is known to have taken over, without a look at the storage."""
        return self._lost is not None

    def check(self) -> None:
        """See that this process is still the owner.

        Raises:
            InputError: If another has taken over: nothing more may be written. Or the storage cannot be read.
        """
        if self._lost is None:
            try:
                number, raw = _newest(self._storage)
            except _FAILURES as error:
                raise InputError(f"the owner of '{self._storage.shown}' cannot be read: {error}.") from error
            other = Owner.from_bytes(raw)
            if number != self._number or other is None or other.token != self._owner.token:
                self._lost = "nobody known" if other is None else str(other)
        if self._lost is not None:
            raise InputError(
                f"'{self._storage.shown}' was taken over by {self._lost} while this process did not answer; it writes "
                "nothing more there."
            )

    def _begin(self) -> None:
        _HELD[self._storage.root] = self
        self._thread.start()

    def _renew(self) -> None:
        while not self._end.wait(self._owner.beat_s):
            with suppress(*_FAILURES):  # one that cannot be read now is asked again; check() tells
                if self._lost is None:
                    self.check()
                    self._owner = replace(self._owner, beat=self._owner.beat + 1)
                    _put(self._storage, self._number, self._owner)

    def _give_back(self) -> None:
        self._end.set()
        self._thread.join(timeout=5.0)
        _HELD.pop(self._storage.root, None)
        with suppress(*_FAILURES):  # what stays behind is judged as that of a dead process
            self.check()
            if self._number == 1:
                self._storage.filesystem.delete_file(_path(self._storage, 1))
            else:
                _put(self._storage, self._number, replace(self._owner, is_free=True))


_HELD: dict[str, Lease] = {}


def check_held() -> None:
    """See that no lease of this process is known to be lost.

    Raises:
        InputError: If one is.
    """
    for lease in list(_HELD.values()):
        if lease.is_lost:
            lease.check()


@contextmanager
def owned(
    storage: Storage, what: str, tell: Callable[[str], None] | None = None, beat_s: float | None = None
) -> Iterator[Lease]:
    """Own a place while the block runs.

    Args:
        storage: The place.
        what: What is kept there, such as ``run``, for the sentence.
        tell: Told why nothing happens while another host's owner is watched; by default printed on stderr.
        beat_s: Seconds between renewals; by default :data:`BEAT_S`.

    Raises:
        InputError: If another process owns it and is alive, or the storage cannot be written.
    """
    tell = tell or (lambda text: print(text, file=sys.stderr, flush=True))
    lease = _acquire(storage, what, tell, min(BEAT_S if beat_s is None else beat_s, _LONGEST_BEAT_S))
    lease._begin()
    try:
        yield lease
    finally:
        lease._give_back()


def _acquire(storage: Storage, what: str, tell: Callable[[str], None], beat_s: float) -> Lease:
    mine = Owner.this_process(beat_s)
    while True:
        try:
            number, raw = _newest(storage)
            if raw is not None:
                _refuse_if_alive(storage, what, raw, tell)
                if _newest(storage) != (number, raw):
                    continue  # somebody was faster
            if _create(storage, number + 1, mine):
                _remove_older(storage, number + 1)
                return Lease(storage, number + 1, mine)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"'{storage.shown}' cannot be owned: {redacted(system_words(error))}.") from error


def _refuse_if_alive(storage: Storage, what: str, raw: bytes, tell: Callable[[str], None]) -> None:
    """Return if the owner is dead; on another host that takes a while."""
    owner = Owner.from_bytes(raw)
    alive = None if owner is None else owner.is_alive()
    if alive is None:
        patience = STALE_BEATS * (BEAT_S if owner is None else min(max(owner.beat_s, 0.0), _LONGEST_BEAT_S))
        who = "another process" if owner is None else str(owner)
        tell(f"{what} '{storage.shown}' has an owner, {who}; waiting up to {patience:.0f} s for a sign of life")
        alive = _changes(storage, raw, patience)
    if alive:
        told = Owner.from_bytes(_newest(storage)[1]) or owner
        raise InputError(
            f"{what} '{storage.shown}' is in use by {told or 'another process'}; wait until it ends, stop it, or name "
            "another place."
        )


def _changes(storage: Storage, raw: bytes, patience: float) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        time.sleep(min(1.0, patience / 20))
        now = _newest(storage)[1]
        if now != raw:
            owner = Owner.from_bytes(now)
            return now is not None and (owner is None or owner.is_alive() is not False)
    return False


def _create(storage: Storage, number: int, owner: Owner) -> bool:
    """Write a lease that is not there yet; whether it is ours."""
    if storage.is_local:
        try:
            with open(_path(storage, number), "xb") as file:
                _written(file, owner)
        except FileExistsError:
            return False
        return True
    if storage.read(_path(storage, number)) is not None:
        return False
    _put(storage, number, owner)
    time.sleep(SETTLE_S)
    return storage.read(_path(storage, number)) == owner.to_bytes()


def _written(file: BinaryIO, owner: Owner) -> None:
    try:
        file.write(owner.to_bytes())
        file.flush()
        os.fsync(file.fileno())
    except OSError:  # a full disk: an empty lease would be taken for another's
        os.unlink(file.name)
        raise


def _put(storage: Storage, number: int, owner: Owner) -> None:
    if storage.is_local:
        with replacing(_path(storage, number)) as file:
            file.write(owner.to_bytes())
    else:
        storage.write(_name(number), owner.to_bytes())


def _newest(storage: Storage) -> tuple[int, bytes | None]:
    """Number and content of the lease that counts; 0 and None if there is none."""
    while numbers := _numbers(storage):
        content = storage.read(_path(storage, max(numbers)))
        if content is not None:  # else it was given back meanwhile
            return max(numbers), content
    return 0, None


def _numbers(storage: Storage) -> list[int]:
    names = os.listdir(storage.root) if storage.is_local else storage.names(storage.root)
    return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]


def _remove_older(storage: Storage, number: int) -> None:
    for older in _numbers(storage):
        if older < number:
            with suppress(OSError):
                storage.filesystem.delete_file(_path(storage, older))


def _name(number: int) -> str:
    return f"owner.{number:06d}.json"


def _path(storage: Storage, number: int) -> str:
    return f"{storage.root.rstrip('/')}/{_name(number)}"
