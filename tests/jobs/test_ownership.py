"""One owner at a time: two at once, kill -9, a reboot, other hosts, races, folders and a bucket."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

import meqc_marl.jobs.owner as owner_module
import meqc_marl.jobs.ownership as module
from meqc_marl.errors import InputError
from meqc_marl.jobs.owner import Owner
from meqc_marl.jobs.ownership import check_held, owned
from meqc_marl.storage import Storage
from tests.cluster.test_bucket import BUCKET, server, uri  # noqa: F401 (a fixture)
from tests.sentences import is_one_sentence

HOLD = """
import sys, time
from meqc_marl.jobs.ownership import owned
from meqc_marl.storage import Storage
with owned(Storage.open(sys.argv[1]), "run", beat_s=0.1):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["folder", "bucket"])
def storage(request, tmp_path, monkeypatch):
    """A folder, and a bucket on an S3 server."""
    if request.param == "folder":
        return Storage.open(tmp_path / "run")
    monkeypatch.setattr(module, "SETTLE_S", 0.2)
    address, _ = request.getfixturevalue("server")
    return Storage.open(uri(address, BUCKET).replace("/sweep?", f"/{tmp_path.name}?"))  # the server forgets nothing


@contextlib.contextmanager
def holder(storage):
    """Another process that owns it."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, storage.uri], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def quiet(text):
    """For what is told while one waits."""


def leases(storage):
    return sorted(module._numbers(storage))


def elsewhere(storage, number=1, **changes):
    """A lease as another host wrote it."""
    owner = (
        replace(Owner.this_process(0.1), host="other", boot="another", pid=77, token="theirs") if not changes else None
    )
    owner = owner or replace(Owner.this_process(0.1), **changes)
    module._put(storage, number, owner)
    return owner


def refusal(storage, **kwargs):
    with pytest.raises(InputError) as told, owned(storage, "run", quiet, **kwargs):
        pass
    assert is_one_sentence(str(told.value)), told.value
    return str(told.value)


def test_nothing_is_left_and_it_may_be_owned_again(storage):
    for _ in range(2):
        with owned(storage, "run") as lease:
            lease.check()
            assert leases(storage) == [1]
        assert leases(storage) == []


def test_a_living_owner_is_named_and_a_killed_one_replaced_at_once(storage):
    with holder(storage) as process:
        told = refusal(storage)
        assert f"is in use by process {process.pid} on host '" in told
        process.send_signal(signal.SIGKILL)
        time.sleep(0.5)  # killed, and not yet waited for: a zombie is no owner
        begun = time.monotonic()
        with owned(storage, "run", quiet) as lease:
            lease.check()
            assert time.monotonic() - begun < 5.0
            assert leases(storage) == [2]
    assert leases(storage) == [2]  # free, so that the first cannot count again
    with owned(storage, "run", quiet):
        assert leases(storage) == [3]


def test_this_process_owns_a_place_once(storage):
    with owned(storage, "run"):
        assert f"is in use by process {os.getpid()} on host '" in refusal(storage)


@pytest.mark.parametrize(
    ("changes", "alive"),
    [
        ({}, True),
        ({"boot": "the one before"}, False),  # a reboot
        ({"pid": 2**22 + 1}, False),
        ({"began": "1"}, False),  # the number was given to another process
        ({"is_free": True}, False),
        ({"pids": "pid:[1]"}, None),  # a container beside this one
        ({"host": "other"}, None),
        ({"machine": "another"}, None),
        ({"host": "other", "boot": "another"}, None),
        ({"boot": ""}, None),
        ({"began": ""}, None),
    ],
)
def test_what_can_be_told_at_once(changes, alive):
    assert replace(Owner.this_process(1.0), **changes).is_alive() is alive


def test_without_a_process_table_only_the_heartbeat_tells(monkeypatch):
    monkeypatch.setattr(owner_module, "_text", lambda path: "")
    assert Owner.this_process(1.0).is_alive() is None


def test_another_hosts_owner_is_watched(storage):
    theirs, end = elsewhere(storage), threading.Event()

    def beat():
        now = theirs
        while not end.wait(0.1):
            now = replace(now, beat=now.beat + 1)
            module._put(storage, 1, now)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert "is in use by process 77 on host 'other'" in refusal(storage)
    finally:
        end.set()
        thread.join()
    told, begun = [], time.monotonic()
    with owned(storage, "run", told.append):
        waited = time.monotonic() - begun
    assert 0.1 * module.STALE_BEATS <= waited < 5.0
    assert "process 77 on host 'other'" in told[0]
    assert "for a sign of life" in told[0]


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"token": 3}', b"\xff\x00", b"[" * 100_000])
def test_a_torn_lease_is_watched_as_that_of_nobody_known(tmp_path, monkeypatch, torn):
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    storage = Storage.open(tmp_path)
    (tmp_path / "owner.000004.json").write_bytes(torn)
    with owned(storage, "run", quiet):
        assert leases(storage) == [5]


def test_an_owner_that_was_held_up_stops_writing_and_says_so(storage):
    with owned(storage, "run", quiet, beat_s=0.05) as lease:
        elsewhere(storage, 2)
        deadline = time.monotonic() + 20
        while not lease.is_lost and time.monotonic() < deadline:
            time.sleep(0.02)
        assert lease.is_lost  # its own thread has seen it
        for check in (lease.check, check_held):
            with pytest.raises(InputError, match=r"was taken over by process 77 on host 'other' .* nothing more"):
                check()
    check_held()
    assert 2 in leases(storage)  # and what it gives back is not the other's


def test_a_bucket_written_by_two_at_once_has_one_owner(storage):
    """The last who wrote wins; the first sees another's token under its own number."""
    if storage.is_local:
        pytest.skip("a folder creates files exclusively")
    with owned(storage, "run", quiet) as lease:
        elsewhere(storage, 1)
        with pytest.raises(InputError, match="was taken over"):
            lease.check()


def _race(where, start, results):
    start.wait()
    try:
        with owned(Storage.open(where), "run", quiet):
            results.put(1)
            time.sleep(1.5)
    except InputError:
        results.put(0)


@pytest.mark.parametrize("before", ["nobody", "a dead owner"])
def test_of_many_takers_one_wins(tmp_path, before):
    if before == "a dead owner":
        elsewhere(Storage.open(tmp_path), 1, pid=2**22 + 1)
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    takers = [context.Process(target=_race, args=(str(tmp_path), start, results)) for _ in range(8)]
    for taker in takers:
        taker.start()
    start.set()
    won = [results.get(timeout=30) for _ in takers]
    for taker in takers:
        taker.join()
    assert sum(won) == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    storage = Storage.open(tmp_path / "run")
    os.rmdir(tmp_path / "run")
    assert "cannot be owned: No such file or directory" in refusal(storage)
