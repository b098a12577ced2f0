"""95 % intervals for a mean or interquartile mean of few runs, skewed or not.

Two models of the runs are averaged: normal, and, where all values have one sign, lognormal. In each the studentised
statistic is a pivot (its law does not depend on what is unknown), so that the statistic's true value has a confidence
distribution; the two are mixed by the models' marginal likelihoods under the invariant prior, as Box and Cox (1964)
weigh powers 1 and 0 of a transformation, and cut at 2.5 and 97.5 %.

- Mean: Student's t; of a lognormal exp(mu + sigma^2 / 2), with the generalised pivots of Krishnamoorthy and Mathew
  (2003).
- Neither model is trusted alone: the end next to zero is moved to the normal model's if that is farther out (a few
  values may have one sign by chance), of more than 12 units half the way.
- Interquartile mean: the trimmed mean over its winsorised standard error (Tukey and McLaughlin 1963), the error
  taken between runs, each whole. The pivot's law is that of normal samples of the same size, simulated: of runs alone
  once and for all, of runs with traces anew, with trace, run and residual effects as estimated (a parametric bootstrap
  of the studentised statistic). In logarithms the same.

``python -m experiments.benchmarks.coverage`` simulates how often they cover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
MIN_UNITS = 4
"""Units below which there is no interval."""
NUM_RESAMPLES, _MOST_NUMBERS = 2_000, 8_000_000
"""Parametric resamples of runs with traces, and how many numbers they may take in all."""
_NUM_PIVOTS, _NUM_QUANTILES = 100_000, 2_000
_NUM_SCALES = 64
_HALVINGS = 25
_MOST_SIMULATED = 100
"""Units of which the pivot's law is simulated; of more it is a Student's."""
_NEGLIGIBLE = 1e-6
"""Weight below which a model is left out."""
_FEW = 12
"""Up to so many units, which may have one sign by chance, the end next to zero is no nearer to it than the normal
model's; of more, at least half as far out."""
_FAR, _FARTHEST = 1e3, 1e9
"""Effects of traces, in deviations of the rest, above which the pivot needs numbers of 64 bits, and that these resolve;
of runs that differ by rounding alone the effects are taken for no larger."""
_LEVELS = (0.5 - CONFIDENCE / 2.0, 0.5 + CONFIDENCE / 2.0)
_NO_INTERVAL = (np.nan, np.nan)
Law = Callable[[np.ndarray], np.ndarray]
"""A confidence distribution: the probability that the true value is at most so much, of several samples [S] at once."""


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Ends of the interval for the mean of units [n]."""
    return _one(mean_intervals(np.asarray(values, dtype=np.float64)[None]))


def iqm_interval(scores: np.ndarray) -> tuple[float, float]:
    """Ends of the interval for the interquartile mean of all scores [units, traces]."""
    return _one(iqm_intervals(np.asarray(scores, dtype=np.float64)[None]))


def difference_interval(value: float, sides: Sequence[np.ndarray]) -> tuple[float, float]:
    """Ends of the interval for a difference of means of one or two independent samples of runs, [n] each (Welch)."""
    if min(len(side) for side in sides) < MIN_UNITS:
        return _NO_INTERVAL
    variances = np.array([side.var(ddof=1) / len(side) for side in sides])
    error = float(np.sqrt(variances.sum()))
    if error == 0.0:
        return value, value
    freedom = variances.sum() ** 2 / sum(v**2 / (len(side) - 1) for v, side in zip(variances, sides, strict=True))
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, freedom)) * error
    return value - reach, value + reach


def mean_intervals(values: np.ndarray) -> np.ndarray:
    """Ends [2, S] of the intervals for the means of S samples of n units [S, n]."""
    if values.shape[1] < MIN_UNITS:
        return np.full((2, len(values)), np.nan)
    return _oriented(values, _mean_of_positive)


def iqm_intervals(scores: np.ndarray) -> np.ndarray:
    """Ends [2, S] of the intervals for the interquartile means of S samples of n units with T traces [S, n, T]."""
    if scores.shape[1] < MIN_UNITS:
        return np.full((2, len(scores)), np.nan)
    return _with_estimate(_oriented(scores, _iqm_of_positive), trimmed(scores.reshape(len(scores), -1)))


def trimmed(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half [...] of values [..., N]: N // 4 are cut at either end; NaN where one is."""
    size = values.shape[-1]
    cut = size // 4
    middle: np.ndarray = np.sort(values, axis=-1)[..., cut : size - cut].mean(-1)
    return np.where(np.isnan(values).any(-1), np.nan, middle)


