"""A run's checkpoints: whole, of this run and on the disk, or passed over by name."""

import json
import os
import pickle
import re
import resource
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.fs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from safetensors.torch import save_file

import meqc_marl.jobs.checkpoint as module
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.files import check_folder, replacing, telling_what_cannot_be_written
from meqc_marl.jobs.checkpoint import flaw_of, newest_whole, remove_incomplete, save_checkpoint
from meqc_marl.jobs.job import Place
from meqc_marl.jobs.manifest import describe, first_difference, sealed, unsealed
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.search import SearchJob
from meqc_marl.jobs.space import DEFAULT_SPACE
from meqc_marl.jobs.sweep import SweepJob
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.storage import Storage
from tests.sentences import is_one_sentence

RUN = Run(scenario=load_scenario("small"), env_steps=100, seed=1, learner={"hidden": (8, 8)})
SMALL = load_scenario("small")
MINE = RUN.identity()


class Saver:
    """Stands in for an algorithm and its policy: writes some files."""

    def __init__(self, iteration=1):
        self.iteration = iteration

    def save_to_path(self, path):
        (Path(path) / "learner").mkdir()
        (Path(path) / "learner" / "state.pkl").write_bytes(bytes(range(256)) * 4)
        (Path(path) / "empty").write_bytes(b"")

    def save(self, folder):
        (folder / "policy.json").write_text("{}")


@pytest.fixture
def run_folder(tmp_path):
    """A run with two checkpoints."""
    for iteration in (9, 10):
        save_checkpoint(Saver(iteration), Saver(), tmp_path, belongs_to=MINE)
    return tmp_path


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def passing_over(run_folder, belongs_to=MINE):
    told = []
    found = newest_whole(run_folder, belongs_to, told.append)
    return found.name, told


def test_the_newest_is_found_and_nothing_is_said(run_folder):
    assert passing_over(run_folder) == ("checkpoint_000010", [])
    assert newest_whole(run_folder / "learner", MINE) is None
    # The budget and the samplers may change, a seed may not.
    assert passing_over(run_folder, RUN.model_copy(update={"env_steps": 5, "num_env_runners": 3}).identity())[1] == []


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "gone", "empty", "a folder"])
def test_whatever_happens_to_whichever_file_the_older_one_is_taken(run_folder, tmp_path_factory, damage):
    newest = list_checkpoints(run_folder)[-1]
    for path in files_of(newest):
        if damage == "empty" and not path.stat().st_size:
            continue
        copy = tmp_path_factory.mktemp("run") / "run"
        shutil.copytree(run_folder, copy)
        spoilt = copy / path.relative_to(run_folder)
        content = spoilt.read_bytes()
        if damage == "flip":
            if not content:
                continue
            spoilt.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        elif damage == "cut":
            spoilt.write_bytes(content[: len(content) // 2] if content else b"x")
        elif damage == "grow":
            spoilt.write_bytes(content + b"\0")
        elif damage == "empty":
            spoilt.write_bytes(b"")
        else:
            spoilt.unlink()
            if damage == "a folder":
                spoilt.mkdir()
        name, (told,) = passing_over(copy)
        assert name == "checkpoint_000009"
        assert told.startswith("checkpoint_000010 is damaged (")
        assert path.name in told or damage == "a folder"
        assert [each.name for each in list_checkpoints(copy)] == ["checkpoint_000009"]
        assert len(list(copy.glob("passed-over-checkpoint_000010-*"))) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_flipped_bit_anywhere_is_noticed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("run")
    checkpoint = save_checkpoint(Saver(), Saver(), folder, belongs_to=MINE)
    path = data.draw(st.sampled_from([path for path in files_of(checkpoint) if path.stat().st_size]))
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    flaw = flaw_of(checkpoint, MINE)
    if flaw is None:  # white space of the manifest
        assert json.loads(content) == json.loads(sealed(unsealed(bytes(content))))
    else:
        assert flaw.startswith("is damaged (")


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (
            RUN.model_copy(update={"scenario": load_scenario("small", ["num_devices=15"])}).identity(),
            "scenario.num_devices is 15, not 3",
        ),
        (
            RUN.model_copy(update={"scenario": load_scenario("small", ["lyapunov.v=7"])}).identity(),
            "scenario.lyapunov.v is 7.0, not 1.0",
        ),
        (RUN.model_copy(update={"seed": 2}).identity(), "seed is 2, not 1"),
        (RUN.model_copy(update={"env_runner": "stock"}).identity(), 'env_runner is "stock", not "batched"'),
        (RUN.model_copy(update={"learner": {}}).identity(), "learner.hidden is null, not [8, 8]"),
        ({}, "env_runner is null"),
    ],
)
def test_a_checkpoint_of_another_run_is_passed_over_by_name(run_folder, other, difference):
    save_checkpoint(Saver(99), Saver(), run_folder, keep=3, belongs_to=other)
    name, (told,) = passing_over(run_folder)
    assert name == "checkpoint_000010"
    assert f"checkpoint_000099 is of another run ({difference}" in told


