"""Training N, save, a new process, restore, N more equals 2N, bit by bit."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import logging, pickle, sys
from pathlib import Path
import ray
from meqc_marl.config import load_scenario
from meqc_marl.rl.algorithm import DQNDDPG
from meqc_marl.rl.checkpoint import list_checkpoints, save_checkpoint
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import policy_of

first, total, folder, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
logging.getLogger("ray").setLevel(logging.ERROR)
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
if first:
    algorithm = DQNDDPG.from_checkpoint(str(list_checkpoints(folder)[-1]))
else:
    config = offloading_config(load_scenario("small", ["horizon=30"]), env_steps=20_000, seed=3)
    config.training(hidden=(16, 16), updates_per_training_step=2, num_steps_before_learning=300, replay_capacity=4_000)
    config.env_runners(num_envs_per_env_runner=8).reporting(min_sample_timesteps_per_iteration=200)
    algorithm = config.build_algo()
states = {}
for iteration in range(first + 1, total + 1):
    result = algorithm.train()
    learner = algorithm.learner_group.get_state()["learner"]
    states[iteration] = {
        "module": learner["rl_module"],
        "optimizer": learner["optimizer"],
        "runner": algorithm.env_runner.get_state(not_components=["rl_module"]),
        "replay": algorithm.replay_buffer.get_state(),
        "iteration": algorithm.iteration,
        "steps": int(result["env_runners"]["num_env_steps_sampled_lifetime"]),
        "epsilon": float(result["env_runners"]["epsilon"]),
    }
save_checkpoint(algorithm, policy_of(algorithm), folder)
out.write_bytes(pickle.dumps(states))
"""


def start(first, total, folder):
    """Train in a process of its own, from the checkpoint in the folder or from the beginning."""
    folder.mkdir(exist_ok=True)
    out = folder / f"states_{total}"
    command = [sys.executable, "-c", SCRIPT, str(first), str(total), str(folder), str(out)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True), out


def states_of(process, out):
    """The state after each iteration."""
    _, errors = process.communicate(timeout=150)
    assert process.returncode == 0, errors[-2000:]
    return pickle.loads(out.read_bytes())


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
def runs(tmp_path_factory):
    """Undisturbed training of eight iterations; and four, and after them four more in another process."""
    folder = tmp_path_factory.mktemp("runs")
    both = [start(0, 8, folder / "whole"), start(0, 4, folder / "halves")]
    whole, half = (states_of(*one) for one in both)
    return whole, half, states_of(*start(4, 8, folder / "halves"))


def test_interrupted_training_equals_undisturbed_training(runs):
    whole, _, resumed = runs
    assert set(resumed) == {5, 6, 7, 8}
    assert whole[8]["iteration"] == 8
    assert whole[8]["replay"]["num_added"] > 4_000
    assert differences(whole[4]["module"], whole[8]["module"])
    for iteration, state in resumed.items():
        assert differences(whole[iteration], state) == []


def test_the_same_seed_gives_the_same_bits(runs):
    whole, half, _ = runs
    assert set(half) == {1, 2, 3, 4}
    for iteration, state in half.items():
        assert differences(whole[iteration], state) == []
