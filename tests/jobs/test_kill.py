"""kill -9 at random moments, twenty times in one run: the finished run equals the undisturbed one, bit by bit."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from states import differences, last_state

from meqc_marl.policies.folders import list_checkpoints

KILLS = 20
TRAIN = [sys.executable, "-m", "meqc_marl.cli", "train", "--out", "run"]
AGAIN = ["--resume", "--checkpoint-every-s", "0"]
SHORT = [
    *("--set", "horizon=20", "--env-steps", "160000", "--num-traces", "1", "--checkpoint-every-s", "0"),
    *("--learner", "hidden=[32,32]"),
]
SYSTEMS = {
    "small": ["--scenario", "small"],
    # With what was learned of the queues, and the counts of the slot before, in every checkpoint.
    "queued": [
        *("--scenario", "queued", "--set", "num_devices=3", "--set", "resources.server_hz=1e9"),
        *("--set", "resources.broadcast=counts", "--learner", "context=mean"),
    ],
}


def train(folder, arguments):
    return subprocess.Popen(
        [*TRAIN, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("system", SYSTEMS)
def test_twenty_kills_change_nothing(system, tmp_path, ray_session):
    new = [*SYSTEMS[system], *SHORT]
    undisturbed, killed = tmp_path / "a", tmp_path / "b"
    undisturbed.mkdir()
    killed.mkdir()
    assert train(undisturbed, new).wait(timeout=600) == 0

    rng, kills, halves, resumed_from = np.random.default_rng(0), 0, 0, []
    while kills < KILLS:
        found = list_checkpoints(killed / "run")
        process = train(killed, AGAIN if (killed / "run" / "run.json").exists() else new)
        # It starts for some seconds, and then saves all the time: the moment is drawn after its first checkpoint.
        while list_checkpoints(killed / "run")[-1:] == found[-1:] and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, process.stderr.read()
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        halves += len(list((killed / "run").glob(".incomplete-*")))
        resumed_from.append(list_checkpoints(killed / "run")[-1].name)
    assert resumed_from == sorted(resumed_from)
    process = train(killed, AGAIN)
    assert process.wait(timeout=600) == 0, process.stderr.read()
    states = [last_state(folder / "run") for folder in (undisturbed, killed)]
    assert differences(*states) == []
    if system == "queued":
        (learned,) = (each["value"] for each in states[0]["runner"]["sampling"]["callbacks"])
        assert np.abs(learned["weights"]).max() > 0
    print(f"{kills} kills, {halves} of them in the middle of a checkpoint; resumed from {resumed_from}")
