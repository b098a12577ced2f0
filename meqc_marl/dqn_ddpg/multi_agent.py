"""The way over RLlib's stock ``MultiAgentEnvRunner``: a PettingZoo adapter, and its episodes as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tree
from ray.rllib.core.columns import Columns
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from .columns import MODE, PARAMETERS
from .spaces import HybridActionSpace
from .transitions import multi_step


class ParallelEnvAdapter(MultiAgentEnv):
    """A PettingZoo ``ParallelEnv`` with a constant set of agents as an RLlib ``MultiAgentEnv``.

    Unlike RLlib's own wrapper it keeps the agents in order and seeds the first reset.
    """

    def __init__(self, env: Any) -> None:
        super().__init__()
        self.env = env
        self.possible_agents = list(env.possible_agents)
        self.agents = list(self.possible_agents)
        self.observation_spaces = {agent: env.observation_space(agent) for agent in self.agents}
        self.action_spaces = {agent: env.action_space(agent) for agent in self.agents}

    @property
    def scenario(self) -> Any:
        """Scenario of the wrapped environment, if it has one."""
        return getattr(self.env.unwrapped, "scenario", None)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Start an episode."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations, infos

    def step(self, action_dict: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Step all agents; ``__all__`` ends the episode when no agent is left."""
        observations, rewards, terminated, truncated, infos = self.env.step(action_dict)
        over = not self.env.agents
        all_truncated = over and all(truncated.values())
        return (
            observations,
            rewards,
            {**terminated, "__all__": over and not all_truncated},
            {**truncated, "__all__": all_truncated},
            infos,
        )

    def render(self) -> Any:
        """Whatever the wrapped environment renders."""
        return self.env.render()

    def close(self) -> None:
        """Close the wrapped environment."""
        self.env.close()


def episode_rows(episode: Any, discount: float, layout: HybridActionSpace, num_steps: int = 1) -> dict[str, np.ndarray]:
    """Flatten a ``MultiAgentEpisode`` chunk to transitions, as the replay buffer takes them.

    Returns of several steps are shorter at the end of a chunk.
    Of shared Boxes the environment's action holds the parameters of the mode taken only; the slots of other modes are
    zero.
    """
    parts = []
    for single in episode.agent_episodes.values():
        observations = np.asarray(single.get_observations(), np.float32)
        actions, rewards = single.get_actions(), np.asarray(single.get_rewards(), np.float32)
        if not len(rewards):
            continue
        mode, parameters = _flat_actions(actions, layout)
        done, terminated = np.zeros(len(rewards), bool), np.zeros(len(rewards), bool)
        done[-1] = True
        # RLlib marks agents as terminated too when all are truncated together.
        terminated[-1] = single.is_terminated and not single.is_truncated
        parts.append(
            {
                Columns.OBS: observations[:-1],
                MODE: mode.astype(np.int8),
                PARAMETERS: parameters,
                **multi_step(rewards, observations[1:], done, terminated, discount, num_steps, complete=False),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _flat_actions(actions: Any, layout: HybridActionSpace) -> tuple[np.ndarray, np.ndarray]:
    """Modes [N] and unit parameters [N, P] from stacked or listed environment actions."""
    if isinstance(actions, list):
        actions = tree.map_structure(lambda *steps: np.stack(steps), *actions)
    mode, boxes = layout.build.split(actions)
    mode = np.asarray(mode).reshape(-1)
    given = np.concatenate([np.asarray(box, np.float32).reshape(len(mode), -1) for box in boxes], -1)
    if not layout.shared:
        return mode, (given - layout.lows) / (layout.highs - layout.lows)
    parameters = np.zeros((len(mode), layout.num_parameters), np.float32)
    for k, slot in enumerate(layout.slots):
        if slot.stop > slot.start:
            low, high = layout.lows[slot], layout.highs[slot]
            parameters[mode == k, slot] = (given[mode == k] - low) / (high - low)
    return mode, parameters
