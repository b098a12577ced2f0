"""Train a small run, from its newest checkpoint if it has one, and keep the whole state after each iteration.

As a script: ``train_and_record.py FOLDER ITERATIONS`` writes ``FOLDER/states``.
"""

import logging
import pickle
import sys
from pathlib import Path

import ray
from states import state_of

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.jobs.checkpoint import save_checkpoint
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import policy_of


def train_and_record(folder, iterations):
    """Returns the state after each iteration, by its number."""
    if checkpoints := list_checkpoints(folder):
        algorithm = DQNDDPG.from_checkpoint(str(checkpoints[-1]))
    else:
        config = offloading_config(load_scenario("small", ["horizon=30"]), env_steps=20_000, seed=3)
        config.training(
            hidden=(16, 16), updates_per_training_step=2, num_steps_before_learning=300, replay_capacity=4_000
        )
        config.env_runners(num_envs_per_env_runner=8).reporting(min_sample_timesteps_per_iteration=200)
        algorithm = config.build_algo()
    states = {}
    for _ in range(iterations):
        result = algorithm.train()
        sampled = result["env_runners"]
        states[algorithm.iteration] = state_of(algorithm) | {
            "steps": int(sampled["num_env_steps_sampled_lifetime"]),
            "epsilon": float(sampled["epsilon"]),
            "cost": float(sampled["lyapunov"]["cost"]),
        }
    save_checkpoint(algorithm, policy_of(algorithm), folder)
    algorithm.stop()
    return states


if __name__ == "__main__":
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    run_folder = Path(sys.argv[1])
    (run_folder / "states").write_bytes(pickle.dumps(train_and_record(run_folder, int(sys.argv[2]))))
