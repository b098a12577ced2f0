"""Arrays between networks and environments."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_finite(observation: np.ndarray, reward: np.ndarray | None = None) -> None:
    """Stop at what is no number, before it reaches the networks.

    Raises:
        ValueError: If an observation, or a reward, is NaN or infinite.
    """
    for name, values in (("observation", observation), ("reward", reward)):
        if values is not None and not np.isfinite(values).all():
            row, agent, *_ = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(f"the {name} of agent {agent} in row {row} is not a finite number.")


def to_numpy(value: Any, lead: tuple[int, ...]) -> Any:
    """Tensors [E * M, ...] of a nested structure as arrays [E, M, ...]."""
    if isinstance(value, dict):
        return {key: to_numpy(item, lead) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(to_numpy(item, lead) for item in value)
    return value.numpy().reshape(*lead, *value.shape[1:])
