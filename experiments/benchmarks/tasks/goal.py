"""Robot soccer, Goal: shoot past a keeper (Masson, Ranchod and Konidaris 2016; players of the RoboCup simulator).

The attacker starts on the middle line with the ball and has three actions: kick the ball to a point, or shoot at a
point of the goal line, named twice (left and right) since two policies are to be told apart. An action runs until the
ball can be kicked again and has come to rest, a shot until the episode ends. The reward is 50 for a goal; else, when
the keeper catches the ball, it leaves the field, or after 100 actions, minus the distance of the ball from the goal.

Lengths are in metres, times in ticks of the simulator. The package ``gym-goal``, of which all published scores are,
passes on the first coordinate of a kick's point only, for both: :class:`Goal` does so too. :class:`GoalByDescription`
kicks to both coordinates, as the description has it, and is an easier task: a hard kick through a corner of the goal
scores at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

KICK_TO, SHOOT_LEFT, SHOOT_RIGHT = range(3)
LENGTH, WIDTH = 20.0, 30.0
"""The half of the pitch that is played on."""
GOAL_WIDTH, GOAL_DEPTH = 14.02, 2.44
AREA_LENGTH, AREA_WIDTH = 5.5, 18.32
KICKABLE, CATCHABLE = 1.6, 2.0
GOAL_REWARD, MOST_ACTIONS, MOST_TICKS = 50.0, 100, 200
_CLOSE_RAD = math.pi / 8.0


def _angle(origin: np.ndarray, target: np.ndarray) -> float:
    return math.atan2(target[1] - origin[1], target[0] - origin[0])


def _wrapped(angle: float) -> float:
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def _bounded(vector: np.ndarray, most: float) -> np.ndarray:
    length = math.hypot(*vector)
    return vector * (most / length) if length > most else vector


@dataclass
class Body:
    """What moves: players and ball.

    Attributes:
        position: [2].
        size: Radius.
        decay: Share of the velocity that is left after a tick.
        power_rate: Acceleration by power.
        most: Largest acceleration and speed.
        noise: Relative noise of directions and accelerations.
        orientation: Of players.
        velocity: [2].
    """

    position: np.ndarray
    size: float
    decay: float
    power_rate: float
    most: float
    noise: float
    orientation: float = 0.0
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def accelerate(self, power: float, direction: float, rng: np.random.Generator) -> None:
        """Add to the velocity, with noise on the direction and, in proportion to the speed, on the result."""
        direction *= 1.0 + rng.uniform(-self.noise, self.noise)
        spread = self.noise * math.hypot(*self.velocity)
        push = power * self.power_rate * np.array([math.cos(direction), math.sin(direction)])
        self.velocity = self.velocity + _bounded(push + rng.uniform(-spread, spread, 2), self.most)
        self.velocity = _bounded(self.velocity, self.most)

    def move(self) -> None:
        """A tick."""
        self.position = self.position + self.velocity
        self.velocity = self.velocity * self.decay

    def distance(self, other: Body) -> float:
        """Between the middles."""
        return math.hypot(*(self.position - other.position))


def _player(position: np.ndarray, orientation: float) -> Body:
    return Body(position, 0.9, 0.4, 0.006, 1.0, 0.1, orientation)


class Goal(gym.Env):
    """Action: (mode, ((x, y), (y,), (y,))). Observation [15] in [-1, 1]: player, keeper, ball, and time used.

    The second coordinate of a kick is ignored: it goes towards (x, x), as in the package.
    """

    kicks_to_both = False

    def __init__(self) -> None:
        box, half = gym.spaces.Box, GOAL_WIDTH / 2.0
        corner = np.array([0.0, -WIDTH / 2.0], np.float32), np.array([2.0 * LENGTH, WIDTH / 2.0], np.float32)
        parameters = (box(*corner), box(-half, half, (1,)), box(-half, half, (1,)))
        self.action_space = gym.spaces.Tuple((gym.spaces.Discrete(3), gym.spaces.Tuple(parameters)))
        self.observation_space = box(-1.0, 1.0, (15,))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The attacker somewhere on the middle line, the ball before it, the keeper on the line to the goal."""
        super().reset(seed=seed)
        place = np.array([0.0, self.np_random.uniform(-WIDTH / 2.0, WIDTH / 2.0)])
        self.player = _player(place, _angle(place, np.array([LENGTH, 0.0])))
        ahead = np.array([math.cos(self.player.orientation), math.sin(self.player.orientation)])
        self.ball = Body(place + (KICKABLE - 1e-9) * ahead, 0.4, 0.94, 0.027, 2.7, 0.05)
        slope = -self.ball.position[1] / (LENGTH - self.ball.position[0])
        x = LENGTH - AREA_LENGTH
        y = float(np.clip(slope * (x - LENGTH), -AREA_WIDTH / 2.0, AREA_WIDTH / 2.0))
        self.keeper = _player(np.array([x, y]), 0.0)
        self.keeper.orientation = _angle(self.keeper.position, self.ball.position)
        self.actions = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """An action, until it is done."""
        mode = int(action[0])
        low, high = (getattr(self.action_space[1][mode], end) for end in ("low", "high"))
        point = np.clip(np.asarray(action[1][mode], dtype=float), low, high)
        if mode != KICK_TO:
            target = np.array([LENGTH + self.ball.size, point[0]])
        else:
            target = point if self.kicks_to_both else point[[0, 0]]
        self.actions += 1
        over, goal = self.actions >= MOST_ACTIONS, False
        for _ in range(0 if over else MOST_TICKS):
            goal, over = self._tick(target)
            ready = mode == KICK_TO and self._can_kick() and math.hypot(*self.ball.velocity) <= 0.1
            if over or ready:
                break
        else:
            over = True  # a shot that neither arrives nor is caught
        reward = GOAL_REWARD if goal else -self.goal_distance() if over else 0.0
        return self._observe(), reward, over, False, {"success": goal}

    def _tick(self, target: np.ndarray) -> tuple[bool, bool]:
        self._attack(target)
        self._keep()
        bodies = (self.player, self.keeper, self.ball)
        for body in bodies:
            body.move()
        for number, one in enumerate(bodies):
            for other in bodies[number + 1 :]:
                self._part(one, other)
        x, y = self.ball.position
        goal = LENGTH <= x <= LENGTH + GOAL_DEPTH and abs(y) <= GOAL_WIDTH / 2.0
        inside = 0.0 <= x <= LENGTH and abs(y) <= WIDTH / 2.0
        return goal, goal or not inside or self.keeper.distance(self.ball) < CATCHABLE

    def _can_kick(self) -> bool:
        return self.player.distance(self.ball) <= KICKABLE

    def _attack(self, target: np.ndarray) -> None:
        """Kick towards the target so that the ball would come to rest there, or go to the ball."""
        player, ball = self.player, self.ball
        towards = _angle(player.position, ball.position)
        off = abs(_wrapped(towards - player.orientation))
        if self._can_kick():
            push = (1.0 - ball.decay) * (target - player.position) - ball.velocity
            strength = 1.0 - 0.25 * off / math.pi - 0.25 * player.distance(ball) / KICKABLE
            power = min(math.hypot(*push) / (strength * ball.power_rate), 100.0)
            ball.accelerate(power * strength, math.atan2(push[1], push[0]), self.np_random)
        elif off >= _CLOSE_RAD:
            player.orientation += _wrapped(towards - player.orientation) / (1.0 + 5.0 * math.hypot(*player.velocity))
        else:
            player.accelerate(10.0, player.orientation, self.np_random)

    def _keep(self) -> None:
        """The keeper cuts off a ball that is on its way to the goal, and else walks to where it will rest."""
        keeper, ball = self.keeper, self.ball
        rest = ball.position + ball.velocity / (1.0 - ball.decay)
        way = rest - ball.position
        slope = way[1] / way[0] if way[0] != 0.0 else 0.0
        at_line = ball.position[1] + slope * (LENGTH - ball.position[0])
        target, power = rest, 8.0
        if rest[0] > LENGTH and abs(at_line) <= GOAL_WIDTH / 2.0 + CATCHABLE and slope != 0.0:
            along = way / math.hypot(*way)
            target, power = ball.position + along * float(along @ (keeper.position - ball.position)), 20.0
        direction = _angle(keeper.position, target)
        keeper.orientation = direction
        keeper.accelerate(power, direction, self.np_random)

    @staticmethod
    def _part(one: Body, other: Body) -> None:
        """Two that overlap are set apart and turn back."""
        overlap = one.size + other.size - one.distance(other)
        if overlap > 0.0:
            direction = _angle(one.position, other.position)
            shift = overlap / 2.0 * np.array([math.cos(direction), math.sin(direction)])
            one.position, other.position = one.position - shift, other.position + shift
            one.velocity, other.velocity = -one.velocity, -other.velocity

    def goal_distance(self) -> float:
        """Of the ball from the nearest point of the goal line."""
        x, y = self.ball.position
        beside = max(abs(y) - GOAL_WIDTH / 2.0, 0.0)
        return math.hypot(max(LENGTH - x, 0.0), beside)

    def _observe(self) -> np.ndarray:
        parts: list[float] = []
        for body, most in ((self.player, 1.0), (self.keeper, 1.0), (self.ball, 3.0)):
            parts += [2.0 * body.position[0] / LENGTH - 1.0, body.position[1] / (WIDTH / 2.0), *(body.velocity / most)]
            if body is not self.ball:
                parts.append(_wrapped(body.orientation) / math.pi)
        parts.append(2.0 * self.actions / MOST_ACTIONS - 1.0)
        return np.clip(np.array(parts, np.float32), -1.0, 1.0)


class GoalByDescription(Goal):
    """Kicks go to both coordinates of their point."""

    kicks_to_both = True
