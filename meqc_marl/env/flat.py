"""Wrappers for learners that take one Box or one Discrete: the mode and the fraction as one action.

Both go round :class:`~meqc_marl.env.parallel.OffloadingParallelEnv` or round the Lyapunov wrapper, and change actions
and masks alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo.utils import BaseParallelWrapper

from meqc_marl.env.actions import ROUNDING
from meqc_marl.errors import InputError, shown
from meqc_marl.physics.modes import Mode

MAX_STEPS = 1000
"""Of the grid of fractions: finer than 0.001 is what the Box is for."""


class _FlatActions(BaseParallelWrapper):
    """What both have in common: spaces, and the mask of the infos turned into that of the flat action."""

    def __init__(self, env: Any, space: spaces.Space) -> None:
        if not isinstance(getattr(env, "possible_agents", None), list) or not _is_hybrid(env):
            raise InputError(f"env is {shown(env)}; it must be an environment whose action is a mode and a fraction.")
        super().__init__(env)
        self.action_spaces = {agent: type(space)(**_arguments(space)) for agent in env.possible_agents}

    def action_space(self, agent: str) -> spaces.Space:
        """The same object at every call."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start an episode."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations, self._read(infos)

    def step(self, actions: Mapping[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Carry out one slot with a flat action of every device."""
        if not isinstance(actions, Mapping):
            raise InputError(f"actions is a {type(actions).__name__}; it must be a dict with an action for each agent.")
        hybrid = {agent: self._hybrid(agent, action) for agent, action in actions.items()}
        observations, rewards, terminated, truncated, infos = self.env.step(hybrid)
        return observations, rewards, terminated, truncated, self._read(infos)

    def _read(self, infos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        raise NotImplementedError

    def _hybrid(self, agent: str, action: Any) -> Any:
        raise NotImplementedError


class BoxActions(_FlatActions):
    """One ``Box(-1, 1, (4,))``: a score for each mode, and the fraction as 2 phi - 1.

    Of the modes that the slot allows (``mode_mask`` in the infos), the one with the largest score is taken: a Box has
    no mask of its own.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env, spaces.Box(-1.0, 1.0, (len(Mode) + 1,), np.float32))
        self._allowed: dict[str, np.ndarray] = {}

    def _read(self, infos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for agent, info in infos.items():
            self._allowed[agent] = info["mode_mask"].astype(bool)
        return infos

    def _hybrid(self, agent: str, action: Any) -> Any:
        if agent not in self._allowed:
            return action  # the environment says what is wrong with the agent
        try:
            values = np.asarray(action, np.float64)
        except Exception:  # a stranger's array has an error of its own
            values = np.empty(0)
        limit = 1.0 + 2.0 * ROUNDING
        if values.shape != (len(Mode) + 1,) or not (np.abs(values) <= limit).all():
            raise InputError(f"action of {agent} is {shown(action)}; it must be 4 numbers within [-1, 1].")
        scores = np.where(self._allowed[agent], values[:-1], -np.inf)
        return {"mode": int(scores.argmax()), "fraction": float(np.clip((values[-1] + 1.0) / 2.0, 0.0, 1.0))}


class DiscreteActions(_FlatActions):
    """One ``Discrete(1 + 2 n)``: stay local, or send 1/n, 2/n, ..., 1 to the server CPU or to the QPU.

    The infos gain ``action_mask`` (int8 [1 + 2 n]), which allows what meets the deadline. A mode that meets it between
    two points of the grid only has the nearest one allowed; the environment moves it to the nearest share that does.

    Args:
        env: To wrap.
        steps: Points n of the grid of fractions.
    """

    def __init__(self, env: Any, steps: int = 10) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MAX_STEPS:
            raise InputError(f"steps is {shown(steps)}; it must be an integer from 1 to {MAX_STEPS}.")
        super().__init__(env, spaces.Discrete(1 + 2 * steps))
        self.fractions = np.arange(1, steps + 1) / steps

    def _read(self, infos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for info in infos.values():
            allowed = info["mode_mask"]
            parts = [allowed[:1]]
            for mode in (Mode.CPU, Mode.QPU):
                low, high = info["fraction_low"][mode], info["fraction_high"][mode]
                away = np.maximum(low - self.fractions, self.fractions - high).clip(0.0)
                parts.append((allowed[mode] * (away <= away.min())).astype(np.int8))
            info["action_mask"] = np.concatenate(parts)
        return infos

    def _hybrid(self, agent: str, action: Any) -> Any:
        if agent not in self.action_spaces:
            return action
        number = action.item() if getattr(action, "shape", None) in ((), (1,)) else action
        size = 1 + 2 * len(self.fractions)
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 0 <= number < size:
            raise InputError(f"action of {agent} is {shown(action)}; it must be an integer from 0 to {size - 1}.")
        if number == 0:
            return {"mode": int(Mode.LOCAL), "fraction": 0.0}
        remote, point = divmod(int(number) - 1, len(self.fractions))
        return {"mode": int(Mode.CPU) + remote, "fraction": float(self.fractions[point])}


def _is_hybrid(env: Any) -> bool:
    space = env.action_space(env.possible_agents[0])
    return isinstance(space, spaces.Dict) and set(space.keys()) == {"mode", "fraction"}


def _arguments(space: spaces.Space) -> dict[str, Any]:
    if isinstance(space, spaces.Box):
        return {"low": space.low, "high": space.high, "dtype": space.dtype}
    assert isinstance(space, spaces.Discrete)
    return {"n": space.n}
