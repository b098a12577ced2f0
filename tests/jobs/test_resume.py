"""Training N, save, a new process, restore, N more equals 2N, bit by bit."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from train_and_record import train_and_record

SCRIPT = Path(__file__).parents[1] / "shared" / "train_and_record.py"


def differences(a, b, path=""):
    """Paths at which two nested states are not bit-equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{path}: keys {a.keys() ^ b.keys()}"]
        return [d for key in a for d in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list | tuple):
        assert len(a) == len(b)
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{path}/{i}")]
    if isinstance(a, np.ndarray):
        return [] if a.dtype == b.dtype and np.array_equal(a, b) else [path]
    return [] if a == b else [f"{path}: {a!r} != {b!r}"]


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
    assert undisturbed[8]["replay"]["num_added"] > 4_000
    assert differences(undisturbed[4]["module"], undisturbed[8]["module"])
    for iteration, state in resumed.items():
        assert differences(undisturbed[iteration], state) == []


def test_the_same_seed_gives_the_same_bits(runs):
    undisturbed, first, _ = runs
    assert list(first) == [1, 2, 3, 4]
    for iteration, state in first.items():
        assert differences(undisturbed[iteration], state) == []
