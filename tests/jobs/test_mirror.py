"""A run that is kept in a bucket: every checkpoint is there, whole or not at all, and any machine goes on from it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from meqc_marl.jobs.checkpoint import MANIFEST
from meqc_marl.jobs.mirror import folder_of
from meqc_marl.jobs.run_folder import DIVERGED_FILE
from meqc_marl.policies.learned import load_policy
from meqc_marl.storage import Storage
from tests.cluster.test_bucket import BUCKET, server  # noqa: F401 (a fixture)


def test_what_is_new_is_sent_and_what_is_gone_is_removed(server):  # noqa: F811
    address, client = server
    storage = Storage.reading(f"s3://{BUCKET}/run?scheme=http&endpoint_override={address}")

    def keys():
        found = client.list_objects_v2(Bucket=BUCKET, Prefix="run/").get("Contents", ())
        return {each["Key"].removeprefix("run/") for each in found} - {""}  # pyarrow leaves a mark of a folder

    def checkpoint(folder, number):
        made = folder / f"checkpoint_{number:06d}"
        (made / "policy").mkdir(parents=True)
        (made / "policy" / "w").write_bytes(bytes([number]) * 10)
        (made / MANIFEST).write_text(str(number))

    with folder_of(storage) as (folder, send):
        (folder / "run.json").write_text("{}")
        (folder / "tensorboard").mkdir()
        (folder / "tensorboard" / "events").write_bytes(b"1")
        (folder / DIVERGED_FILE).write_text("{}")
        (folder / ".incomplete-1").mkdir()
        (folder / ".incomplete-1" / "half").write_text("")
        for number in (1, 2):
            checkpoint(folder, number)
        send()
        both = {f"checkpoint_00000{number}/{name}" for number in (1, 2) for name in ("policy/w", MANIFEST)}
        beside = {"run.json", "tensorboard/events"}
        assert keys() == beside | both | {DIVERGED_FILE}
        with folder_of(storage) as (elsewhere, _):
            assert (elsewhere / DIVERGED_FILE).exists()
        (folder / DIVERGED_FILE).unlink()  # another run begins
        shutil.rmtree(folder / "checkpoint_000001")
        checkpoint(folder, 3)
        send()
        there = {"run.json", "tensorboard", "checkpoint_000002", "checkpoint_000003"}
        assert {key.split("/")[0] for key in keys()} == there
    client.delete_object(Bucket=BUCKET, Key=f"run/checkpoint_000003/{MANIFEST}")  # a sender that died before its end
    with folder_of(storage) as (folder, _):
        assert {path.name for path in folder.iterdir()} == there - {"checkpoint_000003"}
        assert (folder / "tensorboard" / "events").read_bytes() == b"1"
        assert (folder / "checkpoint_000002" / "policy" / "w").read_bytes() == b"\2" * 10


WORDS = [
    *("--scenario", "small", "--set", "horizon=50", "--env-steps", "40000", "--checkpoint-every-s", "0.5"),
    *("--learner", "hidden=[16,16]", "--learner", "replay_capacity=5000", "--num-traces", "2"),
]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_killed_run_goes_on_elsewhere_and_ends_as_if_nothing_had_been(server, tmp_path):  # noqa: F811
    address, client = server
    env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | {"OMP_NUM_THREADS": "1"}

    def command(machine, *words):
        (tmp_path / machine).mkdir(exist_ok=True)
        where = {"cwd": tmp_path / machine, "env": env, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen([sys.executable, "-m", "meqc_marl.cli", *words], text=True, **where)

    def done(process):
        said, _ = process.communicate(timeout=400)
        assert process.returncode == 0, said
        return said

    def place(name):
        return f"s3://{BUCKET}/{name}?scheme=http&endpoint_override={address}"

    def manifests():
        found = client.list_objects_v2(Bucket=BUCKET, Prefix="killed/checkpoint").get("Contents", ())
        return sorted(each["Key"] for each in found if each["Key"].endswith(MANIFEST))

    first = command("one", "train", *WORDS, "--storage", place("killed"))
    deadline = time.monotonic() + 200
    while not manifests():
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not list((tmp_path / "one").iterdir())
    refused = command("two", "train", *WORDS, "--storage", place("killed"))
    said, _ = refused.communicate(timeout=200)
    assert refused.returncode == 2
    assert f"'s3://{BUCKET}/killed' holds a run already" in said
    done(command("two", "train", "--resume", "--storage", place("killed"), "--num-traces", "2"))
    done(command("two", "train", *WORDS, "--out", "undisturbed"))
    ended = json.loads(client.get_object(Bucket=BUCKET, Key="killed/comparison.json")["Body"].read())
    assert ended == json.loads((tmp_path / "two" / "undisturbed" / "comparison.json").read_text())
    assert load_policy(place("killed")).scenario.horizon == 50
    done(command("three", "evaluate", place("killed"), "--num-traces", "2"))
    done(command("three", "export", place("killed"), "--file", "policy.onnx"))
    assert (tmp_path / "three" / "policy.onnx").stat().st_size > 1_000
