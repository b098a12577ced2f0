"""What the batched EnvRunner steps: E copies of an environment with M agents each, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np

from .errors import ConfigurationError


@dataclass
class BatchedStep:
    """One slot of all rows. Callbacks may change ``reward`` and ``next_observation`` in place.

    Attributes:
        reward: Float32 [E, M].
        next_observation: Float32 [E, M, D], the true successor, also at the end of an episode.
        terminated: Bool [E], or [E, M] where agents of a row that ends may differ in whether their last state has a
            value of zero.
        truncated: Bool [E]: the row ended, and not all of its agents in such a state.
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
        ended = self.terminated if self.terminated.ndim == 1 else self.terminated.any(-1)
        done: np.ndarray = ended | self.truncated
        return done


@runtime_checkable
class BatchedEnv(Protocol):
    """The interface. Agents of a row start and end together.

    Agents may have names (``agents``, a list of M) for a policy mapping. If their spaces differ, ``observation_spaces``
    and ``action_spaces`` hold them by name, observations are padded with zeros to the longest, and ``step`` takes a
    dict of every agent's action with the leading axis [E].

    Arrays may be filled again in the next step: the runner keeps copies.

    Agents may come and go: ``present`` then tells who is there in the current slot, bool [E, M]. Who is not there acts
    all the same, has a reward of 0, and is not learned from; what follows an absence is no part of a return.
    """

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

    Episodes of the rows end independently. Observations of any space that Gymnasium can flatten are flattened. A
    checkpoint cannot hold the state of a general environment: a restored row begins a new episode.
    """

    def __init__(self, make_env: Callable[[], gym.Env], num_envs: int = 1) -> None:
        self.envs = [make_env() for _ in range(num_envs)]
        self.num_envs, self.num_agents = num_envs, 1
        self._flat = Flat(self.envs[0].observation_space)
        self.observation_space, self.action_space = self._flat.space, self.envs[0].action_space
        self._observation = np.zeros((num_envs, 1, *self.observation_space.shape), np.float32)

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start all rows; returns observations [E, 1, D]."""
        for row, (env, seed) in enumerate(zip(self.envs, seeds, strict=True)):
            self._observation[row, 0] = self._flat(env.reset(seed=int(seed) % 2**32)[0])
        return self._observation.copy()

    def step(self, action: Any) -> BatchedStep:
        """Step all rows."""
        reward = np.zeros((self.num_envs, 1), np.float32)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for row, env in enumerate(self.envs):
            seen, paid, terminated[row], truncated[row], _ = env.step(pick(action, (row, 0)))
            reward[row, 0] = as_number(paid)
            self._observation[row, 0] = self._flat(seen)
        return BatchedStep(reward, self._observation.copy(), terminated, truncated)

    def reset_rows(self, rows: np.ndarray) -> np.ndarray:
        """Start a new episode in the given rows."""
        for row in np.flatnonzero(rows):
            self._observation[row, 0] = self._flat(self.envs[row].reset()[0])
        return self._observation.copy()

    def get_state(self) -> dict[str, Any]:
        """Nothing: see the class."""
        return {}

    def set_state(self, state: dict[str, Any]) -> np.ndarray:
        """Begin new episodes."""
        return self.reset_rows(np.ones(self.num_envs, bool))


class Flat:
    """Observations of a space as float32 vectors.

    Raises:
        ConfigurationError: If the space has no fixed length.
    """

    def __init__(self, space: gym.Space) -> None:
        self._given = space
        self._is_flat = isinstance(space, gym.spaces.Box) and len(space.shape) == 1
        self.space = space if self._is_flat else flat_space(space)

    def __call__(self, observation: Any) -> np.ndarray:
        """The vector [D].

        Raises:
            ValueError: If the observation is none of the space.
        """
        try:
            if not _discretes_fit(self._given, observation):
                raise ValueError("a discrete part of it is none of its values")
            vector = observation if self._is_flat else gym.spaces.utils.flatten(self._given, observation)
            if np.shape(vector) != self.space.shape:
                raise ValueError(f"flattened it has the shape {np.shape(vector)} instead of {self.space.shape}")
        except (TypeError, LookupError, ValueError, AttributeError) as error:
            raise ValueError(f"observation {observation!r:.200} does not fit {self._given}: {error}.") from error
        return np.asarray(vector)


def _discretes_fit(space: gym.Space, observation: Any) -> bool:
    """Whether the discrete parts of an observation have values of theirs: flattened, another one may pass for one."""
    if isinstance(space, gym.spaces.Dict):
        return all(_discretes_fit(part, observation[key]) for key, part in space.spaces.items())
    if isinstance(space, gym.spaces.Tuple):
        return all(_discretes_fit(part, each) for part, each in zip(space.spaces, observation, strict=True))
    if isinstance(space, gym.spaces.Discrete):
        return bool(space.start <= int(observation) < space.start + space.n)
    if isinstance(space, gym.spaces.MultiDiscrete):
        room = np.asarray(observation) - space.start
        return bool(((room >= 0) & (room < space.nvec)).all())
    return True


def as_number(reward: Any) -> float:
    """A reward that an environment gives as a number or as an array of one.

    Raises:
        ValueError: If it is neither.
    """
    try:
        return float(np.asarray(reward).item())
    except (TypeError, ValueError) as error:
        raise ValueError(f"a reward is {reward!r:.100}; it must be a number.") from error


def flat_space(space: gym.Space) -> gym.spaces.Box:
    """The Box [D] of a space's flattened observations.

    Raises:
        ConfigurationError: If they have no fixed length.
    """
    flat = None
    if isinstance(space, gym.Space) and space.is_np_flattenable:
        flat = gym.spaces.utils.flatten_space(space)
    if not isinstance(flat, gym.spaces.Box) or not np.issubdtype(flat.dtype, np.number) or not flat.shape[0]:
        raise ConfigurationError(
            f"observation space {space} is not supported: Gymnasium cannot flatten it to numbers of a fixed length."
        )
    return flat


def pick(action: Any, index: Any) -> Any:
    """One action from arrays with leading axes; mode and whole numbers as ``int``."""
    if isinstance(action, dict):
        return {key: pick(value, index) for key, value in action.items()}
    if isinstance(action, tuple):
        return tuple(pick(value, index) for value in action)
    value = action[index]
    return int(value) if np.ndim(value) == 0 and np.issubdtype(value.dtype, np.integer) else np.asarray(value)
