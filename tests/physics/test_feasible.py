from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.physics.feasible import deadline_missed, feasible_fraction

FORMS = ("parallel", "sequential", "literal")
GRID = np.concatenate([np.linspace(0.01, 1.0, 4001), 1 - np.logspace(-12, -3, 50)])


def latency(form: str, phi: np.ndarray, local: float, remote: float, ack: float) -> np.ndarray:
    """Written out once more, from the model."""
    if form == "parallel":
        return np.maximum((1 - phi) * local, phi * remote + ack)
    if form == "sequential":
        return (1 - phi) * local + phi * remote + ack
    return (1 - phi) ** 2 * local + phi * (phi * remote + ack)


def interval(form: str, local: float, remote: float, ack: float, deadline: float) -> tuple[float, float]:
    lo, hi = feasible_fraction(form, 0.01, *(np.array([v]) for v in (local, remote, ack, deadline)))
    return float(lo[0]), float(hi[0])


@pytest.mark.parametrize(
    ("form", "deadline", "lo", "hi"),
    [
        # T_L = 8, T_X = 4, t_a = 0.5
        ("parallel", 6.0, 0.25, 1.0),  # 1 - 6/8; (6 - 0.5)/4 = 1.375
        ("parallel", 3.5, 0.5625, 0.75),  # 1 - 3.5/8; 3/4
        ("parallel", 20.0, 0.01, 1.0),
        ("sequential", 6.0, 0.625, 1.0),  # 8.5 - 4 phi <= 6
        ("sequential", 4.5, 1.0, 1.0),
        # 12 phi^2 - 15.5 phi + 3 <= 0, roots (15.5 -+ sqrt(240.25 - 144)) / 24; then with 4.5, sqrt(240.25 - 216)
        ("literal", 5.0, 0.2370538, 1.0),
        ("literal", 3.5, 0.4406488, 0.8510179),
    ],
)
def test_worked_intervals(form: str, deadline: float, lo: float, hi: float) -> None:
    assert interval(form, 8.0, 4.0, 0.5, deadline) == pytest.approx((lo, hi), rel=1e-6)


@pytest.mark.parametrize(("form", "deadline"), [("parallel", 2.9), ("sequential", 4.4), ("literal", 2.9)])
def test_empty(form: str, deadline: float) -> None:
    # The least: parallel 3 s at phi = 7.5 / 12; sequential 4.5 s at phi = 1; literal 8 - 15.5^2 / 48 = 2.9948 s
    lo, hi = interval(form, 8.0, 4.0, 0.5, deadline)
    assert lo > hi


def test_sequential_with_a_slower_or_equal_remote() -> None:
    # 4 (1 - phi) + 8 phi + 0.5 <= 6.5: phi <= 0.5
    assert interval("sequential", 4.0, 8.0, 0.5, 6.5) == pytest.approx((0.01, 0.5))
    assert interval("sequential", 4.0, 4.0, 0.5, 4.5) == (0.01, 1.0)
    lo, hi = interval("sequential", 4.0, 4.0, 0.5, 4.4)
    assert lo > hi


seconds = st.floats(0.05, 500.0)


@given(form=st.sampled_from(FORMS), local=seconds, remote=seconds, ack=st.floats(0.0, 5.0), deadline=seconds)
@settings(max_examples=400, deadline=None)
def test_interval_is_the_feasible_set(form: str, local: float, remote: float, ack: float, deadline: float) -> None:
    lo, hi = interval(form, local, remote, ack, deadline)
    latencies = latency(form, GRID, local, remote, ack)
    clearly_in, clearly_out = latencies < deadline * (1 - 1e-7), latencies > deadline * (1 + 1e-7)
    inside = (lo <= GRID) & (hi >= GRID)
    assert not (clearly_in & ~inside).any()
    assert not (clearly_out & inside).any()
    if lo <= hi:
        assert 0.01 <= lo <= hi <= 1.0
        for end in (lo, hi):  # both ends meet the deadline, and each is the edge of the share or of the deadline
            at = latency(form, np.array([end]), local, remote, ack)
            assert not deadline_missed(at, np.array([deadline])).any()
            if 0.01 < end < 1.0:
                np.testing.assert_allclose(at, deadline, rtol=1e-6)


@given(form=st.sampled_from(FORMS), local=seconds, remote=seconds, ack=st.floats(0.0, 5.0), phi=st.floats(0.01, 1.0))
@settings(max_examples=300, deadline=None)
def test_the_deadline_that_a_share_just_meets_is_feasible(
    form: str, local: float, remote: float, ack: float, phi: float
) -> None:
    deadline = float(latency(form, np.array([phi]), local, remote, ack)[0]) * (1 + 1e-12)
    lo, hi = interval(form, local, remote, ack, deadline)
    assert lo <= phi * (1 + 1e-5)
    assert hi >= phi * (1 - 1e-5)
    assert lo <= hi


def test_a_miss_needs_more_than_rounding() -> None:
    deadline = np.full(3, 10.0)
    np.testing.assert_array_equal(
        deadline_missed(np.array([10.0, 10.0 * (1 + 1e-12), 10.0 * (1 + 1e-6)]), deadline), [False, False, True]
    )


@given(
    form=st.sampled_from(FORMS),
    deadline=st.floats(1e-3, 1e3),
    times=st.tuples(*[st.floats(-3.0, 18.0), st.floats(-6.0, 6.0), st.floats(-9.0, 0.5)]),
)
@settings(max_examples=600, deadline=None)
@pytest.mark.filterwarnings("error")
def test_by_construction_also_where_a_share_near_one_is_told_coarsely(form, deadline, times) -> None:
    """T_L may be so many deadlines that neighbouring numbers near 1 are seconds apart."""
    local, remote, ack = (deadline * 10.0**power for power in times)
    lo, hi = interval(form, local, remote, ack, deadline)
    stays = np.concatenate([[0.0], np.logspace(-17, 0, 3001)])
    shares = np.unique(np.concatenate([1.0 - stays, stays, np.nextafter(lo, [0, 2]), np.nextafter(hi, [0, 2])]))
    shares = shares[(shares >= 0.01) & (shares <= 1.0)]
    late = latency(form, shares, local, remote, ack) / deadline
    inside = (lo <= shares) & (shares <= hi)
    assert not deadline_missed(latency(form, shares[inside], local, remote, ack), np.float64(deadline)).any()
    clearly_in = late < 1 - 1e-6
    if local < 1e9 * deadline:
        assert not (clearly_in & ~inside).any()
    else:  # but for a few of the neighbours of an end
        assert (clearly_in & ~inside).sum() <= 4
    if lo <= hi:
        assert not deadline_missed(latency(form, np.array([lo, hi]), local, remote, ack), np.float64(deadline)).any()


def test_nothing_is_allowed_where_no_number_meets_the_deadline() -> None:
    # (1 - phi) 1e18 <= 1 asks for a phi above 1 - 1e-18, and phi = 1 takes 1.5 s on the other side.
    lo, hi = interval("parallel", 1e18, 1.5, 0.0, 1.0)
    assert lo > hi
    assert interval("parallel", 1e18, 0.5, 0.0, 1.0) == (1.0, 1.0)


def test_both_places_at_once_where_a_share_near_one_is_told_coarsely() -> None:
    local, remote = np.full((4, 3), 1e12), np.array([0.25, 2.0])[:, None, None] * np.ones((2, 4, 3))
    for form in FORMS:
        lo, hi = feasible_fraction(form, 0.01, local, remote, np.zeros((4, 3)), np.ones((4, 3)))
        assert (lo[0] <= hi[0]).all()
        assert (lo[1] > hi[1]).all()
