"""What the public benchmarks of the learner have in common: one set of parameters for tasks that one core can learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from ray.tune.registry import register_env

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig

GAMMA = 0.99
_MEASURED_STEPS = 2_000
_ROWS, _FRAGMENT = 8, 4
_UPDATES, _UPDATES_PER_STEP = 75_000, 1.5
"""At most: in all, and for each environment step."""


def scale_of_rewards(env: gym.Env, seed: int) -> float:
    """One over the root mean square of the discounted return of uniform actions, as Gymnasium's wrapper sums it.

    Measured once, before training: a scale that changes while rewards wait in replay makes old ones greater or less
    than new ones.
    """
    env = gym.wrappers.NormalizeReward(env, gamma=GAMMA)
    env.action_space.seed(seed)
    env.reset(seed=seed)
    for _ in range(_MEASURED_STEPS):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return 1.0 / math.hypot(float(env.return_rms.mean), math.sqrt(float(env.return_rms.var)))


def recipe(name: str, make: Callable[[], gym.Env], n: int, seed: int, *, iterations: int, **own: Any) -> DQNDDPGConfig:
    """Configuration of a run.

    Args:
        name: To register the environment under.
        make: Makes one.
        n: Environment steps of the run.
        seed: Of the run.
        iterations: Of the run.
        own: Parameters of the learner otherwise than here.
    """
    register_env(name, lambda context: make())
    round_steps = _ROWS * _FRAGMENT
    end = max(n, 20)  # so that the steps of a schedule differ
    parameters: dict[str, Any] = {
        "activation": "relu",
        "hidden": (128, 128),
        "gamma": GAMMA,
        "critic_lr": [[0, 1e-3], [end // 2, 1e-3], [end, 1e-5]],
        "actor_lr": [[0, 3e-4], [end // 2, 3e-4], [end, 3e-6]],
        "epsilon": [[0, 1.0], [end // 20, 0.05], [end, 0.01]],
        "exploration_noise": [[0, 0.1], [end, 0.02]],
        "tau": 0.01,
        "n_step": 3,
        "n_step_until_random": True,
        "twin_critics": True,
        "reward_scale": scale_of_rewards(make(), seed),
        # A rare reward many times the usual ones counts in full: with a nearly absolute error it would be an outlier.
        "huber_delta": 10.0,
        "replay_capacity": 200_000,
        "train_batch_size_per_learner": 128,
        "updates_per_training_step": max(1, round(round_steps * min(_UPDATES_PER_STEP, _UPDATES / n))),
        "num_steps_before_learning": 2_000,
    }
    return (
        DQNDDPGConfig()
        .environment(name)
        .env_runners(num_envs_per_env_runner=_ROWS, rollout_fragment_length=_FRAGMENT)
        .training(**parameters | own)
        .reporting(min_sample_timesteps_per_iteration=n // iterations)
        .debugging(seed=seed, log_level="ERROR")
    )
