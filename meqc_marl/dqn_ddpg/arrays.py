"""Arrays between networks and environments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import no_output


def check_finite(observation: np.ndarray, reward: np.ndarray | None = None) -> np.ndarray:
    """Stop at what is no number, before it reaches the networks; returns a copy of the observation [E, M, D].

    A copy, because an environment may fill the same array again while the one that it gave waits to be learned from.

    Raises:
        ValueError: If an observation, or a reward, is NaN or infinite.
    """
    for name, values in (("observation", observation), ("reward", reward)):
        if values is not None and not np.isfinite(values).all():
            row, agent, *_ = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(f"the {name} of agent {agent} in row {row} is not a finite number.")
    return observation.copy()


def check_rows(restored: np.ndarray, num_envs: int) -> None:
    """See that the rows [E, ...] of a checkpoint are as many as there are here.

    Raises:
        ValueError: If they are not.
    """
    if len(restored) != num_envs:
        raise ValueError(
            f"num_envs_per_env_runner is {num_envs}; the checkpoint was made with {len(restored)}: set it to that."
        )


def kept_outputs(output: dict[str, Any], keys: Iterable[str], lead: tuple[int, ...]) -> dict[str, Any]:
    """What is kept of a module's output, as arrays [E, M, ...].

    Raises:
        ConfigurationError: If the module does not give it.
    """
    for key in keys:
        if key not in output:
            raise no_output(key)
    return {key: to_numpy(output[key], lead) for key in keys}


def to_numpy(value: Any, lead: tuple[int, ...]) -> Any:
    """Tensors [E * M, ...] of a nested structure as arrays [E, M, ...]."""
    if isinstance(value, dict):
        return {key: to_numpy(item, lead) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(to_numpy(item, lead) for item in value)
    return value.numpy().reshape(*lead, *value.shape[1:])
