"""From a run and its placement to the algorithm's configuration."""

from __future__ import annotations

from typing import Any

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.session import quiet
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import EVALUATIONS, evaluate_while_training

SLIVER = 0.001
"""Share of a machine's custom resource that says where something runs, and leaves room for a thousand."""


def configuration(run: Run, placement: Placement | None = None) -> Any:
    """The algorithm's configuration, with the evaluations during training.

    Raises:
        InputError: If a parameter of the learner is not allowed.
    """
    placement = placement or Placement()
    config = _of(run)
    # However long an episode, a run has ten iterations: it evaluates, tells and saves between them.
    longest = max(1, -(-run.env_steps // EVALUATIONS))
    config.reporting(min_sample_timesteps_per_iteration=min(config.min_sample_timesteps_per_iteration, longest))
    if placement.learner_resource is not None:  # the Learner is in the run's main process
        config.resources(custom_resources_for_main_process={placement.learner_resource: SLIVER})
    if placement.gpus:
        config.learners(num_gpus_per_learner=placement.gpus)
    evaluate_while_training(config, run.env_steps)
    return config


def same_learner(one: Run, other: Run) -> bool:
    """Whether two runs learn with the same parameters, named or left at their defaults.

    Raises:
        InputError: If a parameter of the learner is not allowed.
    """
    quiet()
    return bool(_of(one).options == _of(other).options)


def _of(run: Run) -> DQNDDPGConfig:
    return offloading_config(
        run.scenario,
        env_steps=run.env_steps,
        seed=run.seed,
        num_env_runners=run.num_env_runners,
        env_runner=run.env_runner,
        learner=run.learner,
        vary=run.vary,
        trace=run.trace,
    )
