"""A sweep in a bucket: an S3 server on this machine, real training by the command."""

import json
import os
import subprocess
import sys
import time

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer

from meqc_marl.cli.sweep import SweepCommand, SweepOptions
from meqc_marl.errors import InputError
from meqc_marl.jobs.sweep import REPORT
from meqc_marl.storage import Storage
from tests.sentences import is_one_sentence

BUCKET = "sweeps"
SECRETS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
SWEEP = SweepOptions(
    scenario="small",
    overrides=("horizon=50",),
    v=(0.1, 1.0),
    delta=(0.5,),
    num_seeds=1,
    env_steps=16_000,
    learner=("hidden=[16,16]", "replay_capacity=5000"),
)


@pytest.fixture
def server(monkeypatch):
    """Address of an S3 server, and a client of it; secrets are in the environment."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    served = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    served.start()
    try:
        address = ":".join(map(str, served.get_host_and_port()))
        client = boto3.client("s3", endpoint_url=f"http://{address}")
        client.create_bucket(Bucket=BUCKET)
        yield address, client
    finally:
        served.stop()


WORDS = [
    *("--scenario", "small", "--set", "horizon=50", "--v", "0.1", "1", "--delta", "0.5", "--num-seeds", "1"),
    *("--env-steps", "16000", "--learner", "hidden=[16,16]", "--learner", "replay_capacity=5000"),
]


def uri(address, bucket):
    """Of a sweep."""
    return f"s3://{bucket}/sweep?scheme=http&endpoint_override={address}"


def names(client):
    """What is in the bucket."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {found["Key"].removeprefix("sweep/") for page in pages for found in page.get("Contents", ())}


def read(client, name):
    """An object."""
    return client.get_object(Bucket=BUCKET, Key=f"sweep/{name}")["Body"].read()


def start(storage):
    """The sweep as a process with a Ray of its own."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    command = [sys.executable, "-m", "meqc_marl.cli", "sweep", *WORDS, "--storage", storage]
    return subprocess.Popen(command, env=env | {"RAY_AUTH_MODE": "disabled"}, stdout=subprocess.PIPE, text=True)


def trials_of(text):
    """The table without the places of policies."""
    trials = json.loads(text)["trials"]
    for trial in trials:
        trial.pop("policy")
    return trials


def rows_of(client, trial):
    """What it told after each iteration."""
    return [json.loads(row) for row in read(client, f"trials/{trial}/result.json").splitlines()]


def kill_the_trials(process, client):
    """End the processes of the trials, as soon as one has a second checkpoint: the newest may be on its way."""
    deadline = time.monotonic() + 100
    while not any("/checkpoint_000001/" in name for name in names(client)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    for child in children:
        if "ray::OffloadingTrial" in " ".join(child.cmdline()):
            child.kill()


@pytest.mark.long
@pytest.mark.timeout(280)
def test_a_sweep_in_a_bucket_goes_on_from_its_checkpoints(ray_session, server, tmp_path):
    address, client = server
    process = start(uri(address, BUCKET))
    kill_the_trials(process, client)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    there = names(client)
    assert set(REPORT) <= there
    trials = trials_of(read(client, "trials.json"))
    told = {trial["name"]: rows_of(client, trial["name"]) for trial in trials}
    assert max(len({row["pid"] for row in rows}) for rows in told.values()) == 2  # one went on where it was
    for name in told:
        assert len({found.split("/")[2] for found in there if found.startswith(f"trials/{name}/checkpoint_")}) == 1
        assert any(found.startswith(f"trials/{name}/") and found.endswith(".modes") for found in there)

    SweepCommand(**vars(SWEEP), storage=uri(address, BUCKET)).run()  # nothing is left to do
    assert {name: rows_of(client, name) for name in told} == told

    SweepCommand(**vars(SWEEP), out=tmp_path).run()
    assert trials_of((tmp_path / "trials.json").read_text()) == trials


@pytest.mark.timeout(60)
def test_a_bucket_that_is_not_there_is_told_in_a_sentence(server):
    address, _ = server
    with pytest.raises(InputError) as told:
        Storage.open(uri(address, "missing"))
    assert is_one_sentence(str(told.value))
    assert "NO_SUCH_BUCKET" in str(told.value)
