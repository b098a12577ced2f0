"""Which agents of a row belong to which module, and their actions put together again."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import tree

from .errors import ConfigurationError
from .transitions import Part


class Parts:
    """The agents of a batched environment by module, as the policy mapping says.

    Args:
        env: The environment.
        config: The algorithm's configuration.

    Raises:
        ConfigurationError: If the mapping is not one, agents of a module differ in their spaces, or a space is not
            supported.
    """

    def __init__(self, env: Any, config: Any) -> None:
        self._num_agents = env.num_agents
        self._agents = list(getattr(env, "agents", None) or [f"agent_{index}" for index in range(env.num_agents)])
        self._by_name = hasattr(env, "action_spaces")
        modules = [_module_of(agent, config) for agent in self._agents]
        for module_id in config.policies:
            if module_id not in modules:
                raise ConfigurationError(
                    f"policy '{module_id}' has no agent; policy_mapping_fn gives {sorted(set(modules))}."
                )
        #: Observation and action space of each module.
        self.spaces: dict[str, tuple[gym.Space, gym.Space]] = {}
        for agent, module_id in zip(self._agents, modules, strict=True):
            spaces = (
                (env.observation_spaces[agent], env.action_spaces[agent])
                if self._by_name
                else (env.observation_space, env.action_space)
            )
            if self.spaces.setdefault(module_id, spaces) != spaces:
                raise ConfigurationError(
                    f"policy '{module_id}' has agents of different spaces, such as '{agent}'; give those a policy "
                    "of their own."
                )
            _check_told_spaces(module_id, config, spaces)
        self._modules = modules
        self._dtype = np.dtype(np.int8)
        self.by_module: dict[str, Part] = {}

    def fit(self, modules: Any) -> None:
        """Take the sizes from the modules, once they are built."""
        for module_id in self.spaces:
            module = modules[module_id]
            indices = np.flatnonzero([other == module_id for other in self._modules])
            everybody = len(indices) == self._num_agents
            self._dtype = max(self._dtype, module.layout.mode_dtype)
            self.by_module[module_id] = Part(
                slice(None) if everybody else indices, module.spec.observation_size, module.spec.num_parameters
            )

    def joined(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """Arrays [E, m, ...] of every module as one [E, M, ...], padded with zeros; whole numbers in few bits."""
        first = next(iter(values.values()))
        dtype = self._dtype if np.issubdtype(first.dtype, np.integer) else first.dtype
        if len(values) == 1:
            return first.astype(dtype, copy=False)
        wide = max(value.shape[2:] for value in values.values())
        together = np.zeros((len(first), self._num_agents, *wide), dtype)
        for module_id, value in values.items():
            if wide:
                together[:, self.by_module[module_id].agents, : value.shape[-1]] = value
            else:
                together[:, self.by_module[module_id].agents] = value
        return together

    def action(self, actions: dict[str, Any]) -> Any:
        """Actions [E, m, ...] of every module as the environment takes them."""
        if self._by_name:
            by_agent = {}
            for module_id, action in actions.items():
                for position, index in enumerate(np.arange(self._num_agents)[self.by_module[module_id].agents]):
                    by_agent[self._agents[index]] = tree.map_structure(lambda leaf, at=position: leaf[:, at], action)
            return by_agent
        if len(actions) == 1:
            return next(iter(actions.values()))
        # One action space for all: the leaves differ in nothing but their agents.
        return tree.map_structure(
            lambda *leaves: self._merged(dict(zip(actions, leaves, strict=True))), *actions.values()
        )

    def _merged(self, leaves: dict[str, np.ndarray]) -> np.ndarray:
        first = next(iter(leaves.values()))
        together = np.zeros((len(first), self._num_agents, *first.shape[2:]), first.dtype)
        for module_id, leaf in leaves.items():
            together[:, self.by_module[module_id].agents] = leaf
        return together


def _check_told_spaces(module_id: str, config: Any, spaces: tuple[gym.Space, gym.Space]) -> None:
    """Spaces that a configuration names are those of the environment, which the agents act in."""
    policy = config.policies.get(module_id) if isinstance(config.policies, dict) else None
    for name, own in zip(("observation_space", "action_space"), spaces, strict=True):
        of_policy, of_all = getattr(policy, name, None), getattr(config, name)
        for told, of in ((of_policy, f"policy '{module_id}'"), (of_all, "environment")):
            if told is not None and told != own and _flattened(told) != own:
                raise ConfigurationError(f"{name} of {of} is {told}; its agents have {own}: leave it out.")


def _flattened(space: gym.Space) -> gym.Space | None:
    return gym.spaces.utils.flatten_space(space) if space.is_np_flattenable else None


def _module_of(agent: Any, config: Any) -> str:
    """The module of an agent; agents are mapped once, before any episode."""
    if not config.is_multi_agent:
        (only,) = config.policies
        return str(only)
    try:
        module_id = config.policy_mapping_fn(agent, None)
    except Exception as error:
        raise ConfigurationError(
            f"policy_mapping_fn fails for agent '{agent}' without an episode ({error}); the batched EnvRunner maps "
            "agents once."
        ) from error
    if module_id not in config.policies:
        raise ConfigurationError(
            f"policy_mapping_fn gives '{module_id}' for agent '{agent}'; the policies are {sorted(config.policies)}."
        )
    return str(module_id)
