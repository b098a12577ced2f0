"""How often the intervals cover, in simulated runs whose true values are known in closed form or by brute force."""

import numpy as np
import pytest
from scipy import integrate, stats

from meqc_marl.evaluation import intervals
from meqc_marl.evaluation.intervals import difference_interval, iqm_intervals, lognormal_weight, mean_intervals

REPETITIONS = 1_500
"""With these the share of 95 % intervals that cover has a standard deviation of 0.56 %."""
LAWS = {
    "normal": stats.norm(5.0, 1.0),
    "around zero": stats.norm(0.0, 1.0),
    "mildly skewed": stats.lognorm(0.5),
    "skewed": stats.lognorm(1.0),
}


def covered(ends, truth):
    return 100.0 * np.mean((ends[0] <= truth) & (truth <= ends[1]))


def middle_half(law):
    """Interquartile mean of a law, by quadrature."""
    return 2.0 * integrate.quad(law.ppf, 0.25, 0.75)[0]


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("size", [5, 10, 20])
def test_coverage_of_runs_alone(name, size):
    law = LAWS[name]
    scores = law.rvs((REPETITIONS, size), random_state=np.random.default_rng(size))
    assert 93.0 <= covered(mean_intervals(scores), law.mean()) <= 97.6
    assert 93.0 <= covered(iqm_intervals(scores[:, :, None]), middle_half(law)) <= 97.6


@pytest.mark.parametrize("skewed", [False, True], ids=["normal", "lognormal"])
@pytest.mark.parametrize("of_run", [0.0, 2.0], ids=["no run effect", "run effect"])
@pytest.mark.parametrize("size", [5, 10])
def test_coverage_of_runs_with_traces(monkeypatch, skewed, of_run, size):
    monkeypatch.setattr(intervals, "NUM_RESAMPLES", 400)
    repetitions, traces = 700, 4
    rng = np.random.default_rng(size)

    def draw(count):
        noise = of_run * rng.standard_normal((count, size, 1)) + rng.standard_normal((count, size, traces))
        return np.exp(noise / np.hypot(of_run, 1.0)) if skewed else 5.0 + noise

    truth = middle_half(stats.lognorm(1.0)) if skewed else 5.0
    scores = draw(repetitions)
    # Three standard deviations below 95 and above it; the percentile bootstrap over runs has 70 to 92 here.
    assert 92.5 <= covered(iqm_intervals(scores), truth) <= 97.5
    assert 92.5 <= covered(mean_intervals(scores.mean(2)), np.exp(0.5) if skewed else 5.0) <= 98.0


def test_the_traces_do_not_count_as_runs():
    """Four runs that differ, each the same on all its 100 traces: no narrower than four values."""
    run = np.array([1.0, 2.0, 4.0, 7.0])
    alone, repeated = (intervals.iqm_interval(scores) for scores in (run[:, None], np.repeat(run[:, None], 100, 1)))
    assert np.ptp(repeated) > 0.6 * np.ptp(alone)
    assert intervals.mean_interval(run) == pytest.approx(
        intervals.mean_interval(np.repeat(run[:, None], 100, 1).mean(1))
    )


def test_difference_of_runs_covers():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(2_000):
        low, high = difference_interval(0.0, [a := rng.normal(0, 1, 5), b := rng.normal(0, 3, 8)])
        inside += low <= a.mean() - b.mean() <= high  # the interval about 0 holds an error of the difference
    assert 93.0 <= inside / 20.0 <= 97.0


def test_the_models_are_told_apart_by_their_samples():
    rng = np.random.default_rng(3)
    assert np.median(lognormal_weight(rng.lognormal(0, 1, (500, 20)))) > 0.999
    assert np.median(lognormal_weight(rng.normal(5, 2, (500, 200)))) < 0.01
    assert lognormal_weight(rng.normal(0, 1, (500, 20))).max() == 0.0
    scaled = rng.lognormal(0, 1, (500, 6))
    np.testing.assert_allclose(lognormal_weight(scaled), lognormal_weight(1e3 * scaled), rtol=1e-6)


def test_the_lognormal_interval_is_that_of_the_generalised_pivots():
    """With the lognormal weight at one; the pivots drawn, as in Krishnamoorthy and Mathew (2003)."""
    values = np.exp(np.random.default_rng(4).normal(0.0, 1.0, 16))
    assert lognormal_weight(values[None])[0] > 0.99
    logs, rng = np.log(values), np.random.default_rng(5)
    scale = logs.std(ddof=1) / np.sqrt(rng.chisquare(15, 400_000) / 15)
    pivots = logs.mean() - rng.standard_normal(400_000) * scale / 4.0 + scale**2 / 2.0
    low, high = np.exp(np.quantile(pivots, (0.025, 0.975)))
    student = stats.t.interval(0.95, 15, values.mean(), stats.sem(values))[0]
    assert student < low
    got = intervals.mean_interval(values)
    assert got == pytest.approx(((low + student) / 2.0, high), rel=0.03)
