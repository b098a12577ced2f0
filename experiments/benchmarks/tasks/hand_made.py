"""Goal as the published learners begin it: parameters of kicks and shots made by hand, moved by what is learned.

Masson, Ranchod and Konidaris (2016) give the parameters: a kick leads the ball round the keeper, a shot goes a metre
inside a post. In P-DQN and MP-DQN (Bester et al. 2019) they are a fixed linear layer beside the actor, whose features
are among what the agent sees. Here an action holds how far its parameters are from those made by hand.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np

from experiments.benchmarks.tasks.goal import GOAL_WIDTH, LENGTH, WIDTH, Goal

_FEAR, _BEHIND_M, _INSIDE_M = 50.0, 2.5, 1.0
_REACH = 0.25
"""The largest offset, as a share of the parameter's range."""


class GoalFromHandMade(gym.Wrapper):
    """Action: (mode, offsets from the parameters made by hand), each in [-1, 1] of a quarter of the range.

    Observation [18]: that of :class:`Goal`, the direction from keeper to ball, and where the keeper's line through the
    ball meets the goal line.
    """

    def __init__(self) -> None:
        super().__init__(Goal())
        self.parts = self.env.action_space[1]
        offsets = gym.spaces.Tuple([gym.spaces.Box(-1.0, 1.0, part.shape) for part in self.parts])
        self.action_space = gym.spaces.Tuple((self.env.action_space[0], offsets))
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (18,))

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(**kwargs)
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """An action, until it is done."""
        parameters = [
            made + np.asarray(offset) * _REACH * (part.high - part.low)
            for made, offset, part in zip(self.hand_made(), action[1], self.parts, strict=True)
        ]
        observation, reward, terminated, truncated, info = self.env.step((action[0], parameters))
        return self._seen(observation), float(reward), terminated, truncated, info

    def hand_made(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Point of the kick, and of the shots to the left and right."""
        x, y = self.env.ball.position
        away = _direction(self._from_keeper())
        kick = [_BEHIND_M + x + _FEAR / (2 * LENGTH) * away[0], (1.0 - 5.0 / WIDTH) * y + _FEAR / WIDTH * away[1]]
        post = GOAL_WIDTH / 2.0 - _INSIDE_M
        return np.array(kick), np.array([post]), np.array([-post])

    def _from_keeper(self) -> np.ndarray:
        """To the ball, in metres."""
        way: np.ndarray = self.env.ball.position - self.env.keeper.position
        return way

    def _seen(self, observation: np.ndarray) -> np.ndarray:
        way = self._from_keeper()
        slope = way[1] / way[0] if way[0] else math.copysign(1e9, way[1])
        at_line = self.env.ball.position[1] + slope * (LENGTH - self.env.ball.position[0])
        features = [*_direction(way), at_line / (GOAL_WIDTH / 2.0)]
        return np.append(observation, np.clip(features, -1.0, 1.0)).astype(np.float32)


def _direction(way: np.ndarray) -> np.ndarray:
    return way / max(math.hypot(*way), 1e-9)
