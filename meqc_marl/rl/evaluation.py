"""Evaluation during training: the greedy policy beside the exact oracle, on held-out traces."""

from __future__ import annotations

import copy
from functools import lru_cache, partial
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from meqc_marl.config import Scenario
from meqc_marl.config.variation import parse_variations
from meqc_marl.env.view import observation_columns
from meqc_marl.evaluation.comparison import charged
from meqc_marl.evaluation.held_out import beside_oracle, held_out_traces, oracle_reference
from meqc_marl.evaluation.metrics import WAITS, OracleReference, measure
from meqc_marl.evaluation.rollout import Rollout, rollout
from meqc_marl.nature.library import LibraryFiles
from meqc_marl.policies import make_policy
from meqc_marl.policies.learned import LearnedPolicy
from meqc_marl.report.mode_map import MAX_SLOTS, draw_mode_map
from meqc_marl.rl.tensorboard import env_steps as steps_of

EVALUATIONS = 10
#: Of the trace on which the prices of anarchy and ignorance are measured.
MAX_DEVICE_SLOTS = 7_500
#: Key of a result's evaluation.
EVALUATION = "evaluation"


def policy_of(algorithm: Algorithm) -> LearnedPolicy:
    """A copy of the current greedy policy."""
    module = algorithm.get_module(next(iter(algorithm.config.policies)))
    scenario = Scenario.model_validate(algorithm.config.env_config["scenario"])
    drawn = parse_variations(scenario, algorithm.config.env_config.get("vary", ()))
    return LearnedPolicy(
        module.spec,
        copy.deepcopy(module.actor).eval(),
        copy.deepcopy(module.critic).eval(),
        scenario=scenario,
        columns=observation_columns(scenario),
        drawn=tuple(each.field for each in drawn),
    )


def files_of(algorithm: Algorithm) -> LibraryFiles | None:
    """The library that an algorithm's episodes are drawn from; None for none."""
    given = algorithm.config.env_config.get("trace")
    return None if given is None else LibraryFiles.model_validate(given)


def evaluate_against_oracle(algorithm: Algorithm) -> dict[str, float]:
    """Cost, constraint and gap to the oracle of the current greedy policy on common held-out traces.

    Returns:
        Means over the traces by name of :data:`~meqc_marl.evaluation.METRICS`.
    """
    policy = policy_of(algorithm)
    scenario = policy.scenario
    assert scenario is not None
    files = files_of(algorithm)
    trace = held_out_traces(scenario, files=files)
    metrics = beside_oracle(policy, scenario, trace, _reference(scenario.model_dump_json(), files))
    told = metrics if scenario.resources.queued else {name: metrics[name] for name in metrics if name not in WAITS}
    return {name: float(value.mean()) for name, value in told.items()} | _sharing(scenario.model_dump_json(), files)


@lru_cache(maxsize=4)
def _sharing(scenario_json: str, files: LibraryFiles | None) -> dict[str, float]:
    """Prices of anarchy and ignorance on a held-out trace, where devices share; the same throughout a run."""
    scenario = Scenario.model_validate_json(scenario_json)
    if not scenario.resources.pooled:
        return {}
    trace = held_out_traces(scenario, 1, min(scenario.horizon, max(1, MAX_DEVICE_SLOTS // scenario.num_devices)), files)
    rules = {name: make_policy(name, scenario) for name in ("joint-oracle", "selfish", "oblivious")}
    cost = {
        name: float(charged(scenario, measure(rollout(rule, scenario, trace), scenario)).mean())
        for name, rule in rules.items()
    }
    return {
        "price_of_anarchy": cost["selfish"] / cost["joint-oracle"],
        "price_of_ignorance": cost["oblivious"] / cost["joint-oracle"],
    }


@lru_cache(maxsize=4)
def _reference(scenario_json: str, files: LibraryFiles | None) -> OracleReference:
    """Nature is the same at every evaluation of a run, and so is the oracle's result."""
    scenario = Scenario.model_validate_json(scenario_json)
    return oracle_reference(scenario, held_out_traces(scenario, files=files))


def mode_map_rollouts(policy: LearnedPolicy, files: LibraryFiles | None = None) -> dict[str, Rollout]:
    """What the policy and the exact oracle do in the first slots of a held-out trace."""
    scenario = policy.scenario
    assert scenario is not None
    trace = held_out_traces(scenario, 1, min(MAX_SLOTS, scenario.horizon), files)
    pair = {"learned": policy, "exact oracle": make_policy("oracle", scenario)}
    return {name: rollout(each, scenario, trace) for name, each in pair.items()}


def mode_map(policy: LearnedPolicy, files: LibraryFiles | None = None) -> np.ndarray:
    """Where the policy and the exact oracle compute, uint8 [H, W, 3]."""
    return draw_mode_map(mode_map_rollouts(policy, files))


def num_iterations(config: AlgorithmConfig, env_steps: int) -> int:
    """Training iterations until so many environment steps are sampled."""
    return max(1, -(-env_steps // config.min_sample_timesteps_per_iteration))


def evaluate_while_training(config: AlgorithmConfig, env_steps: int) -> None:
    """Have a run of so many steps evaluated some :data:`EVALUATIONS` times and at its end, by a callback."""
    every = max(1, num_iterations(config, env_steps) // EVALUATIONS)
    config.callbacks(on_train_result=partial(_add_evaluation, every=every, env_steps=env_steps))


def _add_evaluation(*, algorithm: Algorithm, result: dict[str, Any], every: int, env_steps: int, **kwargs: Any) -> None:
    """RLlib callback ``on_train_result``.

    RLlib's own hook for this, ``custom_evaluation_function``, loses what it returns in 2.60 and builds EnvRunners that
    nobody needs.
    """
    if result["training_iteration"] % every == 0 or steps_of(result) >= env_steps:
        result[EVALUATION] = evaluate_against_oracle(algorithm)