def lognormal_weight(values: np.ndarray) -> np.ndarray:
    """Posterior probability [S] that samples [S, n] are lognormal rather than normal; 0 where one is not positive."""
    size = values.shape[1]
    positive: np.ndarray = np.all(values > 0, axis=1)
    logs = np.log(np.where(positive[:, None], values, 1.0))
    # Box and Cox compare standard deviations in one unit: the logarithm is multiplied by the geometric mean.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(values.std(1, ddof=1)) - np.log(logs.std(1, ddof=1)) - logs.mean(1)
    usable = positive & np.isfinite(ratio)
    return np.where(usable, special.expit((size - 1) * np.where(usable, ratio, 0.0)), 0.0)


def _one(ends: np.ndarray) -> tuple[float, float]:
    return float(ends[0, 0]), float(ends[1, 0])


def _oriented(values: np.ndarray, intervals: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Samples of negative values are mirrored: the interval of -x is that of x, mirrored."""
    negative = (values < 0).reshape(len(values), -1).all(1)
    sign = np.where(negative, -1.0, 1.0)
    ends = sign * intervals(sign.reshape(-1, *[1] * (values.ndim - 1)) * values)
    return np.sort(ends, axis=0)


def _mean_of_positive(values: np.ndarray) -> np.ndarray:
    size = values.shape[1]
    middle, error = values.mean(1), values.std(1, ddof=1) / np.sqrt(size)
    reach = error * special.stdtrit(size - 1, _LEVELS[1])
    ends = np.array([middle - reach, middle + reach])
    weight = lognormal_weight(values)
    if not (skewed := weight > _NEGLIGIBLE).any():
        return ends
    logs = np.log(values[skewed])
    mu, sigma = logs.mean(1), logs.std(1, ddof=1)
    scale = sigma[:, None] / _scales(size)  # sigma's confidence distribution [S, scales]
    middle, error = middle[skewed], error[skewed]

    def normal(x: np.ndarray) -> np.ndarray:
        return special.stdtr(size - 1, (x - middle) / error)

    def lognormal(log_x: np.ndarray) -> np.ndarray:
        room = (log_x - mu)[:, None] - scale**2 / 2.0
        return special.ndtr(room * np.sqrt(size) / scale).mean(1)

    mixed = _mixture_ends(middle, error, weight[skewed], normal, lognormal)
    ends[:, skewed] = _near_zero_as_wide(mixed, ends[:, skewed], size)
    return ends


def _iqm_of_positive(scores: np.ndarray) -> np.ndarray:
    size, traces = scores.shape[1:]
    value, error = _studentised(scores)
    # Sorted draws of the pivot, of each sample [S, draws] or the same for all [1, draws].
    table = _pivots_of_runs(size)[None] if traces == 1 else np.stack([_pivots_of(sample) for sample in scores])
    ends = value - error * np.quantile(table, _LEVELS[::-1], axis=1)
    weight = np.where((scores > 0).all((1, 2)), lognormal_weight(scores.mean(2)), 0.0)
    _, log_error = _studentised(np.log(np.where(scores > 0.0, scores, 1.0)))
    weight = np.where((error > 0.0) & (log_error > 0.0), weight, 0.0)
    if not (skewed := weight > _NEGLIGIBLE).any():
        return ends
    value, error, log_error = value[skewed], error[skewed], log_error[skewed]
    table = table if traces == 1 else table[skewed]

    def normal(x: np.ndarray) -> np.ndarray:
        return _share_above(table, (value - x) / error)

    def lognormal(log_x: np.ndarray) -> np.ndarray:
        return _share_above(table, (np.log(value) - log_x) / log_error)

    mixed = _mixture_ends(value, error, weight[skewed], normal, lognormal)
    ends[:, skewed] = _near_zero_as_wide(mixed, ends[:, skewed], size)
    return ends


def _with_estimate(ends: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Ends [2, S] of intervals that hold the estimates [S] as well: where runs hardly differ and traces do, that whole
    scores are cut may outweigh all that is random."""
    return np.array([np.minimum(ends[0], value), np.maximum(ends[1], value)])


def _near_zero_as_wide(ends: np.ndarray, of_normal: np.ndarray, size: int) -> np.ndarray:
    """Ends [2, S], the lower one moved to the normal model's if that is farther out, or half the way there."""
    share = 1.0 if size <= _FEW else 0.5
    return np.array([ends[0] - share * np.maximum(ends[0] - of_normal[0], 0.0), ends[1]])


def _share_above(table: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of sorted draws [S, draws], or [1, draws] for all, that lie above ``at`` [S]."""
    levels = (np.arange(table.shape[1]) + 0.5) / table.shape[1]
    if len(table) == 1:
        return 1.0 - np.interp(at, table[0], levels)
    return np.array([1.0 - np.interp(x, row, levels) for x, row in zip(at, table, strict=True)])


def _mixture_ends(middle: np.ndarray, error: np.ndarray, weight: np.ndarray, normal: Law, lognormal: Law) -> np.ndarray:
    """Ends [2, S] of the mixture of the confidence distributions of x (normal) and of log x, by bisection."""

    def probability(x: np.ndarray) -> np.ndarray:
        positive = x > 0.0
        skewed = np.where(positive, lognormal(np.log(np.where(positive, x, 1.0))), 0.0)
        return (1.0 - weight) * normal(x) + weight * skewed

    ends = []
    for level, sign in zip(_LEVELS, (-1.0, 1.0), strict=True):
        reach = error.copy()
        while (short := sign * (probability(middle + sign * reach) - level) < 0.0).any():
            reach = np.where(short, 2.0 * reach, reach)
        near, far = np.zeros_like(reach), reach
        for _ in range(_HALVINGS):
            half = (near + far) / 2.0
            inside = sign * (probability(middle + sign * half) - level) < 0.0
            near, far = np.where(inside, half, near), np.where(inside, far, half)
        ends.append(middle + sign * far)
    return np.array(ends)


def _studentised(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interquartile mean [S] of all scores [S, n, T] and its standard error [S] between units."""
    size, traces = scores.shape[-2:]
    ordered = np.sort(scores.reshape(len(scores), -1), axis=-1)
    cut, total = size * traces // 4, size * traces
    low, high = ordered[:, cut, None, None], ordered[:, total - cut - 1, None, None]
    influence = np.clip(scores, low, high).mean(-1) * (total / (total - 2 * cut))
    spread = influence.std(-1, ddof=1)
    whole = scores.mean(-1).std(-1, ddof=1)
    # A middle of equal values proves no certainty where the others differ.
    spread = np.where(spread > 1e-9 * whole, spread, whole)
    return ordered[:, cut : total - cut].mean(-1), spread / np.sqrt(size)


@lru_cache(maxsize=64)
def _scales(size: int) -> np.ndarray:
    """Midpoints [scales] of the law of s / sigma of a normal sample."""
    levels = (np.arange(_NUM_SCALES) + 0.5) / _NUM_SCALES
    return np.sqrt(stats.chi2.ppf(levels, size - 1) / (size - 1))


@lru_cache(maxsize=64)
def _pivots_of_runs(size: int) -> np.ndarray:
    """The pivot's law for normal runs without traces, as sorted quantiles of draws; its two sides are made alike."""
    levels = (np.arange(_NUM_QUANTILES) + 0.5) / _NUM_QUANTILES
    if size > _MOST_SIMULATED:
        return special.stdtrit(size - 2 * (size // 4) - 1, levels)  # Tukey and McLaughlin's approximation
    draws = np.random.default_rng(size).standard_normal((_NUM_PIVOTS // 2, size, 1))
    value, error = _studentised(draws)
    return np.quantile(np.concatenate([value / error, -value / error]), levels)


@lru_cache(maxsize=2)
def _standard_draws(size: int, traces: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the run effects [count, size, 1] and residuals [count, size, traces]."""
    rng = np.random.default_rng((size, traces))
    runs, rest = rng.standard_normal((count, size, 1)), rng.standard_normal((count, size, traces))
    return runs.astype(np.float32), rest.astype(np.float32)


def _pivots_of(scores: np.ndarray) -> np.ndarray:
    """The pivot's law as sorted draws, for normal runs with the effects estimated from scores [n, T]."""
    size, traces = scores.shape
    effect, run = scores.mean(0) - scores.mean(), scores.mean(1)
    residual = scores - run[:, None] - effect
    of_residual = (residual**2).sum() / ((size - 1) * (traces - 1))
    of_run = max(0.0, run.var(ddof=1) - of_residual / traces)
    unit = np.sqrt(of_run + of_residual) or 1.0
    effect = effect / unit
    far = np.abs(effect).max()
    effect *= min(1.0, _FARTHEST / max(far, 1.0))
    kind = np.float32 if far < _FAR else np.float64
    runs, rest = _standard_draws(size, traces, max(200, min(NUM_RESAMPLES, _MOST_NUMBERS // scores.size)))
    effect = effect.astype(kind)
    of_run, of_residual = kind(np.sqrt(of_run) / unit), kind(np.sqrt(of_residual) / unit)
    value, error = _studentised(effect + of_run * runs + of_residual * rest)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sort(np.nan_to_num((value - _population_iqm(effect)) / error))


def _population_iqm(effect: np.ndarray) -> float:
    """Interquartile mean of a mixture of normals of deviation 1 with means ``effect`` [T]."""
    levels = special.ndtri((np.arange(_NUM_SCALES) + 0.5) / _NUM_SCALES)
    return float(trimmed((effect[:, None] + levels).reshape(-1)))
