"""A second train, sweep or search on what has an owner is refused; an owner that lost its place stops writing."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import ray

import meqc_marl.jobs.ownership as ownership
from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.owner import Owner
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.run_folder import begin_run
from meqc_marl.jobs.study import run_study
from meqc_marl.jobs.training import train
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.storage import Storage
from tests.jobs.test_ownership import holder
from tests.jobs.test_sweep import make
from tests.sentences import is_one_sentence

SMALL = load_scenario("small", ["horizon=20"])


def files_of(folder):
    """All but the owner's record, when a renewal of it is over; a file that stays half-written is among them."""
    deadline = time.monotonic() + 5.0
    while list(Path(folder).rglob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file() and "owner." not in path.name}


def test_a_second_of_each_kind_is_refused_and_writes_nothing(ray_session, tmp_path, capsys):
    begin_run(tmp_path, Run(scenario=SMALL, env_steps=1_000))
    words = ["--out", str(tmp_path), "--scenario", "small", "--env-steps", "400"]
    with holder(Storage.open(tmp_path)) as process:
        before = files_of(tmp_path)
        assert main(["train", "--resume", "--out", str(tmp_path)]) == 2
        assert main(["sweep", "--v", "1", "--delta", "0.5", *words]) == 2
        assert main(["search", *words]) == 2
        sentences = capsys.readouterr().err.strip().splitlines()
        assert len(sentences) == 3
        for sentence in sentences:
            assert is_one_sentence(sentence), sentence
            assert f"is in use by process {process.pid} on host '" in sentence
        assert files_of(tmp_path) == before


def taken_over(folder):
    """What another host writes that thought the owner dead."""
    storage = Storage.open(folder)
    ownership._put(storage, 2, replace(Owner.this_process(1.0), host="other", boot="another", pid=77))


@pytest.mark.timeout(120)
def test_a_run_that_was_taken_over_stops_before_its_next_checkpoint(ray_session, tmp_path):
    run = Run(scenario=SMALL, env_steps=100_000, learner={"hidden": [8]})
    seen = []

    def report(progress):
        seen.append([path.name for path in list_checkpoints(tmp_path / "run")])
        if len(seen) == 3:
            taken_over(tmp_path / "run")

    with pytest.raises(InputError, match=r"was taken over by process 77 on host 'other' .*; it writes nothing more"):
        train(run, tmp_path / "run", report, placement=Placement(checkpoint_every_s=0.0))
    assert len(seen) == 3
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == seen[-1]
    assert not list((tmp_path / "run").glob(".incomplete-*"))


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_study_that_was_taken_over_stops(ray_session, tmp_path, monkeypatch):
    monkeypatch.setattr(ownership, "BEAT_S", 0.1)
    told = []

    def report(progress):
        told.append(progress)
        if progress.running:
            taken_over(tmp_path)

    with pytest.raises(InputError, match=r"was taken over by process 77 on host 'other'"):
        run_study(make(v=(1.0,), env_steps=3_200_000), tmp_path, report)
    assert told
    assert not ray.util.list_named_actors()


@pytest.mark.long
@pytest.mark.timeout(400)
def test_two_at_once_as_a_user_starts_them(tmp_path):
    """One trains, the other is refused; after kill -9 the next goes on at once."""
    new = ["--scenario", "small", "--set", "horizon=20", "--env-steps", "600000", "--checkpoint-every-s", "0"]
    command = [sys.executable, "-m", "meqc_marl.cli", "train", "--out", "run", "--learner", "hidden=[8]"]
    first = subprocess.Popen([*command, *new], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not list_checkpoints(tmp_path / "run"):
            assert first.poll() is None
            time.sleep(0.1)
        resume = [*command[:6], "--resume"]
        second = subprocess.run(resume, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert second.returncode == 2
        assert f"is in use by process {first.pid} on host '" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    before = list_checkpoints(tmp_path / "run")[-1].name
    third = subprocess.Popen(resume, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while list_checkpoints(tmp_path / "run")[-1].name == before:
            assert third.poll() is None, third.stderr.read()
            time.sleep(0.1)
    finally:
        third.kill()
        third.wait()
