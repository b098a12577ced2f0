"""Values against scipy, Student's t and Welch's test; what is shown where there is no interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from meqc_marl.evaluation.statistics import (
    MIN_UNITS,
    Estimate,
    brackets,
    error_bars,
    interquartile_mean,
    mean,
    paired_difference,
    paired_interquartile_difference,
    probability_of_improvement,
)


def test_values_are_those_of_scipy():
    scores = np.random.default_rng(0).gamma(2.0, 3.0, (7, 5))
    assert mean(scores).value == pytest.approx(scores.mean())
    assert interquartile_mean(scores).value == pytest.approx(stats.trim_mean(scores.ravel(), 0.25))
    assert interquartile_mean(scores[:, 0]).value == pytest.approx(stats.trim_mean(scores[:, 0], 0.25))
    assert interquartile_mean(scores).points == pytest.approx([stats.trim_mean(run, 0.25) for run in scores])


def test_interquartile_mean_drops_both_quarters():
    estimate = interquartile_mean(np.array([-1e9, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1e9]))
    assert estimate.value == pytest.approx(3.5)
    assert -20.0 < estimate.low < estimate.high < 27.0


@pytest.mark.parametrize("size", [4, 9, 30])
def test_the_interval_of_a_mean_of_either_sign_is_students(size):
    values = np.random.default_rng(1).normal(0.1, 1.0, size)
    values[:2] = -0.5, 0.5
    low, high = stats.t.interval(0.95, size - 1, values.mean(), stats.sem(values))
    assert mean(values)[1:3] == pytest.approx((low, high))
    assert mean(values[:, None] + [-1.0, 1.0])[1:3] == pytest.approx((low, high))  # runs are the units


def test_far_from_zero_it_is_nearly_students():
    values = np.random.default_rng(2).normal(100.0, 1.0, 8)
    assert mean(values)[1:3] == pytest.approx(stats.t.interval(0.95, 7, values.mean(), stats.sem(values)), abs=0.1)


@settings(deadline=None, max_examples=50)
@given(arrays(float, st.integers(4, 9), elements=st.floats(0.1, 10.0)), st.floats(0.01, 100.0))
def test_intervals_hold_their_value_and_change_with_the_unit_and_the_sign(values, factor):
    for statistic in (mean, interquartile_mean):
        estimate = statistic(values)
        assert estimate.low <= estimate.value + 1e-9
        assert estimate.value <= estimate.high + 1e-9
        for other in (factor, -factor):
            expected = estimate.times(other)
            assert statistic(other * values)[:3] == pytest.approx(expected[:3], rel=1e-4, abs=1e-6 * factor)


@pytest.mark.parametrize("statistic", [mean, interquartile_mean])
def test_too_few_units_show_their_points_and_no_interval(statistic):
    for units in range(1, MIN_UNITS):
        scores = np.random.default_rng(3).normal(5.0, 1.0, (units, 40))
        estimate = statistic(scores)
        assert not estimate.has_interval
        assert len(estimate.points) == units
        assert (estimate.least, estimate.greatest) == (min(estimate.points), max(estimate.points))
        assert error_bars([estimate]).tolist() == [[0.0], [0.0]]
    assert statistic(np.random.default_rng(3).normal(5.0, 1.0, (MIN_UNITS, 40))).has_interval


def test_equal_units_give_a_point_and_a_flat_middle_does_not():
    assert mean(np.full(4, 3.0))[:3] == (3.0, 3.0, 3.0)
    assert interquartile_mean(np.full((4, 3), 3.0))[:3] == (3.0, 3.0, 3.0)
    estimate = interquartile_mean(np.array([0.0, 0.0, 0.0, 0.0, 1.0]))
    assert estimate.value == 0.0
    assert estimate.high > 0.1


def test_words():
    whole = Estimate(1.5, 1.0, 2.0, (1.0, 1.5, 1.5, 2.0))
    few, single = (mean(np.array(values)) for values in ([1.0, 2.0], [1.0]))
    assert (whole.told(), few.told("+.1f"), single.told()) == ("1.50 [1.00, 2.00]", "+1.5 (+1.0, +2.0)", "1.00")
    assert Estimate(0.0, np.nan, np.nan, (3.0, 1.0, 2.0, 0.0)).told(".0f") == "0 (0 to 3)"
    assert brackets([whole], "run") == " [95 % interval]"
    assert brackets([few], "run") == " (each run)"
    assert brackets([whole, few], "run") == " [95 % interval] (each run)"
    assert brackets([single], "run") == brackets([], "run") == ""
    assert few.numbers() == {"value": 1.5, "low": None, "high": None}
    assert whole.times(-2.0)[:3] == (-3.0, -4.0, -2.0)


def test_pairs_cancel_what_they_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 10, 30)
    first, second = shared + 1.0 + rng.normal(0, 0.1, 30), shared
    difference = paired_difference(first, second)
    assert 0.9 < difference.low < difference.value < difference.high < 1.1
    assert mean(first).high - mean(first).low > 1.0


def test_probability_of_improvement_is_the_mann_whitney_statistic():
    rng = np.random.default_rng(6)
    ours, theirs = rng.integers(0, 6, (5, 4)), rng.integers(0, 6, (7, 4))
    by_trace = [stats.mannwhitneyu(theirs[:, t], ours[:, t]).statistic / 35 for t in range(4)]
    assert probability_of_improvement(ours, theirs) == pytest.approx(np.mean(by_trace))
    assert probability_of_improvement(ours, ours) == 0.5


def test_a_difference_of_runs_is_welchs_on_the_middle_traces():
    rng = np.random.default_rng(7)
    traces = rng.normal(0, 10, 12)
    ours = traces + rng.normal(0, 0.5, (5, 1)) + rng.normal(0, 0.1, (5, 12))
    theirs = traces + np.linspace(0.5, 1.5, 12) + rng.normal(0, 0.1, (4, 12))
    got = paired_interquartile_difference(theirs, ours)
    middle = np.sort(np.argsort(theirs.mean(0) - ours.mean(0))[3:9])
    a, b = theirs[:, middle].mean(1), ours[:, middle].mean(1)
    assert got.value == pytest.approx(stats.trim_mean(theirs.mean(0) - ours.mean(0), 0.25))
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert got[1:3] == pytest.approx((welch.low, welch.high))
    # A side that is not trained has no spread of its own: Student's interval of the other.
    fixed = paired_interquartile_difference(traces + 1.0, ours)
    own = (traces + 1.0 - ours)[:, np.sort(np.argsort(traces + 1.0 - ours.mean(0))[3:9])].mean(1)
    assert fixed[1:3] == pytest.approx(stats.t.interval(0.95, 4, own.mean(), stats.sem(own)))
    # Two that are not trained: traces are the units.
    assert paired_interquartile_difference(traces + 1.0, traces) == interquartile_mean(traces + 1.0 - traces)


def test_a_difference_of_too_few_runs_has_their_points():
    traces = np.random.default_rng(8).normal(0, 10, 10)
    spread = traces + np.array([[-1.0], [1.0]])
    few = paired_interquartile_difference(traces + 0.5, spread)
    assert not few.has_interval
    assert sorted(few.points) == pytest.approx([-0.5, 1.5])
    many = paired_interquartile_difference(traces + np.zeros((4, 1)), spread)
    assert not many.has_interval
    assert len(many.points) == 8


def test_what_is_no_number_is_not_cut_away_as_if_it_were_the_largest():
    scores = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    for estimate in (mean(scores), interquartile_mean(scores), interquartile_mean(np.tile(scores, (4, 1)))):
        assert np.isnan(estimate.value)
        assert not estimate.has_interval
    assert np.isnan(paired_interquartile_difference(np.tile(scores, (4, 1)), np.ones((4, 5))).value)
    assert np.isnan(probability_of_improvement(np.array([[1.0, np.nan]]), np.array([[1.0, 2.0]])))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("differ", [0.0, 1e-16, 1e-12, 1e-9, 1e-8, 1e-6, 1e-3])
def test_runs_that_hardly_differ_have_a_narrow_interval_about_their_estimate(differ):
    """A fourth of 160 scores is whole: nothing but the runs' difference is left."""
    rng = np.random.default_rng(8)
    for _ in range(5):
        traces = 15.0 + rng.normal(size=16)
        for scores in (traces + differ * rng.normal(size=(10, 1)), -traces + differ * rng.normal(size=(10, 1))):
            got = interquartile_mean(scores)
            assert got.low <= got.value <= got.high
            assert got.high - got.low <= 5.0 * differ + 1e-12


@given(st.integers(0, 2**32 - 1), st.integers(4, 9), st.integers(2, 11), st.floats(-16, 0))
def test_an_interval_holds_its_estimate_and_is_no_wider_than_the_scores(seed, size, traces, power):
    rng = np.random.default_rng(seed)
    scores = 15.0 + rng.normal(size=traces) + 10.0**power * rng.normal(size=(size, 1))
    got = interquartile_mean(scores)
    assert got.low <= got.value <= got.high
    assert got.high - got.low <= 20.0 * np.ptp(scores)
