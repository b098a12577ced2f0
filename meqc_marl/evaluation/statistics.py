"""Means and interquartile means over traces, with bootstrap confidence intervals.

The interquartile mean (the mean of the middle half) and the percentile bootstrap are those of Agarwal et al., "Deep
Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021 (package rliable).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

CONFIDENCE = 0.95
NUM_RESAMPLES = 10_000
_DRAWN_AT_ONCE = 4_000_000
"""Values of the resamples that are drawn together."""


class Estimate(NamedTuple):
    """A statistic with its confidence interval; the ends are NaN where a single trace allows none."""

    value: float
    low: float
    high: float


def mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean over traces [E] with a 95 % bootstrap interval."""
    return _estimate(values, np.mean, seed)


def interquartile_mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of the middle half of the traces [E] with a 95 % bootstrap interval."""
    return _estimate(values, _trimmed, seed)


def stratified_interquartile_mean(scores: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of the middle half of all scores [runs, traces], with a stratified bootstrap interval over the runs.

    A resample draws runs with replacement anew for each trace, as rliable does. A single run allows no interval; then
    the one over traces stands in.
    """
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    runs, traces = scores.shape
    if runs < 2:
        return interquartile_mean(scores[0], seed)
    value = float(_trimmed(scores.reshape(-1)))
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, runs, (NUM_RESAMPLES, runs, traces))
    resamples = np.take_along_axis(scores[None], drawn, axis=1).reshape(NUM_RESAMPLES, -1)
    return _with_interval(value, _trimmed(resamples, axis=-1))


def probability_of_improvement(scores: np.ndarray, others: np.ndarray) -> float:
    """Mean over traces of the chance that a run of ``scores`` [runs, traces] lies below one of ``others`` (a cost).

    Ties count as a half: the Mann-Whitney statistic, as in rliable.
    """
    a, b = np.atleast_2d(scores)[:, None, :], np.atleast_2d(others)[None, :, :]
    return float(((a < b) + 0.5 * (a == b)).mean())


def paired_difference(values: np.ndarray, reference: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of ``values - reference`` over traces [E]: entry i of both comes from the same trace.

    What is common to a trace cancels, so this interval is much tighter than those of the two means suggest.
    """
    return _estimate(np.asarray(values) - np.asarray(reference), np.mean, seed)


def paired_interquartile_difference(scores: np.ndarray, reference: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of the middle half over traces of ``scores - reference``, means over the runs of each [runs, traces].

    Trace i is the same in both, so what is common to it cancels. A resample draws the traces, and anew the runs of each
    side: the interval holds what training seeds change as well.
    """
    mine, theirs = (np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (scores, reference))
    if len(mine) == 1 and len(theirs) == 1:
        return interquartile_mean(mine[0] - theirs[0], seed)
    value = float(_trimmed(mine.mean(0) - theirs.mean(0)))
    rng = np.random.default_rng(seed)
    drawn = [side[rng.integers(0, len(side), (NUM_RESAMPLES, len(side)))].mean(1) for side in (mine, theirs)]
    traces = rng.integers(0, mine.shape[1], (NUM_RESAMPLES, mine.shape[1]))
    return _with_interval(value, _trimmed(np.take_along_axis(drawn[0] - drawn[1], traces, axis=1)))


def error_bars(estimates: Sequence[Estimate]) -> np.ndarray:
    """How far the intervals [2, N] reach below and above the values; nothing where there is none."""
    return np.abs(np.nan_to_num([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]]))


def _trimmed(values: np.ndarray, axis: int = -1) -> Any:
    cut = values.shape[axis] // 4
    return np.sort(values, axis=axis).take(range(cut, values.shape[axis] - cut), axis=axis).mean(axis=axis)


def _estimate(values: np.ndarray, statistic: Callable[..., Any], seed: int) -> Estimate:
    values = np.asarray(values, dtype=np.float64)
    value = float(statistic(values, axis=-1))
    if len(values) < 2:
        return Estimate(value, np.nan, np.nan)
    if np.ptp(values) == 0.0:
        return Estimate(value, value, value)
    rng, rows = np.random.default_rng(seed), max(1, _DRAWN_AT_ONCE // len(values))
    # In parts, which are the same draws as all at once: ten thousand traces would take gigabytes.
    parts = [min(rows, NUM_RESAMPLES - start) for start in range(0, NUM_RESAMPLES, rows)]
    drawn = (values[rng.integers(0, len(values), (part, len(values)))] for part in parts)
    return _with_interval(value, np.concatenate([statistic(resamples, axis=-1) for resamples in drawn]))


def _with_interval(value: float, resampled: np.ndarray) -> Estimate:
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(resampled, (tail, 100.0 - tail))
    return Estimate(value, float(low), float(high))
