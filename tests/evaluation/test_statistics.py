"""Estimates against scipy and against known coverage."""

import numpy as np
import pytest
from scipy import stats

from meqc_marl.evaluation.statistics import interquartile_mean, mean, paired_difference


@pytest.mark.parametrize(
    ("ours", "theirs"), [(mean, np.mean), (interquartile_mean, lambda x, axis: stats.trim_mean(x, 0.25, axis=axis))]
)
def test_equals_scipy(ours, theirs):
    values = np.random.default_rng(0).gamma(2.0, 3.0, 21)
    reference = stats.bootstrap(
        (values,), theirs, method="percentile", vectorized=True, n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    got = ours(values)
    assert got.value == pytest.approx(theirs(values, axis=-1))
    assert got.low == pytest.approx(reference.low, abs=0.1)
    assert got.high == pytest.approx(reference.high, abs=0.1)


def test_interquartile_mean_drops_both_quarters():
    assert interquartile_mean(np.array([-1e9, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1e9])).value == pytest.approx(3.5)


def test_pairs_cancel_what_they_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 10, 30)
    first, second = shared + 1.0 + rng.normal(0, 0.1, 30), shared
    difference = paired_difference(first, second)
    assert 0.9 < difference.low < difference.value < difference.high < 1.1
    assert mean(first).high - mean(first).low > 1.0


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = [low <= 5.0 <= high for _, low, high in (mean(rng.normal(5, 2, 30), seed) for seed in range(200))]
    assert 0.88 <= np.mean(inside) <= 0.99


def test_one_trace_has_no_interval_and_equal_traces_a_point():
    single = mean(np.array([3.0]))
    assert single.value == 3.0
    assert np.isnan(single.low)
    assert mean(np.array([3.0, 3.0])) == (3.0, 3.0, 3.0)
