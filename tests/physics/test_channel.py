from __future__ import annotations

import math

import numpy as np
import pytest

from meqc_marl.config.scenario import Channel
from meqc_marl.physics.channel import achievable_rate, acknowledgement, noise_w


def test_noise_by_hand() -> None:
    # -174 dBm/Hz = 10^-20.4 W/Hz = 3.98107e-21; times 1e8 Hz.
    assert noise_w(Channel(), 1e8) == pytest.approx(3.981071706e-13, rel=1e-9)
    assert noise_w(Channel(noise_figure_db=10.0), 1e8) == pytest.approx(3.981071706e-12, rel=1e-9)


def test_rate_by_hand() -> None:
    # p g / noise = 0.1 * 2.786475e-11 / 3.981071706e-13 = 7: log2(8) = 3, R = 3e8.
    gain = np.array([7 * 3.981071706e-13 / 0.1])
    rate = achievable_rate(Channel(), 1e8, np.array([0.1]), gain)
    np.testing.assert_allclose(rate, [3e8], rtol=1e-9)


def test_the_weakest_channel_still_has_a_rate() -> None:
    # log2(1 + x) = x / ln 2 for small x; 1 + x rounds to 1 here.
    rate = achievable_rate(Channel(), 1e8, np.array([0.1]), np.array([3.981071706e-13 * 10 * 1e-20]))
    np.testing.assert_allclose(rate, [1e8 * 1e-20 / math.log(2)], rtol=1e-9)


def test_acknowledgement_by_hand() -> None:
    power, rate = np.array([0.1]), np.array([2e8])
    # 1 Mb at 0.1 Gb/s = 0.01 s, times 0.05 W.
    assert acknowledgement(Channel(), power, rate) == (pytest.approx(0.01), pytest.approx(5e-4))
    # printed: 1 Mb at 0.2 Gb/s = 0.005 s, times 0.1 W.
    latency, energy = acknowledgement(Channel(ack="literal"), power, rate)
    np.testing.assert_allclose((latency, energy), [[0.005], [5e-4]], rtol=1e-12)
