"""The learner on Platform, a public benchmark of mixed discrete-continuous actions (Masson et al. 2016).

Run ``meqc-marl benchmark platform``; needs ``pip install -e '.[platform]'``. Finished runs are kept, so it
can be interrupted. Every run trains on one core and is evaluated by 1,000 greedy episodes; the greatest return is 1.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.core.columns import Columns

from experiments.benchmarks.learner_runs import by_setting
from experiments.benchmarks.recipe import recipe
from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.arrays import to_numpy
from meqc_marl.errors import InputError, how_to_install
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.files import replacing

SEEDS, ENV_STEPS = 10, 100_000
"""A run takes 20 minutes on one of two busy cores."""
CRITICS = ("multi-pass", "joint")
"""multi-pass (MP-DQN), joint (P-DQN)."""


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


def config(critic: str, seed: int, n: int) -> DQNDDPGConfig:
    """Configuration of a run of ``n`` environment steps."""
    return recipe("flat_platform", FlatPlatform, n, seed, iterations=30, critic=critic)


def perform(critic: str, seed: int, env_steps: int) -> dict[str, Any]:
    """Train and evaluate; Ray must run."""
    algorithm = config(critic, seed, env_steps).build_algo()
    curve, started, steps = [], time.perf_counter(), 0
    while steps < env_steps:
        result = algorithm.train()["env_runners"]
        steps = int(result["num_env_steps_sampled_lifetime"])
        curve.append([steps, float(result["episode_return_mean"])])
    passed = time.perf_counter() - started
    score = greedy_return(algorithm, episodes=1_000)
    algorithm.stop()
    record = {"seed": seed, "critic": critic, "env_steps": steps, "return": score, "training_s": passed}
    return record | {"date": time.strftime("%Y-%m-%d"), "curve": curve}


def names(seeds: int = SEEDS) -> list[str]:
    """Of the results."""
    return [f"{critic}-{seed}" for seed in range(seeds) for critic in CRITICS]


def cases(seeds: int = SEEDS, env_steps: int = ENV_STEPS) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is trained and evaluated, by the names of the results.

    Raises:
        InputError: If the benchmark is not installed.
    """
    if importlib.util.find_spec("gym_platform") is None:
        raise InputError(f"package 'hybrid-platform' is missing; {how_to_install('platform')}.")
    return {
        f"{critic}-{seed}": partial(perform, critic, seed, env_steps) for seed in range(seeds) for critic in CRITICS
    }


def table(results: Mapping[str, dict[str, Any]]) -> str:
    """Interquartile mean over seeds with 95 % interval, mean and least."""
    lines = ["| critic | seeds | interquartile mean [95 % interval] | mean | least |", "|---|---|---|---|---|"]
    for critic, records in by_setting(results).items():
        scores = np.array([record["return"] for record in records])
        estimate = interquartile_mean(scores)
        interval = estimate.told(".4f")
        lines.append(f"| `{critic}` | {len(scores)} | {interval} | {scores.mean():.3f} | {scores.min():.3f} |")
    return "\n".join(lines)


def draw(results: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Return of the exploring policy over training: interquartile mean and all seeds' range between quartiles."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for (critic, records), (colour, line) in zip(
        by_setting(results).items(), (("#0072B2", "-"), ("#D55E00", "--")), strict=False
    ):
        length = min(len(record["curve"]) for record in records)
        steps = np.array(records[0]["curve"])[:length, 0]
        returns = np.array([np.array(record["curve"])[:length, 1] for record in records])
        low, high = np.percentile(returns, (25, 75), axis=0)
        middle = np.array([interquartile_mean(column).value for column in returns.T])
        axes.plot(steps, middle, line, color=colour, label=f"{critic}, {len(records)} seeds")
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="environment steps", ylabel="return of an episode, exploring", ylim=(0, 1.02))
    axes.set_title("Platform: interquartile mean and quartiles over seeds", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=150)
    plt.close(figure)


def greedy_return(algorithm: Any, episodes: int) -> float:
    """Mean return of the greedy policy over the first ``episodes`` episodes, an equal number from each row."""
    runner = algorithm.env_runner
    per_row = -(-episodes // runner.num_envs)
    observation = runner.env.reset([10_000_000 + row for row in range(runner.num_envs)])
    total, finished = np.zeros(runner.num_envs), np.zeros(runner.num_envs, int)
    returns: list[float] = []
    module = algorithm.get_module()
    while len(returns) < per_row * runner.num_envs:
        batch = {Columns.OBS: torch.from_numpy(observation.reshape(runner.num_envs, -1))}
        action = module.forward_inference(batch)[Columns.ACTIONS]
        step = runner.env.step(to_numpy(action, (runner.num_envs, 1)))
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
