"""The learner on Platform, a public benchmark of mixed discrete-continuous actions (Masson et al. 2016).

Run one seed with ``python -m experiments.platform_benchmark --seed 0``; needs ``pip install -e '.[platform]'``.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import ray
import tyro
from ray.tune.registry import register_env

from meqc_marl.files import replacing
from meqc_marl.rl.algorithm import DQNDDPGConfig


class FlatPlatform(gym.Wrapper):
    """Platform with its nine features and the step count as one Box in [-1, 1]."""

    def __init__(self) -> None:
        import gym_platform  # noqa: F401 (registers the environment)

        super().__init__(gym.make("Platform-v0", disable_env_checker=True).unwrapped)
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (10,), np.float32)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(**kwargs)
        return self._flat(observation), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._flat(observation), float(reward), bool(terminated), bool(truncated), info

    @staticmethod
    def _flat(observation: Any) -> np.ndarray:
        features, steps = observation
        return np.append(2.0 * np.asarray(features) - 1.0, min(steps / 100.0, 2.0) - 1.0).astype(np.float32)


@dataclass(frozen=True)
class Platform:
    """Train on Platform and evaluate 1,000 greedy episodes."""

    seed: int = 0
    """Seed of everything."""
    critic: Literal["multi-pass", "joint"] = "multi-pass"
    """multi-pass (MP-DQN) or joint (P-DQN)."""
    env_steps: int = 100_000
    """Training budget."""
    out: Path = Path("results/platform")
    """Folder of the results."""


def config(args: Platform) -> DQNDDPGConfig:
    """Configuration of a run."""
    n = args.env_steps
    return (
        DQNDDPGConfig()
        .environment("flat_platform")
        .env_runners(num_envs_per_env_runner=8, rollout_fragment_length=4)
        .training(
            gamma=0.9,
            critic=args.critic,
            activation="relu",
            hidden=(128, 128),
            critic_lr=[[0, 1e-3], [n // 2, 1e-3], [n, 1e-5]],
            actor_lr=[[0, 1e-4], [n // 2, 1e-4], [n, 1e-6]],
            epsilon=[[0, 1.0], [n // 10, 0.05], [n, 0.01]],
            exploration_noise=[[0, 0.1], [n, 0.02]],
            tau=0.01,
            train_batch_size_per_learner=128,
            updates_per_training_step=8,
            replay_capacity=200_000,
            num_steps_before_learning=2_000,
        )
        .reporting(min_sample_timesteps_per_iteration=n // 30)
        .debugging(seed=args.seed, log_level="ERROR")
    )


def main(args: Platform) -> None:
    """Train, evaluate, store."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    register_env("flat_platform", lambda context: FlatPlatform())
    algorithm = config(args).build_algo()
    curve, started, steps = [], time.monotonic(), 0
    while steps < args.env_steps:
        result = algorithm.train()["env_runners"]
        steps = int(result["num_env_steps_sampled_lifetime"])
        curve.append([steps, float(result["episode_return_mean"])])
        passed = time.monotonic() - started
        print(f"seed {args.seed}: {steps:,} steps, return {curve[-1][1]:.3f}, {passed:.0f} s", flush=True)
    score = greedy_return(algorithm, episodes=1_000)
    algorithm.stop()
    ray.shutdown()
    args.out.mkdir(parents=True, exist_ok=True)
    with replacing(args.out / f"{args.critic}-{args.seed}.json") as file:
        record = {"seed": args.seed, "critic": args.critic, "env_steps": steps, "return": score, "curve": curve}
        file.write(json.dumps(record).encode())
    print(f"seed {args.seed}: greedy return over 1,000 episodes {score:.4f}")


def greedy_return(algorithm: Any, episodes: int) -> float:
    """Mean return of the greedy policy over the first ``episodes`` episodes, an equal number from each row."""
    runner = algorithm.env_runner
    per_row = -(-episodes // runner.num_envs)
    observation = runner.env.reset([10_000_000 + row for row in range(runner.num_envs)])
    total, finished = np.zeros(runner.num_envs), np.zeros(runner.num_envs, int)
    returns: list[float] = []
    import torch
    from ray.rllib.core.columns import Columns

    from meqc_marl.rl.env_runner import _to_numpy

    module = algorithm.get_module()
    while len(returns) < per_row * runner.num_envs:
        batch = {Columns.OBS: torch.from_numpy(observation.reshape(runner.num_envs, -1))}
        action = module.forward_inference(batch)[Columns.ACTIONS]
        step = runner.env.step(_to_numpy(action, (runner.num_envs, 1)))
        total += step.reward[:, 0]
        observation = step.next_observation
        if step.done.any():
            for row in np.flatnonzero(step.done):
                if finished[row] < per_row:
                    returns.append(float(total[row]))
                    finished[row] += 1
            total[step.done] = 0.0
            observation = runner.env.reset_rows(step.done)
    return float(np.mean(returns))


if __name__ == "__main__":
    main(tyro.cli(Platform))
