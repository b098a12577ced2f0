"""Means and interquartile means over runs or traces, with confidence intervals that cover at small samples.

The interquartile mean (the mean of the middle half) is that of Agarwal et al., "Deep Reinforcement Learning at the Edge
of the Statistical Precipice", NeurIPS 2021 (package rliable); the intervals are those of
:mod:`meqc_marl.evaluation.intervals`, since percentile bootstraps cover too seldom at 5 to 20 runs.

The rows of an array are the *units*: what was drawn independently, and what a repetition would draw anew. Of a training
method they are runs, each whole over all its traces; of a policy that is given, traces. Below ``MIN_UNITS`` units there
is no interval, only the units' own values (:attr:`Estimate.points`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from meqc_marl.config.quantity import fixed
from meqc_marl.evaluation.intervals import MIN_UNITS, difference_interval, iqm_interval, mean_interval, trimmed

__all__ = [
    "MIN_UNITS",
    "Estimate",
    "brackets",
    "error_bars",
    "interquartile_mean",
    "mean",
    "paired_difference",
    "paired_interquartile_difference",
    "probability_of_improvement",
]


class Estimate(NamedTuple):
    """A statistic with its 95 % interval, or, where too few units allow none, with the units' own values.

    Attributes:
        value: The statistic of all units.
        low, high: Ends of the interval; NaN where there is none.
        points: The statistic of each unit alone.
    """

    value: float
    low: float
    high: float
    points: tuple[float, ...] = ()

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval; if not, show the points."""
        return not np.isnan(self.low)

    @property
    def least(self) -> float:
        """Lower end of the interval, or the least of the points where there is none."""
        return self.low if self.has_interval else min(self.points, default=self.value)

    @property
    def greatest(self) -> float:
        """Upper end of the interval, or the greatest of the points where there is none."""
        return self.high if self.has_interval else max(self.points, default=self.value)

    def told(self, form: str = ".2f", most: int = MIN_UNITS - 1) -> str:
        """In words: ``15.13 [15.02, 15.25]``; without an interval the points, if several: ``15.13 (15.02, 15.24)``.

        Of more than ``most`` points the least and the greatest are told: ``15.13 (15.02 to 15.24)``.
        """
        value = fixed(self.value, form)
        if self.has_interval:
            return f"{value} [{fixed(self.low, form)}, {fixed(self.high, form)}]"
        if len(self.points) < 2:
            return value
        if len(self.points) <= most:
            return f"{value} ({', '.join(fixed(point, form) for point in self.points)})"
        return f"{value} ({fixed(self.least, form)} to {fixed(self.greatest, form)})"

    def numbers(self) -> dict[str, float | None]:
        """Value and ends as plain numbers for JSON; None where there is no interval."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {key: float(number) if np.isfinite(number) else None for key, number in ends.items()}

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> Estimate:
        """What :meth:`numbers` has told, with the units' own values where they stand beside it."""
        value, low, high = (np.nan if numbers[key] is None else float(numbers[key]) for key in ("value", "low", "high"))
        return cls(value, low, high, tuple(map(float, numbers.get("points", ()))))

    def times(self, factor: float) -> Estimate:
        """The estimate in another unit."""
        low, high = sorted((factor * self.low, factor * self.high))
        return Estimate(factor * self.value, low, high, tuple(factor * point for point in self.points))


def mean(values: np.ndarray) -> Estimate:
    """Mean of ``values``, [units] or [units, traces]."""
    scores = _matrix(values)
    own = scores.mean(1)
    return _estimate(own.mean(), own, mean_interval(own))


def interquartile_mean(values: np.ndarray) -> Estimate:
    """Mean of the middle half of all ``values``, [units] or [units, traces]: a quarter is cut at either end."""
    scores = _matrix(values)
    if np.isnan(scores).any():  # a run that has diverged is not cut away as if it were the largest
        return _estimate(np.float64(np.nan), trimmed(scores), (np.nan, np.nan))
    return _estimate(trimmed(scores.reshape(-1)), trimmed(scores), iqm_interval(scores))


def probability_of_improvement(scores: np.ndarray, others: np.ndarray) -> float:
    """Mean over traces of the chance that a run of ``scores`` [runs, traces] lies below one of ``others`` (a cost).

    Ties count as a half: the Mann-Whitney statistic, as in rliable. NaN if a score is.
    """
    a, b = np.atleast_2d(scores)[:, None, :], np.atleast_2d(others)[None, :, :]
    chance = np.where(np.isnan(a + b), np.nan, (a < b) + 0.5 * (a == b))
    return float(chance.mean())


def paired_difference(values: np.ndarray, reference: np.ndarray) -> Estimate:
    """Mean of ``values - reference`` over traces [E]: entry i of both comes from the same trace.

    What is common to a trace cancels, so this interval is much tighter than those of the two means suggest.
    """
    return mean(np.asarray(values) - np.asarray(reference))


def paired_interquartile_difference(scores: np.ndarray, reference: np.ndarray) -> Estimate:
    """Mean of the middle half over traces of ``scores - reference``, each the mean over its runs.

    Trace i is the same in both, so what is common to it cancels. The units are the runs of the sides that have some,
    on the traces given; where neither has, the traces.

    Args:
        scores: [runs, traces], or [traces] of what no training changes.
        reference: The same.
    """
    sides = [np.asarray(values, dtype=np.float64) for values in (scores, reference)]
    if all(side.ndim == 1 for side in sides):
        return interquartile_mean(sides[0] - sides[1])
    ours, theirs = (side if side.ndim == 2 else side[None] for side in sides)
    difference = ours.mean(0) - theirs.mean(0)
    if np.isnan(difference).any():
        return _estimate(np.float64(np.nan), difference, (np.nan, np.nan))
    cut = len(difference) // 4
    middle = np.argsort(difference, kind="stable")[cut : len(difference) - cut]
    a, b = ours[:, middle].mean(1), theirs[:, middle].mean(1)
    sampled = [own for own, side in zip((a, b), sides, strict=True) if side.ndim == 2]
    points = np.subtract.outer(a, b).reshape(-1)
    return _estimate(difference[middle].mean(), points, difference_interval(float(a.mean() - b.mean()), sampled))


def brackets(estimates: Iterable[Estimate], unit: str) -> str:
    """What stands behind the values of a table: `` [95 % interval]``, `` (each run)`` or nothing."""
    kinds = [estimate.has_interval for estimate in estimates if estimate.has_interval or len(estimate.points) > 1]
    parts = [" [95 % interval]"] if any(kinds) else []
    return "".join(parts + ([f" (each {unit})"] if not all(kinds) else []))


def error_bars(estimates: Sequence[Estimate]) -> np.ndarray:
    """How far the intervals [2, N] reach below and above the values; nothing where there is none."""
    return np.abs(np.nan_to_num([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]]))


def _matrix(values: np.ndarray) -> np.ndarray:
    scores = np.asarray(values, dtype=np.float64)
    return scores[:, None] if scores.ndim == 1 else scores


def _estimate(value: np.floating | np.ndarray, points: np.ndarray, interval: tuple[float, float]) -> Estimate:
    return Estimate(float(value), *interval, tuple(float(point) for point in points))
