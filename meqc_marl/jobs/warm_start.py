"""Begin a run with the weights of a trained policy, in another scenario, with another seed and budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.dqn_ddpg.network_spec import OF_WEIGHTS, NetworkSpec
from meqc_marl.errors import InputError
from meqc_marl.policies.learned import load_policy

_FREE = ("bound_columns", "allowed_modes", "discrete")
_ALIKE = tuple(name for name in NetworkSpec.model_fields if name not in (*_FREE, *OF_WEIGHTS))
"""What two networks must have in common, so that weights of one have a meaning in the other."""


def start_warm(algorithm: DQNDDPG, source: str | Path) -> None:
    """Give a policy's weights to all Learners, their targets and the EnvRunners; optimizers and replay begin anew.

    Args:
        algorithm: That has not begun.
        source: Run, checkpoint or policy folder, or a URI of one.

    Raises:
        InputError: If there is no policy, or its networks are others than the algorithm's or not made for its discount.
    """
    policy = load_policy(source)
    mine = algorithm.get_module(next(iter(algorithm.config.policies))).spec
    for name in _ALIKE:
        theirs = getattr(policy.spec, name)
        if theirs != getattr(mine, name):
            raise InputError(
                f"from '{source}' cannot be taken: its {name} is {_told(theirs)} and this run's is "
                f"{_told(getattr(mine, name))}; give --learner {name}=..., as it was trained."
            )
    if policy.spec.mode_columns and algorithm.config.gamma > 0:
        raise InputError(
            f"from '{source}' cannot be taken: its modes see their own places alone, and this run's gamma is "
            f"{algorithm.config.gamma:g}; with a discount a mode is worth what all columns tell of later slots."
        )
    known = [_told(each) for each in (policy.spec.price_columns, algorithm.config.price_columns)]
    if known[0] and known[0] != known[1]:
        raise InputError(
            f"from '{source}' cannot be taken: its price_columns are {known[0]} and this run's are {known[1]}; train "
            "it with the cost.deadline, lyapunov.queue, lyapunov.reward and reward_scale of this run."
        )
    heads = {"actor": policy.actor.state_dict(), "critic": policy.critic.state_dict()}
    told = {name: getattr(policy.spec, name) for name in OF_WEIGHTS}
    algorithm.learner_group.foreach_learner(lambda learner: _take(learner, heads, told))
    algorithm.env_runner_group.sync_weights(from_worker_or_learner_group=algorithm.learner_group, inference_only=True)


def _take(learner: Any, heads: dict[str, Any], told: dict[str, Any]) -> None:
    for _, module in learner.module.items():
        network = module.unwrapped()
        network.take_options_of_weights(told)
        network.actor.load_state_dict(heads["actor"])
        for critic in network.critics:
            critic.load_state_dict(heads["critic"])
        for main, target in network.get_target_network_pairs():
            target.load_state_dict(main.state_dict())


def _told(value: Any) -> Any:
    return [_told(each) for each in value] if isinstance(value, tuple | list) else value
