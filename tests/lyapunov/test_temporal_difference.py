"""The fit of a value against its normal equations and against all ways to set coefficients to 0."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.lyapunov.temporal_difference import fit_value, quadratic

SLOTS, DISCOUNT = 200, 0.8


def slots(seed: int) -> tuple[np.ndarray, ...]:
    """Features of slots and of those that follow, costs, trajectories and two known columns."""
    rng = np.random.default_rng(seed)
    now, then = rng.exponential(2.0, (SLOTS, 3)), rng.exponential(2.0, (SLOTS, 3))
    known, level = rng.normal(size=(SLOTS, 2)), rng.integers(0, 5, SLOTS)
    cost = (now - DISCOUNT * then) @ rng.normal(0.0, 1.0, 3) + known @ [2.0, -1.0] + 3.0 * level
    return now, then, cost + rng.normal(0.0, 2.0, SLOTS), level, known


def around_level(values: np.ndarray, level: np.ndarray) -> np.ndarray:
    means = np.stack([values[level == each].mean(0) for each in range(level.max() + 1)])
    return np.asarray(values - means[level])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), free=st.integers(0, 3))
def test_the_fit_is_the_best_of_all_ways_to_set_coefficients_to_0(seed: int, free: int) -> None:
    """Of the error that the slots' features can see; with every sign free, no error is left: the usual solution."""
    now, then, cost, level, known = slots(seed)
    found = fit_value(now, then, cost, DISCOUNT, level, known, free=free)
    seen = around_level(np.hstack([now, known]), level)
    step = around_level(np.hstack([now - DISCOUNT * then, known]), level)
    projection, target = seen @ np.linalg.pinv(seen), around_level(cost, level)
    signed, best, least = range(3 - free), np.zeros(3), np.inf
    for zeros in (set(each) for count in range(len(signed) + 1) for each in combinations(signed, count)):
        kept = [column for column in range(5) if column not in zeros]
        solved = np.zeros(5)
        solved[kept] = np.linalg.lstsq(projection @ step[:, kept], projection @ target, rcond=None)[0]
        error = float(np.sum((projection @ (step @ solved - target)) ** 2))
        if (solved[list(signed)] >= -1e-12).all() and error < least:
            best, least = solved[:3], error
    np.testing.assert_allclose(found, best, rtol=1e-6, atol=1e-8)
    if free == 3:
        np.testing.assert_allclose(seen.T @ step @ solved_without_signs(seen, step, target), seen.T @ target, atol=1e-6)
        np.testing.assert_allclose(found, solved_without_signs(seen, step, target)[:3], rtol=1e-6, atol=1e-8)


def solved_without_signs(seen: np.ndarray, step: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Bradtke and Barto's equations."""
    return np.asarray(np.linalg.solve(seen.T @ step, seen.T @ target))


def test_of_what_never_changes_nothing_is_learned_and_a_ridge_draws_to_0() -> None:
    now, then, cost, level, _ = slots(0)
    now[:, 1] = then[:, 1] = 0.0
    found = fit_value(now, then, cost, DISCOUNT, level, free=3)
    assert found[1] == pytest.approx(0.0, abs=1e-12)
    drawn = fit_value(now, then, cost, DISCOUNT, level, free=3, ridge=1e3)
    assert np.abs(drawn).max() < 1e-2 * np.abs(found).max()


def test_the_features_are_all_quadratic_terms() -> None:
    np.testing.assert_array_equal(quadratic(np.array([2.0]), np.array([3.0])), [[2.0, 3.0, 4.0, 6.0, 9.0]])
