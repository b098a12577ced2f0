"""The uplink: noise, the achievable rate (2) and the acknowledgement (3)."""

from __future__ import annotations

import math

import numpy as np

from meqc_marl.config.scenario import Channel


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