def test_without_any_that_will_do_it_is_one_sentence(run_folder):
    with pytest.raises(InputError) as told:
        newest_whole(run_folder, {"scenario": 1})
    assert is_one_sentence(str(told.value))
    assert "holds no checkpoint to go on from: checkpoint_000010 is of another run" in str(told.value)
    assert len(list_checkpoints(run_folder)) == 2  # nothing is renamed


def test_who_lost_the_folder_replaces_nothing(run_folder):
    def refuse():
        raise InputError("taken over.")

    before = {path: path.stat().st_mtime_ns for path in files_of(run_folder)}
    for iteration in (10, 11):
        with pytest.raises(InputError, match="taken over"):
            save_checkpoint(Saver(iteration), Saver(), run_folder, belongs_to=MINE, guard=refuse)
    assert before == {path: path.stat().st_mtime_ns for path in files_of(run_folder)}


def test_all_is_synced_before_it_is_renamed(run_folder, monkeypatch):
    calls = []

    def fsync(descriptor):
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", fsync)
    rename = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append(f"rename to {Path(b).name}"), rename(a, b)))
    made = save_checkpoint(Saver(11), Saver(), run_folder, belongs_to=MINE)
    renamed = calls.index("rename to checkpoint_000011")
    aside = {re.sub(r".*\.incomplete-\w+/?", "", call) for call in calls[:renamed]}
    assert aside == {str(path.relative_to(made)).replace(".", "", path == made) for path in (made, *made.rglob("*"))}
    assert calls[renamed + 1 :] == [str(run_folder)]
    calls.clear()
    with replacing(run_folder / "a") as file:
        file.write(b"1")
    assert [call.rpartition(".")[2] for call in calls] == ["part", "rename to a", str(run_folder)]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_one_set_of_permissions_the_users_own(tmp_path, mask):
    before = os.umask(mask)
    try:
        made = save_checkpoint(Saver(), Saver(), tmp_path, belongs_to=MINE)
        with replacing(tmp_path / "file"):
            pass
    finally:
        os.umask(before)
    for path in (made, *made.rglob("*"), tmp_path / "file"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~mask, path
    (tmp_path / "file").chmod(0o640)
    with replacing(tmp_path / "file") as file:
        file.write(b"2")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_replaced_checkpoint_is_there_until_the_new_one_is(run_folder, monkeypatch):
    """A kill between any two steps leaves one of them whole."""
    monkeypatch.setattr(module, "remove_incomplete", lambda folder: None)
    save_checkpoint(Saver(10), Saver(), run_folder, belongs_to=MINE)
    (aside,) = run_folder.glob(".incomplete-*")
    assert flaw_of(aside, MINE) is None
    assert flaw_of(run_folder / "checkpoint_000010", MINE) is None
    remove_incomplete(run_folder)
    assert not list(run_folder.glob(".incomplete-*"))


def by_safetensors(path):
    save_file({"a": torch.zeros(100_000)}, path)


def by_torch(path):
    torch.save({"a": torch.zeros(100_000)}, path)


def by_pickle(path):
    with open(path, "wb") as file:
        pickle.dump(np.zeros(100_000), file)


def by_numpy(path):
    np.savez(path, a=np.zeros(100_000))


def by_matplotlib(path):
    figure = Figure()
    figure.subplots().imshow(np.random.default_rng(0).random((400, 400)))
    figure.savefig(path, dpi=400, format="png")


def by_pyarrow(path):
    with pyarrow.fs.LocalFileSystem().open_output_stream(str(path)) as stream:
        stream.write(bytes(400_000))


def by_replacing(path):
    with replacing(path) as file:
        file.write(bytes(400_000))


WRITERS = [by_safetensors, by_torch, by_pickle, by_numpy, by_matplotlib, by_pyarrow, by_replacing]


@pytest.mark.parametrize("write", WRITERS)
def test_a_disk_that_takes_no_more_is_one_sentence_whatever_writes(tmp_path, write):
    """A limit on the size of files; Python ignores its signal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(InputError) as told, telling_what_cannot_be_written("checkpoint 'x'"):
            write(tmp_path / "file.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert is_one_sentence(str(told.value)), told.value
    assert "cannot be written: " in str(told.value)


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_is_one_sentence_whatever_writes(tmp_path, write):
    (tmp_path / "disk").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path / "disk")]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        with pytest.raises(InputError) as told, telling_what_cannot_be_written("checkpoint 'x'"):
            write(tmp_path / "disk" / "file.npz")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "disk")], capture_output=True)
    assert is_one_sentence(str(told.value)), told.value


def test_an_error_of_another_kind_is_not_taken_for_a_full_disk():
    for error in (RuntimeError("shapes differ"), KeyError("a"), ZeroDivisionError()):
        with pytest.raises(type(error)), telling_what_cannot_be_written("checkpoint 'x'"):
            raise error


def test_a_folder_is_checked_without_being_made(tmp_path):
    check_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    for wrong in (
        tmp_path / "file",
        tmp_path / "file" / "a",
        Path("/proc/x"),
        tmp_path / "a\0b",
        tmp_path / ("x" * 256),
    ):
        if wrong != Path("/proc/x") or os.geteuid():  # root may write anywhere, as far as one is told
            with pytest.raises(InputError, match="cannot be written"):
                check_folder(wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda each: st.dictionaries(st.text(max_size=2), each),
        max_leaves=6,
    )
)
def test_what_is_sealed_comes_back(value):
    assert unsealed(sealed({"a": value})) == {"a": value}
    assert first_difference({"a": value}, {"a": value}) is None


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"content": 1, "sha256": ""}', b"\xff", b"[" * 100_000])
def test_what_was_not_sealed_is_refused(raw):
    with pytest.raises(ValueError):  # noqa: PT011 (its text is not shown)
        unsealed(raw)


def test_every_file_is_described(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert describe(tmp_path) == {"a/b": [3, known]}


def without_each_field(content, path=()):
    """An identity as it was before there was a field, for each of its fields."""
    for name, value in content.items():
        if isinstance(value, dict) and name != "learner":
            yield from without_each_field(value, (*path, name))
        if name not in ("scenario", "learner"):
            yield ".".join((*path, name)), lambda whole, where=(*path, name): removed(whole, where)


def removed(whole, where):
    part = whole = json.loads(json.dumps(whole))
    for name in where[:-1]:
        part = part[name]
    del part[where[-1]]
    return whole


def test_what_was_written_before_there_was_a_field_has_its_default(run_folder, tmp_path):
    (newest,) = list_checkpoints(run_folder)[-1:]
    written = json.loads((newest / "manifest.json").read_bytes())["content"]
    plain_run = Run(scenario=load_scenario("paper"), env_steps=100).identity()
    fields = dict(without_each_field(json.loads(json.dumps(plain_run))))
    assert {"scenario.lyapunov.v", "scenario.resources", "scenario.resources.band", "vary", "seed"} <= set(fields)
    for name, before in fields.items():
        content = written | {"belongs_to": before(plain_run)}
        (newest / "manifest.json").write_bytes(sealed(content))
        assert flaw_of(newest, plain_run) is None, name
    # What is not at its default now is another.
    content = written | {"belongs_to": fields["scenario.lyapunov.v"](plain_run)}
    (newest / "manifest.json").write_bytes(sealed(content))
    ten = Run(scenario=load_scenario("paper", ["lyapunov.v=10"]), env_steps=100).identity()
    assert flaw_of(newest, ten) == "is of another run (scenario.lyapunov.v is 1.0, not 10.0)"


def test_a_storage_from_before_there_was_a_field_is_the_same(tmp_path):
    base = Run(scenario=load_scenario("paper"), env_steps=100)
    jobs = (
        SweepJob(base=base, v=(1.0,), delta=(0.5,)),
        SearchJob(base=base, num_trials=2, space=DEFAULT_SPACE),
    )
    for job in jobs:
        storage = Storage.open(tmp_path / job.kind)
        place = Place(storage=storage, placement=Placement(), resume=True, lease=None)
        job.begin(place)
        written = storage.read_object("job.json")
        above = ("base",) if "base" in written["common"] else ()
        for where in (("vary",), ("scenario", "resources", "band"), ("scenario", "mobility")):
            old = {"kind": written["kind"], "common": removed(written["common"], (*above, *where))}
            storage.write("job.json", json.dumps(old).encode())
            job.begin(place)
            other = base.model_copy(update={"scenario": load_scenario("pooled"), "vary": ("lyapunov.v=1,2",)})
            with pytest.raises(InputError, match="holds other work than this"):
                job.model_copy(update={"base": other}).begin(place)
