"""The channel's nature: path loss, shadowing and Rician fading, which no action changes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from meqc_marl.config.scenario import Channel

SPEED_OF_LIGHT_M_S = 299_792_458.0
DEEPEST_FADE = 1e-12
"""Least fading: one to exactly nothing would leave no rate."""
LEAST_GAIN, LARGEST_GAIN = 1e-36, 1.0
"""What arrives is never more than what was sent, nor, in float32, nothing at all (360 dB are no link)."""


def path_gain(channel: Channel, position_m: np.ndarray) -> np.ndarray:
    """Free-space reference at 1 m with exponent a: (c / 4 pi fc)^2 d^-a, d at least ``min_distance_m``.

    Args:
        channel: Parameters.
        position_m: Positions relative to the access point [..., 2].
    """
    square = np.square(position_m[..., 0]) + np.square(position_m[..., 1])
    square = np.maximum(square, channel.min_distance_m**2)
    reference = (SPEED_OF_LIGHT_M_S / (4.0 * math.pi * channel.carrier_hz)) ** 2
    # The default exponent as a division, which is ten times faster than a power.
    half = 0.5 * channel.path_loss_exponent
    gain: np.ndarray = reference / (square if half == 1.0 else square**half)
    return gain


def shadowing(channel: Channel, normal: np.ndarray) -> np.ndarray:
    """Log-normal shadowing factor from standard normals; ``shadowing_db`` is the standard deviation in dB."""
    return np.exp(channel.shadowing_db * (math.log(10.0) / 10.0) * normal)


def rician_power(channel: Channel, in_phase: np.ndarray, quadrature: np.ndarray) -> np.ndarray:
    """Rician power fading of mean 1 from two standard normals: line of sight plus a scattered wave.

    |sqrt(K / (K+1)) + (n1 + i n2) / sqrt(2 (K+1))|^2
    """
    k = channel.rician_k
    power = np.square(math.sqrt(2.0 * k) + in_phase) + np.square(quadrature)
    power /= 2.0 * (k + 1.0)
    return np.maximum(power, DEEPEST_FADE)


FADING: dict[str, Callable[[Channel, np.ndarray, np.ndarray], np.ndarray]] = {"rician": rician_power}
"""Name to the factor of mean 1, from two arrays of standard normals [T, M]."""
