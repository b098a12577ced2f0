"""Training N, save, a new process, restore, N more equals 2N, bit by bit."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from states import differences
from train_and_record import train_and_record

SCRIPT = Path(__file__).parents[1] / "shared" / "train_and_record.py"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, ray_session):
    """Undisturbed training of eight iterations; and four, and after them four more in another process."""
    whole, halves = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("halves")
    first = train_and_record(halves, 4)
    command = [sys.executable, str(SCRIPT), str(halves), "4"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        undisturbed = train_and_record(whole, 8)
        _, errors = process.communicate(timeout=150)
    assert process.returncode == 0, errors[-2000:]
    return undisturbed, first, pickle.loads((halves / "states").read_bytes())


def test_interrupted_training_equals_undisturbed_training(runs):
    undisturbed, _, resumed = runs
    assert list(resumed) == [5, 6, 7, 8]
    assert min(buffer["num_added"] for buffer in undisturbed[8]["replay"].values()) > 4_000
    assert differences(undisturbed[4]["learner"]["rl_module"], undisturbed[8]["learner"]["rl_module"])
    for iteration, state in resumed.items():
        assert differences(undisturbed[iteration], state) == []


def test_the_same_seed_gives_the_same_bits(runs):
    undisturbed, first, _ = runs
    assert list(first) == [1, 2, 3, 4]
    for iteration, state in first.items():
        assert differences(undisturbed[iteration], state) == []
