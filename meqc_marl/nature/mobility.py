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
    edge, turns, and walks the rest of the slot's way, turning again wherever it comes to the edge, so that it does not
    stand on it.

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
    reflects = mobility.edge == "reflect"
    for t in range(1, len(position_m)):
        travelled = speed * slot_s
        heading, before = direction, (x.copy(), y.copy()) if reflects else None
        x += travelled * np.cos(direction)
        y += travelled * np.sin(direction)
        speed = np.maximum(memory * speed + speed_pull + speed_step * speed_normal[t], 0.0)
        direction = memory * direction + direction_pull + direction_step * direction_normal[t]
        left = np.flatnonzero(x * x + y * y > edge * edge)
        if left.size:
            turn = mobility.turn_rad * (2.0 * turn_uniform[t, left] - 1.0)
            if before is not None:
                from_x, from_y = (part[left] for part in before)
                x[left], y[left], direction[left] = _reflected(
                    from_x, from_y, heading[left], travelled[left], turn, edge
                )
            else:
                shrink = edge / np.hypot(x[left], y[left])
                direction[left] = np.arctan2(-y[left], -x[left]) + turn
                x[left], y[left] = x[left] * shrink, y[left] * shrink
            direction_pull[left] = (1.0 - memory) * direction[left]
        position_m[t, ..., 0], position_m[t, ..., 1] = x.reshape(shape), y.reshape(shape)


def _reflected(
    x: np.ndarray, y: np.ndarray, heading: np.ndarray, travelled: np.ndarray, turn: np.ndarray, edge: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a way from (x, y) ends that leaves the disc, and its last heading, float64.

    At the edge it turns to the centre but for ``turn``, which is mirrored where it would lead outwards; the chord that
    it then walks meets the edge at the same angle again, where it turns likewise, as often as it takes.
    """
    along, across = np.cos(heading, dtype=np.float64), np.sin(heading, dtype=np.float64)
    outward = x * along + y * across
    way = np.sqrt(np.maximum(outward * outward + edge * edge - np.square(x) - np.square(y), 0.0)) - outward
    rest = np.maximum(travelled - way, 0.0)
    inwards = np.where(np.abs(turn) > math.pi / 2, np.copysign(math.pi, turn) - turn, turn).astype(np.float64)
    chord = np.maximum(2.0 * edge * np.cos(inwards), edge * (1.0 - _JUST_INSIDE))
    times = np.floor(rest / chord)
    angle = np.arctan2(y + way * across, x + way * along) + times * (math.pi + 2.0 * inwards)
    rest -= times * chord
    last = angle + math.pi + inwards
    x, y = edge * np.cos(angle) + rest * np.cos(last), edge * np.sin(angle) + rest * np.sin(last)
    shrink = edge / np.maximum(np.hypot(x, y), edge)
    return x * shrink, y * shrink, np.remainder(last + math.pi, _TWO_PI) - math.pi


def static(mobility: Mobility, slot_s: float, start: Start, innovation: np.ndarray, position_m: np.ndarray) -> None:
    """Devices stay where they start; arguments as for :func:`gauss_markov`."""
    position_m[..., 0], position_m[..., 1] = start.x_m, start.y_m


MOBILITY: dict[str, Callable[[Mobility, float, Start, np.ndarray, np.ndarray], None]] = {
    "gauss-markov": gauss_markov,
    "static": static,
}
