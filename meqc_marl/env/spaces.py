"""Spaces of a single device."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from meqc_marl.env.observation import OBSERVATION_COLUMNS


def action_space() -> gym.spaces.Dict:
    """``mode``: 0 LOCAL, 1 CPU, 2 QPU; ``fraction``: share sent away in [0, 1]."""
    return gym.spaces.Dict(mode=gym.spaces.Discrete(3), fraction=gym.spaces.Box(0.0, 1.0, (1,), np.float32))


def observation_space() -> gym.spaces.Box:
    """Float32 [K], columns :data:`~meqc_marl.env.observation.OBSERVATION_COLUMNS`."""
    return gym.spaces.Box(-np.inf, np.inf, (len(OBSERVATION_COLUMNS),), np.float32)
