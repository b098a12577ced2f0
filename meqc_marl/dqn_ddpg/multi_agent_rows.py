"""Copies of a multi-agent environment as rows of the batched EnvRunner, and what else may become rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from .batched_env import BatchedEnv, BatchedStep, Flat, GymBatchedEnv, as_number, pick
from .errors import ConfigurationError
from .multi_agent import ParallelEnvAdapter

_OTHER_RUNNER = (
    "take env_runner_cls=MultiAgentEnvRunner (a PettingZoo environment then in meqc_marl.dqn_ddpg.multi_agent."
    "ParallelEnvAdapter)"
)


class MultiAgentBatchedEnv:
    """Copies of an RLlib ``MultiAgentEnv`` whose agents are always the same, as rows of M agents.

    Spaces may differ between agents. Agents of a row start and end together; where they come and go, RLlib's
    ``MultiAgentEnvRunner`` is the way. A restored row begins a new episode.
    """

    def __init__(self, make_env: Callable[[], MultiAgentEnv], num_envs: int = 1) -> None:
        self.envs = [make_env() for _ in range(num_envs)]
        self.num_envs = num_envs
        self.agents = list(self.envs[0].possible_agents)
        self.num_agents = len(self.agents)
        if not self.agents:
            raise ConfigurationError(f"environment {self.envs[0]} is not supported: its possible_agents are empty.")
        self._flat = {agent: Flat(self.envs[0].get_observation_space(agent)) for agent in self.agents}
        self.observation_spaces = {agent: flat.space for agent, flat in self._flat.items()}
        self.action_spaces = {agent: self.envs[0].get_action_space(agent) for agent in self.agents}
        widest = max(self.observation_spaces.values(), key=lambda space: space.shape[0])
        self.observation_space, self.action_space = widest, self.action_spaces[self.agents[0]]
        self._observation = np.zeros((num_envs, self.num_agents, *widest.shape), np.float32)

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start all rows; returns observations [E, M, D]."""
        for row, (env, seed) in enumerate(zip(self.envs, seeds, strict=True)):
            self._observe(row, env.reset(seed=int(seed) % 2**32)[0])
        return self._observation.copy()

    def step(self, action: dict[str, Any]) -> BatchedStep:
        """Step all rows, with the actions [E, ...] of every agent by name."""
        reward = np.zeros((self.num_envs, self.num_agents), np.float32)
        terminated, truncated = np.zeros((self.num_envs, self.num_agents), bool), np.zeros(self.num_envs, bool)
        for row, env in enumerate(self.envs):
            seen, rewards, ends, cuts, _ = env.step({agent: pick(action[agent], row) for agent in self.agents})
            self._observe(row, seen)
            reward[row] = [as_number(rewards.get(agent, 0.0)) for agent in self.agents]
            over = [bool(ends.get(agent) or cuts.get(agent)) for agent in self.agents]
            all_over = bool(ends.get("__all__") or cuts.get("__all__") or all(over))
            if any(over) and not all_over:
                raise ValueError(
                    f"agent '{self.agents[over.index(True)]}' ended before the others; the batched EnvRunner needs "
                    f"agents that end together: {_OTHER_RUNNER}."
                )
            if all_over:
                terminated[row] = [_is_terminated(agent, ends, cuts) for agent in self.agents]
                truncated[row] = not terminated[row].all()
        return BatchedStep(reward, self._observation.copy(), terminated, truncated)

    def reset_rows(self, rows: np.ndarray) -> np.ndarray:
        """Start a new episode in the given rows."""
        for row in np.flatnonzero(rows).tolist():
            self._observe(row, self.envs[row].reset()[0])
        return self._observation.copy()

    def get_state(self) -> dict[str, Any]:
        """Nothing: see the class."""
        return {}

    def set_state(self, state: dict[str, Any]) -> np.ndarray:
        """Begin new episodes."""
        return self.reset_rows(np.ones(self.num_envs, bool))

    def _observe(self, row: int, seen: dict[str, Any]) -> None:
        for index, agent in enumerate(self.agents):
            if agent not in seen:
                raise ValueError(
                    f"agent '{agent}' has no observation; the batched EnvRunner needs all agents in every step: "
                    f"{_OTHER_RUNNER}."
                )
            vector = self._flat[agent](seen[agent])
            self._observation[row, index, : len(vector)] = vector


def _is_terminated(agent: Any, ends: dict[Any, bool], cuts: dict[Any, bool]) -> bool:
    """Whether an agent's last state, at the end of all, has a value of zero: its own flags count before those of all.

    Both flags are told where an end falls on a limit of time: it is an end, as with Gymnasium.
    """
    if ends.get(agent) or cuts.get(agent):
        return bool(ends.get(agent))
    return bool(ends.get("__all__"))


def as_rows(create: Callable[[], Any], num_envs: int) -> BatchedEnv:
    """An environment as the batched EnvRunner steps it: a :class:`BatchedEnv`, or copies of what is none.

    Args:
        create: Makes a BatchedEnv, or a copy of a Gymnasium, RLlib multi-agent or PettingZoo parallel environment.
        num_envs: Number of copies.

    Raises:
        ConfigurationError: If it makes something else, or its observations are not flat.
    """
    env = create()
    if isinstance(env, MultiAgentEnv):
        env.close()
        return MultiAgentBatchedEnv(create, num_envs)
    if isinstance(env, gym.Env):
        env.close()
        return GymBatchedEnv(create, num_envs)
    if isinstance(env, BatchedEnv):
        for space in getattr(env, "observation_spaces", {"": env.observation_space}).values():
            if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
                raise ConfigurationError(
                    f"observation space {space} is not supported: arrays of rows must be flat Boxes."
                )
        return env
    if hasattr(env, "possible_agents") and callable(getattr(env, "action_space", None)):
        env.close()
        return MultiAgentBatchedEnv(lambda: ParallelEnvAdapter(create()), num_envs)
    raise ConfigurationError(
        f"environment {type(env).__name__} is not supported: a Gymnasium, RLlib multi-agent, PettingZoo parallel or "
        "batched environment is needed."
    )
