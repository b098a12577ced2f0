"""The uplink: path loss, shadowing, Rician fading, the achievable rate (2) and the acknowledgement (3)."""

from __future__ import annotations

import math

import numpy as np

from meqc_marl.config.scenario import Channel

SPEED_OF_LIGHT_M_S = 299_792_458.0
DEEPEST_FADE = 1e-12
"""Least fading: one to exactly nothing would leave no rate."""


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


def noise_w(channel: Channel, bandwidth_hz: np.ndarray | float) -> np.ndarray | float:
    """Noise power of a band: density times bandwidth, raised by the noise figure."""
    density: float = 10.0 ** ((channel.noise_dbm_hz + channel.noise_figure_db - 30.0) / 10.0)
    return density * bandwidth_hz


def achievable_rate(
    channel: Channel, bandwidth_hz: np.ndarray | float, tx_power_w: np.ndarray, gain: np.ndarray
) -> np.ndarray:
    """Rate in bit/s (2): R = B log2(1 + p g / noise); log1p keeps it above 0 for the weakest channel."""
    snr = tx_power_w * gain
    snr /= noise_w(channel, bandwidth_hz)
    rate: np.ndarray = np.log1p(snr, out=snr)
    rate *= bandwidth_hz / math.log(2.0)
    return rate


def acknowledgement(
    channel: Channel, tx_power_w: np.ndarray, rate_bit_s: np.ndarray
) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Latency in s and energy in J of receiving the result.

    The text after (3) says at a constant rate, and a device receives with receive power. As printed, (3)-(6) use the
    uplink rate and charge transmit power.
    """
    if channel.ack == "literal":
        latency_s = channel.ack_bits / rate_bit_s
        return latency_s, tx_power_w * latency_s
    latency = channel.ack_bits / channel.ack_rate_bit_s
    return latency, channel.rx_power_w * latency
