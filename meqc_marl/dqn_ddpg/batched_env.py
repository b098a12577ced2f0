"""What the batched EnvRunner steps: E copies of an environment with M agents each, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np


@dataclass
class BatchedStep:
    """One slot of all rows. Callbacks may change ``reward`` and ``next_observation`` in place.

    Attributes:
        reward: Float32 [E, M].
        next_observation: Float32 [E, M, D], the true successor, also at the end of an episode.
        terminated, truncated: Bool [E].
        outcome: What happened to each device, where the environment tells it.
    """

    reward: np.ndarray
    next_observation: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    outcome: Any = None

    @property
    def done(self) -> np.ndarray:
        """Bool [E]: rows whose episode ended."""
        done: np.ndarray = self.terminated | self.truncated
        return done


@runtime_checkable
class BatchedEnv(Protocol):
    """The interface. Agents of a row start and end together."""

    num_envs: int
    num_agents: int
    observation_space: gym.Space
    action_space: gym.Space

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start all rows; returns observations [E, M, D]."""
        ...

    def step(self, action: Any) -> BatchedStep:
        """Step all rows with the environment's action structure (leading axes [E, M])."""
        ...

    def reset_rows(self, rows: np.ndarray) -> np.ndarray:
        """Start the next episode in the rows of a bool mask [E]; returns observations [E, M, D] of all rows."""
        ...

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on exactly."""
        ...

    def set_state(self, state: dict[str, Any]) -> np.ndarray:
        """Inverse of ``get_state``; returns the current observations [E, M, D]."""
        ...


class GymBatchedEnv:
    """Copies of a single-agent Gymnasium environment as rows with one agent (M = 1).

    Episodes of the rows end independently. A checkpoint cannot hold the state of a general environment: a restored
    row begins a new episode.
    """

    def __init__(self, make_env: Callable[[], gym.Env], num_envs: int = 1) -> None:
        self.envs = [make_env() for _ in range(num_envs)]
        self.num_envs, self.num_agents = num_envs, 1
        self.observation_space, self.action_space = self.envs[0].observation_space, self.envs[0].action_space
        self._observation = np.zeros((num_envs, 1, *self.observation_space.shape), np.float32)

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start all rows; returns observations [E, 1, D]."""
        for row, (env, seed) in enumerate(zip(self.envs, seeds, strict=True)):
            self._observation[row, 0], _ = env.reset(seed=int(seed) % 2**32)
        return self._observation.copy()

    def step(self, action: Any) -> BatchedStep:
        """Step all rows."""
        reward = np.zeros((self.num_envs, 1), np.float32)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for row, env in enumerate(self.envs):
            self._observation[row, 0], reward[row, 0], terminated[row], truncated[row], _ = env.step(_pick(action, row))
        return BatchedStep(reward, self._observation.copy(), terminated, truncated)

    def reset_rows(self, rows: np.ndarray) -> np.ndarray:
        """Start a new episode in the given rows."""
        for row in np.flatnonzero(rows):
            self._observation[row, 0], _ = self.envs[row].reset()
        return self._observation.copy()

    def get_state(self) -> dict[str, Any]:
        """Nothing: see the class."""
        return {}

    def set_state(self, state: dict[str, Any]) -> np.ndarray:
        """Begin new episodes."""
        return self.reset_rows(np.ones(self.num_envs, bool))


def _pick(action: Any, row: int) -> Any:
    """The action of one row from arrays with leading axes [E, 1]."""
    if isinstance(action, dict):
        return {key: _pick(value, row) for key, value in action.items()}
    if isinstance(action, tuple):
        return tuple(_pick(value, row) for value in action)
    value = action[row, 0]
    return int(value) if np.ndim(value) == 0 and np.issubdtype(value.dtype, np.integer) else np.asarray(value)
