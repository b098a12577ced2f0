from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from meqc_marl.config.scenario import Channel
from meqc_marl.physics.channel import (
    DEEPEST_FADE,
    achievable_rate,
    acknowledgement,
    noise_w,
    path_gain,
    rician_power,
    shadowing,
)


def test_path_gain_by_hand() -> None:
    # c / (4 pi 140 GHz) = 299792458 / 1.7592918860e12 = 1.70405183e-4; squared 2.90379263e-8.
    at = np.array([[3.0, 4.0], [0.0, 50.0], [0.5, 0.0], [0.0, 0.0]])
    expected = [2.90379263e-8 / 25, 2.90379263e-8 / 2500, 2.90379263e-8, 2.90379263e-8]  # no nearer than 1 m
    np.testing.assert_allclose(path_gain(Channel(), at), expected, rtol=1e-7)


def test_path_gain_with_another_exponent_and_least_distance() -> None:
    channel = Channel(path_loss_exponent=3.0, min_distance_m=10.0)
    at = np.array([[0.0, 20.0], [3.0, 4.0]])
    np.testing.assert_allclose(path_gain(channel, at), [2.90379263e-8 / 8000, 2.90379263e-8 / 1000], rtol=1e-7)


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


@pytest.mark.parametrize("k", [0.0, 5.0, 50.0])
def test_rician_power_has_mean_one_and_the_rician_law(k: float) -> None:
    rng = np.random.default_rng(5)
    power = rician_power(Channel(rician_k=k), *rng.standard_normal((2, 200_000), dtype=np.float32))
    assert power.dtype == np.float32
    variance = (1 + 2 * k) / (1 + k) ** 2
    assert abs(power.mean() - 1) < 4 * math.sqrt(variance / power.size)
    assert power.var() == pytest.approx(variance, rel=0.03)
    # 2 (K + 1) |h|^2 is noncentral chi-squared with 2 degrees of freedom and noncentrality 2 K.
    law = stats.ncx2(2, 2 * k) if k else stats.chi2(2)
    assert stats.kstest(2 * (k + 1) * power[:20_000].astype(float), law.cdf).pvalue > 1e-3


def test_rician_power_by_hand() -> None:
    # K = 4: |sqrt(8) + n1 + i n2|^2 / 10; without scatter 0.8, with n1 = sqrt(2) and n2 = 1: (18 + 1) / 10.
    channel = Channel(rician_k=4.0)
    np.testing.assert_allclose(rician_power(channel, np.array([0.0, 2**0.5]), np.array([0.0, 1.0])), [0.8, 1.9])


def test_no_fade_is_to_nothing() -> None:
    # K = 2: scatter of -2 takes away the line of sight altogether.
    assert rician_power(Channel(rician_k=2.0), np.array([-2.0]), np.array([0.0])) == DEEPEST_FADE


def test_shadowing_is_normal_in_db() -> None:
    normal = np.random.default_rng(6).standard_normal(50_000)
    decibels = 10 * np.log10(shadowing(Channel(), normal))
    np.testing.assert_allclose(decibels, 3.0 * normal, rtol=1e-9)
    np.testing.assert_allclose(shadowing(Channel(), np.array([0.0, 1.0])), [1.0, 10**0.3], rtol=1e-12)
