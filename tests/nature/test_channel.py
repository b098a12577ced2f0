from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from meqc_marl.config.scenario import Channel
from meqc_marl.nature.channel import DEEPEST_FADE, path_gain, rician_power, shadowing


def test_path_gain_by_hand() -> None:
    # c / (4 pi 140 GHz) = 299792458 / 1.7592918860e12 = 1.70405183e-4; squared 2.90379263e-8.
    at = np.array([[3.0, 4.0], [0.0, 50.0], [0.5, 0.0], [0.0, 0.0]])
    expected = [2.90379263e-8 / 25, 2.90379263e-8 / 2500, 2.90379263e-8, 2.90379263e-8]  # no nearer than 1 m
    np.testing.assert_allclose(path_gain(Channel(), at), expected, rtol=1e-7)


def test_path_gain_with_another_exponent_and_least_distance() -> None:
    channel = Channel(path_loss_exponent=3.0, min_distance_m=10.0)
    at = np.array([[0.0, 20.0], [3.0, 4.0]])
    np.testing.assert_allclose(path_gain(channel, at), [2.90379263e-8 / 8000, 2.90379263e-8 / 1000], rtol=1e-7)


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
