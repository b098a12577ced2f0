"""Moving and Sliding: stop inside a target (thomashirtz/gym-hybrid; used by DI-engine and HyAR).

A point starts at rest somewhere in a square of side 2 and is to stop within 0.1 of a target. It accelerates along its
heading (by up to 0.5), turns (by up to a quarter turn) or brakes (by 0.1). In Moving the velocity turns with the
heading; in Sliding it does not: the point drifts on. A slot takes 0.005. The reward is what the distance shrinks by,
less 0.001, and 1 for stopping inside; leaving the square, or 200 slots, end the episode with -1.

The published package adds Sliding's velocities by a formula whose arguments are mixed up (the cosine of a difference of
speeds); here velocities add as vectors, and Sliding's observation holds the velocity.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np

ACCELERATE, TURN, BRAKE = range(3)
FIELD, RADIUS = 1.0, 0.1
MOST_ACCELERATION, MOST_TURN, BRAKING = 0.5, math.pi / 2.0, 0.1
SLOT_S, MOST_SLOTS, STEP_COST = 0.005, 200, 0.001


class Moving(gym.Env):
    """Action: (mode, ((acceleration,), (turn,), ())), the first in [0, 1], the second in [-1, 1].

    Observation [10]: position, speed, heading as cosine and sine, target, distance, whether inside, time used.
    """

    slides = False

    def __init__(self) -> None:
        box = gym.spaces.Box
        parameters = (box(0.0, 1.0, (1,)), box(-1.0, 1.0, (1,)), box(0.0, 1.0, (0,)))
        self.action_space = gym.spaces.Tuple((gym.spaces.Discrete(3), gym.spaces.Tuple(parameters)))
        most = [1.1, 1.1, 100.0, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.01, *([100.0, 100.0] if self.slides else [])]
        self.observation_space = box(-np.array(most, np.float32), np.array(most, np.float32))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start at rest; target, place and heading are uniform."""
        super().reset(seed=seed)
        self.target = self.np_random.uniform(-FIELD + RADIUS, FIELD - RADIUS, 2)
        self.position = self.np_random.uniform(-FIELD, FIELD, 2)
        self.heading = float(self.np_random.uniform(0.0, 2.0 * math.pi))
        self.velocity = np.zeros(2)
        self.slots = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One slot."""
        mode, (acceleration, turn, _) = int(action[0]), action[1]
        before = self.distance
        self.slots += 1
        if mode == ACCELERATE:
            self.velocity += MOST_ACCELERATION * float(np.clip(acceleration[0], 0.0, 1.0)) * self._ahead()
        elif mode == TURN:
            self.heading += MOST_TURN * float(np.clip(turn[0], -1.0, 1.0))
            if not self.slides:
                self.velocity = self.speed * self._ahead()
        else:
            speed = self.speed
            self.velocity *= max(0.0, 1.0 - BRAKING / speed) if speed > BRAKING else 0.0
        self.position = self.position + SLOT_S * self.velocity
        stopped = bool(self.distance < RADIUS and self.speed == 0.0)
        left = bool(np.abs(self.position).max() > FIELD)
        late = self.slots > MOST_SLOTS
        reward = -1.0 if (left or late) and not stopped else before - self.distance - STEP_COST + float(stopped)
        return self._observe(), float(reward), stopped or left or late, False, {"success": stopped}

    @property
    def speed(self) -> float:
        """Length of the velocity."""
        return math.hypot(*self.velocity)

    @property
    def distance(self) -> float:
        """To the middle of the target."""
        return math.hypot(*(self.position - self.target))

    def _ahead(self) -> np.ndarray:
        return np.array([math.cos(self.heading), math.sin(self.heading)])

    def _observe(self) -> np.ndarray:
        inside = float(self.distance <= RADIUS)
        parts = [
            *self.position,
            self.speed,
            *self._ahead(),
            *self.target,
            self.distance,
            inside,
            self.slots / MOST_SLOTS,
        ]
        if self.slides:
            parts += [*self.velocity]
        return np.clip(np.array(parts, np.float32), self.observation_space.low, self.observation_space.high)


class Sliding(Moving):
    """The velocity keeps its direction when the point turns. Observation [12]: that of Moving, and the velocity."""

    slides = True
