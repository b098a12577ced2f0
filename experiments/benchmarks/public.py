"""The learner on public tasks of hybrid action: Moving, Sliding (gym-hybrid) and Goal (robot soccer), with one recipe.

Run ``meqc-marl benchmark public``. Finished runs are kept, so it can be interrupted. Curves and results are returns of
the task itself, of the greedy policy. Goal begins as the published learners do, with parameters of kicks and shots made
by hand, and no more than their budget of 20,000 episodes.
"""

from __future__ import annotations

import math
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
from experiments.benchmarks.tasks.hand_made import GoalFromHandMade
from experiments.benchmarks.tasks.moving import Moving, Sliding
from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.files import replacing

SEEDS, ENV_STEPS = 5, 300_000
TASKS: dict[str, type[gym.Env]] = {"moving": Moving, "sliding": Sliding, "goal": GoalFromHandMade}
SHARES = {"moving": 1.0, "sliding": 1.0, "goal": 0.175}
"""Of the environment steps: an episode of Goal is two or three."""
MOST_EPISODES = {"goal": 20_000}
"""Of training: the published budget."""
EPISODES = {"goal": 3_000}
"""Of the evaluation, where they are not 500: a run of Goal differs from another by a few per cent."""
COLOURS = ("#0072B2", "#D55E00", "#009E73")
"""Of the tasks."""
_EVALUATED = 20_000_000
"""First seed of the episodes of evaluation."""


def config(task: str, seed: int, n: int) -> DQNDDPGConfig:
    """Configuration of a run of ``n`` environment steps, the same for every task."""
    return recipe(f"public_{task}", TASKS[task], n, seed, iterations=25)


def greedy(module: Any, task: str, episodes: int) -> tuple[float, float]:
    """Mean return, and share of successes, of the greedy policy."""
    env, returns, successes = TASKS[task](), [], []
    for episode in range(episodes):
        observation, _ = env.reset(seed=_EVALUATED + episode)
        total, over, info = 0.0, False, {}
        while not over:
            batch = {Columns.OBS: torch.from_numpy(observation[None])}
            mode, parameters = module.forward_inference(batch)[Columns.ACTIONS]
            action = int(mode[0]), tuple(np.asarray(part[0]) for part in parameters)
            observation, reward, terminated, truncated, info = env.step(action)
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
        successes.append(info["success"])
    return float(np.mean(returns)), float(np.mean(successes))


def perform(task: str, seed: int, env_steps: int) -> dict[str, Any]:
    """Train and evaluate; Ray must run.

    Training ends before an iteration like the last would take more than the task's episodes.
    """
    algorithm = config(task, seed, env_steps).build_algo()
    most = MOST_EPISODES.get(task, math.inf)
    curve, started, steps, episodes, last = [], time.perf_counter(), 0, 0, 0
    while steps < env_steps and episodes + last <= most:
        sampled, before = algorithm.train()["env_runners"], episodes
        steps, episodes = int(sampled["num_env_steps_sampled_lifetime"]), int(sampled["num_episodes_lifetime"])
        last = episodes - before
        curve.append([steps, *greedy(algorithm.get_module(), task, episodes=20)])
    passed = time.perf_counter() - started
    score, success = greedy(algorithm.get_module(), task, EPISODES.get(task, 500))
    algorithm.stop()
    record = {"task": task, "seed": seed, "env_steps": steps, "episodes": episodes, "return": score, "success": success}
    return record | {"training_s": passed, "date": time.strftime("%Y-%m-%d"), "curve": curve}


def names(seeds: int = SEEDS) -> list[str]:
    """Of the results."""
    return [f"{task}-{seed}" for seed in range(seeds) for task in TASKS]


def cases(seeds: int = SEEDS, env_steps: int = ENV_STEPS) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is trained and evaluated, by the names of the results."""
    steps = {task: max(1, round(share * env_steps)) for task, share in SHARES.items()}
    return {f"{task}-{seed}": partial(perform, task, seed, steps[task]) for seed in range(seeds) for task in TASKS}


def table(results: Mapping[str, dict[str, Any]]) -> str:
    """Return (interquartile mean over seeds) and share of successes, of each task; episodes are those of training."""
    lines = ["| task | env-steps | episodes, most | seeds | return | least | successes |", "|---" * 7 + "|"]
    for task, records in by_setting(results).items():
        scores = np.array([record["return"] for record in records])
        success = np.mean([record["success"] for record in records])
        told = interquartile_mean(scores).told(".3f")
        counts = f"{records[0]['env_steps']:,} | {max(record['episodes'] for record in records):,} | {len(scores)}"
        lines.append(f"| `{task}` | {counts} | {told} | {scores.min():.3f} | {success:.1%} |")
    return "\n".join(lines)


def draw(results: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Share of successes of the greedy policy over training, a line for each run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for (task, records), colour in zip(by_setting(results).items(), COLOURS, strict=False):
        for number, record in enumerate(records):
            steps, _, success = np.array(record["curve"]).T
            axes.plot(steps, success, color=colour, linewidth=1, label=None if number else task)
    axes.set(xlabel="environment steps", ylabel="successes of the greedy policy", ylim=(-0.02, 1.02))
    axes.set_title("Public tasks; a line is a training run", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=150)
