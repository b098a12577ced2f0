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
from meqc_marl.rl.checkpoint import latest_checkpoint, save_checkpoint
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import policy_of

first, total, folder, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
logging.getLogger("ray").setLevel(logging.ERROR)
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
if first:
    algorithm = DQNDDPG.from_checkpoint(str(latest_checkpoint(folder)))
else:
    config = offloading_config(load_scenario("small", ["horizon=30"]), env_steps=20_000, seed=3)
    config.training(hidden=(16, 16), updates_per_training_step=2, num_steps_before_learning=300, replay_capacity=4_000)
    config.env_runners(num_envs_per_env_runner=8).reporting(min_sample_timesteps_per_iteration=200)
    algorithm = config.build_algo()
for _ in range(first, total):
    result = algorithm.train()
save_checkpoint(algorithm, policy_of(algorithm), folder)
learner = algorithm.learner_group.get_state()["learner"]
runner = algorithm.env_runner.get_state(not_components=["rl_module"])
state = {
    "module": learner["rl_module"],
    "optimizer": learner["optimizer"],
    "runner": runner,
    "replay": algorithm.replay_buffer.get_state(),
    "iteration": algorithm.iteration,
    "steps": int(result["env_runners"]["num_env_steps_sampled_lifetime"]),
    "epsilon": float(result["env_runners"]["epsilon"]),
}
out.write_bytes(pickle.dumps(state))
"""


def run(first, total, folder, out):
    folder.mkdir(exist_ok=True)
    arguments = [str(first), str(total), str(folder), str(out)]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-2000:]
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
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(0, 8, folder / "run", folder / "state")


def test_interrupted_training_equals_undisturbed_training(undisturbed, tmp_path):
    run(0, 4, tmp_path / "run", tmp_path / "half")
    resumed = run(4, 8, tmp_path / "run", tmp_path / "state")
    assert undisturbed["iteration"] == resumed["iteration"] == 8
    assert undisturbed["replay"]["num_added"] > 4_000
    assert differences(undisturbed, resumed) == []


def test_the_same_seed_gives_the_same_bits(undisturbed, tmp_path):
    assert differences(undisturbed, run(0, 8, tmp_path / "run", tmp_path / "state")) == []
