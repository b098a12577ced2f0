"""Where devices are: Gauss-Markov mobility (20)-(21) in a disc round the access point, or none.

A new model is one function with the signature of ``gauss_markov`` and one line in ``MOBILITY``; one from outside the
package is found by name (docs/own-parts.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meqc_marl.config.scenario import Mobility
from meqc_marl.nature.variates import uniform_between

NUM_UNIFORMS, NUM_NORMALS = 4, 2
"""Uniforms and standard normals of a device at the start of an episode."""

_TWO_PI = 2.0 * math.pi

_JUST_INSIDE = 1.0 - 1e-6
"""A clipped radius, so that rounding to float32 cannot put a device outside the disc."""


@dataclass(frozen=True)
class Start:
    """State of the devices at the first slot; float32 [E, M]."""

    x_m: np.ndarray
    y_m: np.ndarray
    mean_speed_m_s: np.ndarray
    mean_direction_rad: np.ndarray
    speed_m_s: np.ndarray
    direction_rad: np.ndarray


def draw_start(mobility: Mobility, uniform: np.ndarray, normal: np.ndarray) -> Start:
    """Position uniform in the disc, speed and direction from their stationary laws.

    Args:
        mobility: Parameters.
        uniform: Uniforms [NUM_UNIFORMS, E, M].
        normal: Standard normals [NUM_NORMALS, E, M].
    """
    radius, angle = mobility.radius_m * _JUST_INSIDE * np.sqrt(uniform[0]), _TWO_PI * uniform[1]
    mean_speed = uniform_between(*mobility.mean_speed_m_s, uniform[2])
    mean_direction = _TWO_PI * (uniform[3] - 0.5)
    spread = stationary_factor(mobility)
    speed = np.maximum(mean_speed + mobility.speed_std_m_s * spread * normal[0], 0.0)
    direction = mean_direction + mobility.direction_std_rad * spread * normal[1]
    parts = (radius * np.cos(angle), radius * np.sin(angle), mean_speed, mean_direction, speed, direction)
    return Start(*(part.astype(np.float32) for part in parts))


def innovation_factor(mobility: Mobility) -> float:
    """Factor of the innovation in (20).

    sqrt(1 - delta^2) makes the configured standard deviation the stationary one (Camp et al. 2002). The paper prints
    1 - delta^2, with which the stationary deviation shrinks to sqrt(1 - delta^2) of it and motion freezes as delta
    goes to 1.
    """
    square = 1.0 - mobility.memory**2
    return math.sqrt(square) if mobility.innovation == "corrected" else square


def stationary_factor(mobility: Mobility) -> float:
    """Stationary standard deviation of the recursion (20) as a share of the configured one."""
    return 1.0 if mobility.innovation == "corrected" else math.sqrt(1.0 - mobility.memory**2)


def gauss_markov(
    mobility: Mobility, slot_s: float, start: Start, innovation: np.ndarray, position_m: np.ndarray
) -> None:
    """Gauss-Markov mobility (20)-(21), in float32.

    Where a device would leave the disc, both its direction and its mean direction turn to the centre, give or take
    ``turn_rad``. With ``clip`` it is put on the edge and goes on in the next slot; with ``reflect`` it walks to the
    edge, turns, and walks the rest of the slot's way, so that it does not stand on the edge.

    Args:
        mobility: Parameters.
        slot_s: Duration of a slot.
        start: State at slot 0, [E, M].
        innovation: Of every slot, float32 [3, T, E, M]: standard normals for the speed and for the direction, and
            uniforms for the turn at the edge.
        position_m: Output [T, E, M, 2].
    """
    shape = start.x_m.shape
    x, y, mean_speed, mean_direction, speed, direction = (part.flatten() for part in vars(start).values())
    speed_normal, direction_normal, turn_uniform = innovation.reshape(3, len(position_m), x.size)
    memory, factor = mobility.memory, innovation_factor(mobility)
    speed_step, direction_step = factor * mobility.speed_std_m_s, factor * mobility.direction_std_rad
    speed_pull, direction_pull = (1.0 - memory) * mean_speed, (1.0 - memory) * mean_direction
    edge = mobility.radius_m * _JUST_INSIDE
    position_m[0, ..., 0], position_m[0, ..., 1] = start.x_m, start.y_m
    for t in range(1, len(position_m)):
        travelled = speed * slot_s
        heading = direction
        x += travelled * np.cos(direction)
        y += travelled * np.sin(direction)
        speed = np.maximum(memory * speed + speed_pull + speed_step * speed_normal[t], 0.0)
        direction = memory * direction + direction_pull + direction_step * direction_normal[t]
        left = np.flatnonzero(x * x + y * y > edge * edge)
        if left.size:
            turn = mobility.turn_rad * (2.0 * turn_uniform[t, left] - 1.0)
            rest = np.zeros_like(turn)
            if mobility.edge == "reflect":
                rest = _put_where_it_leaves(x, y, left, heading, travelled, edge)
            shrink = edge / np.hypot(x[left], y[left])
            direction[left] = np.arctan2(-y[left], -x[left]) + turn
            direction_pull[left] = (1.0 - memory) * direction[left]
            # The rest of the way, no farther than to the edge on the other side.
            rest = np.clip(rest, 0.0, np.maximum(2.0 * edge * np.cos(turn), 0.0))
            x[left] = x[left] * shrink + rest * np.cos(direction[left])
            y[left] = y[left] * shrink + rest * np.sin(direction[left])
        position_m[t, ..., 0], position_m[t, ..., 1] = x.reshape(shape), y.reshape(shape)


def _put_where_it_leaves(
    x: np.ndarray, y: np.ndarray, left: np.ndarray, heading: np.ndarray, travelled: np.ndarray, edge: float
) -> np.ndarray:
    """Put those who left back to where they crossed the edge; returns how much of their way is left."""
    along, across = np.cos(heading[left]), np.sin(heading[left])
    # Back from outside, at distance r and with the radial part b of the heading: s = b - sqrt(b^2 - (r^2 - edge^2)).
    outward = x[left] * along + y[left] * across
    beyond = np.square(x[left]) + np.square(y[left]) - edge * edge
    rest = np.minimum(outward - np.sqrt(np.maximum(outward * outward - beyond, 0.0)), travelled[left])
    x[left] -= rest * along
    y[left] -= rest * across
    return rest


def static(mobility: Mobility, slot_s: float, start: Start, innovation: np.ndarray, position_m: np.ndarray) -> None:
    """Devices stay where they start; arguments as for :func:`gauss_markov`."""
    position_m[..., 0], position_m[..., 1] = start.x_m, start.y_m


MOBILITY: dict[str, Callable[[Mobility, float, Start, np.ndarray, np.ndarray], None]] = {
    "gauss-markov": gauss_markov,
    "static": static,
}
