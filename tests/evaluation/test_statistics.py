"""Estimates against scipy and against known coverage."""

import numpy as np
import pytest
from scipy import stats

from meqc_marl.evaluation.statistics import (
    interquartile_mean,
    mean,
    paired_difference,
    paired_interquartile_difference,
    probability_of_improvement,
    stratified_interquartile_mean,
)


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


def test_stratified_interquartile_mean_against_scipy_and_a_plain_loop():
    rng = np.random.default_rng(5)
    scores = rng.gamma(2.0, size=(6, 8)) + np.arange(8)
    got = stratified_interquartile_mean(scores)
    assert got.value == pytest.approx(stats.trim_mean(scores.ravel(), 0.25))
    resampled = []
    for _ in range(4_000):
        columns = [rng.choice(scores[:, trace], size=6) for trace in range(8)]
        resampled.append(stats.trim_mean(np.concatenate(columns), 0.25))
    np.testing.assert_allclose((got.low, got.high), np.percentile(resampled, (2.5, 97.5)), atol=0.02)
    one = stratified_interquartile_mean(scores[:1])
    assert one == interquartile_mean(scores[0])


def test_probability_of_improvement_is_the_mann_whitney_statistic():
    rng = np.random.default_rng(6)
    ours, theirs = rng.integers(0, 6, (5, 4)), rng.integers(0, 6, (7, 4))
    by_trace = [stats.mannwhitneyu(theirs[:, t], ours[:, t]).statistic / 35 for t in range(4)]
    assert probability_of_improvement(ours, theirs) == pytest.approx(np.mean(by_trace))
    assert probability_of_improvement(ours, ours) == 0.5


def test_paired_difference_of_runs_against_a_plain_loop():
    rng = np.random.default_rng(7)
    traces = rng.normal(0, 10, 12)
    ours = traces + rng.normal(0, 0.5, (3, 1)) + rng.normal(0, 0.1, (3, 12))
    theirs = traces + 1.0 + rng.normal(0, 0.1, (1, 12))
    got = paired_interquartile_difference(theirs, ours)
    assert got.value == pytest.approx(stats.trim_mean(theirs[0] - ours.mean(0), 0.25))
    resampled = []
    for _ in range(4_000):
        runs, columns = rng.integers(0, 3, 3), rng.integers(0, 12, 12)
        resampled.append(stats.trim_mean((theirs[0] - ours[runs].mean(0))[columns], 0.25))
    np.testing.assert_allclose((got.low, got.high), np.percentile(resampled, (2.5, 97.5)), atol=0.02)
    # One run a side leaves the traces only.
    assert paired_interquartile_difference(theirs, ours[:1]) == interquartile_mean(theirs[0] - ours[0])


def test_the_spread_of_training_seeds_is_in_the_interval_of_a_difference():
    traces = np.random.default_rng(8).normal(0, 10, 10)
    steady, spread = traces + np.zeros((2, 1)), traces + np.array([[-1.0], [1.0]])
    assert paired_interquartile_difference(traces + 0.5, steady).low > 0.0
    assert paired_interquartile_difference(traces + 0.5, spread).low < 0.0
