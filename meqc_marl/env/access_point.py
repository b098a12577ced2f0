"""A Gymnasium view: the access point sees all devices and decides for all, for learners with one agent."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from meqc_marl.env.actions import action_mask
from meqc_marl.errors import InputError, shown


class AccessPointEnv(gymnasium.Env):
    """All devices as one agent, over an environment of named ones, wrapped or not.

    | Action of a device | Action here                                                         | Mask              |
    |--------------------|---------------------------------------------------------------------|-------------------|
    | mode and fraction  | ``Dict(mode=MultiDiscrete([3] * M), fraction=Box(0, 1, (M,)))``     | a dict of tuples  |
    | Discrete(n)        | ``MultiDiscrete([n] * M)``                                          | M arrays, a tuple |
    | Box(-1, 1, (4,))   | ``Box(-1, 1, (4 M,))``, device after device                         | none              |

    The observation is those of the devices one after another, float32 [M K]; the reward is the mean over the devices
    that are there, so that it has the same size in every scenario. ``infos`` hold what the devices' infos do as arrays
    [M, ...] and, where there is one, ``action_mask`` as the space's ``sample(mask)`` takes it.

    Args:
        env: From :func:`~meqc_marl.env.parallel.parallel_env`, also in the Lyapunov wrapper or a flat one.
    """

    def __init__(self, env: Any) -> None:
        agents = getattr(env, "possible_agents", None)
        if not isinstance(agents, list) or not agents:
            raise InputError(f"env is {shown(env)}; it must be a parallel environment of named devices.")
        self.env = env
        self._agents = agents
        self.metadata = dict(env.metadata)
        self.render_mode = env.render_mode
        one = env.observation_space(agents[0])
        self.observation_space = spaces.Box(
            np.tile(one.low, len(agents)), np.tile(one.high, len(agents)), dtype=one.dtype.type
        )
        self._single = env.action_space(agents[0])
        self.action_space = _joint(self._single, len(agents))
        self._info: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode; see the environment of named devices."""
        super().reset(seed=seed)
        observations, infos = self.env.reset(seed=seed, options=options)
        return self._seen(observations), self._told(infos)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carry out one slot with the actions of all devices."""
        observations, rewards, terminated, truncated, infos = self.env.step(self._apart(action))
        there = [agent for agent in self._agents if infos[agent]["was_present"]]
        reward = float(np.mean([rewards[agent] for agent in there])) if there else 0.0
        ends = (all(terminated.values()), all(truncated.values()))
        return self._seen(observations), reward, *ends, self._told(infos)

    def action_masks(self) -> np.ndarray:
        """What may be chosen now, the parts one after another, bool: as maskable learners of one agent ask for it."""
        if not self._info:
            raise InputError("there is no running episode; call reset() first.")
        if isinstance(self._single, spaces.Dict):
            return self._info["mode_mask"].astype(bool).ravel()
        if isinstance(self._single, spaces.Discrete):
            return np.concatenate(self._info["action_mask"]).astype(bool)
        raise InputError("the action is a Box, which has no mask; the environment takes the best mode that is allowed.")

    def render(self) -> Any:
        """As the environment of named devices does."""
        return self.env.render()

    def close(self) -> None:
        """Close that environment."""
        self.env.close()

    def _seen(self, observations: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([observations[agent] for agent in self._agents])

    def _told(self, infos: dict[str, dict[str, Any]]) -> dict[str, Any]:
        each = [infos[agent] for agent in self._agents]
        told: dict[str, Any] = {key: np.stack([info[key] for info in each]) for key in each[0] if key != "action_mask"}
        if isinstance(self._single, spaces.Dict):
            masks = [action_mask(info)["mode"] for info in each]
            told["action_mask"] = {"mode": tuple(masks), "fraction": None}
        elif isinstance(self._single, spaces.Discrete):
            told["action_mask"] = tuple(info["action_mask"] for info in each)
        self._info = told
        return told

    def _apart(self, action: Any) -> dict[str, Any]:
        """The action of each device; the environment of named devices says what is wrong with one."""
        if isinstance(self._single, spaces.Dict):
            if not isinstance(action, dict) or set(action) != {"mode", "fraction"}:
                raise InputError(f"action is {shown(action)}; it must be a dict of mode and fraction.")
            parts = {key: _rows(key, action[key], len(self._agents), 1)[:, 0] for key in action}
            return {
                agent: {"mode": parts["mode"][device], "fraction": parts["fraction"][device]}
                for device, agent in enumerate(self._agents)
            }
        width = 1 if isinstance(self._single, spaces.Discrete) else self._single.shape[0]
        rows = _rows("action", action, len(self._agents), width)
        return dict(zip(self._agents, rows[:, 0] if width == 1 else rows, strict=True))


def _joint(single: spaces.Space, devices: int) -> spaces.Space:
    """The space of the actions of so many devices."""
    if isinstance(single, spaces.Discrete):
        return spaces.MultiDiscrete([int(single.n)] * devices)
    if isinstance(single, spaces.Box):
        return spaces.Box(np.tile(single.low, devices), np.tile(single.high, devices), dtype=single.dtype.type)
    assert isinstance(single, spaces.Dict)
    mode, fraction = single["mode"], single["fraction"]
    assert isinstance(mode, spaces.Discrete)
    return spaces.Dict(mode=_joint(mode, devices), fraction=_joint(fraction, devices))


def _rows(name: str, values: Any, devices: int, width: int) -> np.ndarray:
    """One row of numbers for each device [M, width]."""
    try:
        array = np.asarray(values)
    except Exception:  # rows of unequal length or a stranger's array, each with an error of its own
        array = np.empty(0)
    if array.shape != (devices * width,) or array.dtype.kind not in "iuf":
        raise InputError(f"{name} is {shown(values)}; it must be an array of {devices * width} numbers.")
    return array.reshape(devices, width)
