"""What the public benchmarks of the learner have in common: parameters of a small task on one core."""

from __future__ import annotations

from typing import Any

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig


def recipe(
    env: str, n: int, seed: int, *, actor_lr: float, explored: int, iterations: int, **own: Any
) -> DQNDDPGConfig:
    """Configuration of a run.

    Args:
        env: Registered name of the environment.
        n: Environment steps of the run.
        seed: Of the run.
        actor_lr: At the beginning; a hundredth of it at the end.
        explored: Environment steps after which epsilon is 0.05.
        iterations: Of the run.
        own: Parameters of the learner in which the benchmarks differ.
    """
    return (
        DQNDDPGConfig()
        .environment(env)
        .env_runners(num_envs_per_env_runner=8, rollout_fragment_length=4)
        .training(
            activation="relu",
            hidden=(128, 128),
            critic_lr=[[0, 1e-3], [n // 2, 1e-3], [n, 1e-5]],
            actor_lr=[[0, actor_lr], [n // 2, actor_lr], [n, 0.01 * actor_lr]],
            epsilon=[[0, 1.0], [explored, 0.05], [n, 0.01]],
            exploration_noise=[[0, 0.1], [n, 0.02]],
            tau=0.01,
            train_batch_size_per_learner=128,
            updates_per_training_step=8,
            replay_capacity=200_000,
            num_steps_before_learning=2_000,
            **own,
        )
        .reporting(min_sample_timesteps_per_iteration=n // iterations)
        .debugging(seed=seed, log_level="ERROR")
    )
