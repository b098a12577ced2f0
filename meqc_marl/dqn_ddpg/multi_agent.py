"""The way over RLlib's stock ``MultiAgentEnvRunner``: a PettingZoo adapter, and its episodes as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tree
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from .columns import IS_RANDOM, MODE, PARAMETERS
from .errors import no_output
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
        # Of an agent with both flags RLlib's episodes do not tell whether all were truncated or it has terminated.
        truncated = {agent: cut and not terminated.get(agent, False) for agent, cut in truncated.items()}
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


def episode_rows(
    episode: Any, discount: float, layouts: dict[str, HybridActionSpace], num_steps: int = 1, until_random: bool = False
) -> dict[str, dict[str, np.ndarray]]:
    """Flatten a chunk of an RLlib episode, of one or of several agents, to transitions for the replay buffers.

    Returns of several steps are shorter at the end of a chunk.
    Of shared Boxes the environment's action holds the parameters of the mode taken only; the slots of other modes are
    zero. Observations are those that connectors have left in the episode. An agent whose infos say that it is not
    ``present`` in the coming step comes and goes: such steps are left out, and who goes has come to an end.

    Args:
        episode: The chunk.
        discount: Gamma.
        layouts: Action space of each module whose transitions are wanted.
        num_steps: Steps of a return.
        until_random: Returns end before actions that the module says were random.

    Returns:
        Columns [N, ...] by module.

    Raises:
        ValueError: If an observation or a reward is NaN or infinite.
        ConfigurationError: If the module does not say which actions were random.
    """
    parts: dict[str, list[dict[str, np.ndarray]]] = {}
    alone = isinstance(episode, SingleAgentEpisode)
    for single in [episode] if alone else episode.agent_episodes.values():
        module_id = DEFAULT_MODULE_ID if alone else single.module_id
        rewards = np.asarray(single.get_rewards(), np.float32)
        if not len(rewards) or module_id not in layouts:
            continue
        observations = np.asarray(single.get_observations(), np.float32)
        for name, values in (("observation", observations), ("reward", rewards)):
            if not np.isfinite(values).all():
                raise ValueError(f"an {name} of agent '{single.agent_id}' is not a finite number.")
        layout = layouts[module_id]
        mode, parameters = _flat_actions(single.get_actions(), layout)
        done, terminated = np.zeros(len(rewards), bool), np.zeros(len(rewards), bool)
        done[-1] = True
        # Of several agents RLlib marks all as terminated, too, when all are truncated together.
        terminated[-1] = single.is_terminated and (alone or not single.is_truncated)
        present = _present(single)
        if present is not None:
            done, terminated = done | ~present[1:], terminated | ~present[1:]
        is_random = None
        if until_random:
            if IS_RANDOM not in single.extra_model_outputs:
                raise no_output(IS_RANDOM)
            is_random = np.asarray(single.get_extra_model_outputs(IS_RANDOM), bool)
        returns = multi_step(
            rewards, observations[1:], done, terminated, discount, num_steps, complete=False, is_random=is_random
        )
        rows = {
            Columns.OBS: observations[:-1],
            MODE: mode.astype(layout.mode_dtype),
            PARAMETERS: parameters,
            **returns,
        }
        if present is not None:
            rows = {name: values[present[:-1]] for name, values in rows.items()}
        parts.setdefault(module_id, []).append(rows)
    return {
        module_id: {name: np.concatenate([part[name] for part in many]) for name in many[0]}
        for module_id, many in parts.items()
    }


def _present(single: SingleAgentEpisode) -> np.ndarray | None:
    """Whether an agent is there in each step and after the last, bool [T + 1]; None if it always is."""
    infos = single.get_infos()
    present = np.array([bool(info.get("present", True)) for info in infos])
    return None if len(present) != len(single) + 1 or present.all() else present


def _flat_actions(actions: Any, layout: HybridActionSpace) -> tuple[np.ndarray, np.ndarray]:
    """Modes [N] and unit parameters [N, P] from stacked or listed environment actions."""
    if isinstance(actions, list):
        actions = tree.map_structure(lambda *steps: np.stack(steps), *actions)
    mode, boxes = layout.build.split(actions)
    mode = np.asarray(mode).reshape(-1)
    given = np.concatenate([np.asarray(box, np.float32).reshape(len(mode), -1) for box in boxes], -1)
    if not layout.shared:
        return mode, layout.unscale(given)
    parameters = np.zeros((len(mode), layout.num_parameters), np.float32)
    for k, slot in enumerate(layout.slots):
        if slot.stop > slot.start:
            parameters[mode == k, slot] = layout.unscale(given[mode == k], slot)
    return mode, parameters
