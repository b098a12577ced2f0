"""Which shares meet the deadline (12b): exact intervals for every latency form, and the test of a miss."""

from __future__ import annotations

import numpy as np

MISS_TOLERANCE = 1e-9
"""Relative tolerance of a miss: a share at the end of its feasible interval meets the deadline despite rounding."""


def deadline_missed(latency_s: np.ndarray, deadline_s: np.ndarray) -> np.ndarray:
    """Whether a latency exceeds its deadline by more than rounding; bool [..., M]."""
    missed: np.ndarray = latency_s > deadline_s * (1.0 + MISS_TOLERANCE)
    return missed


def feasible_fraction(
    form: str,
    min_fraction: float,
    local_latency_s: np.ndarray,
    remote_latency_s: np.ndarray,
    ack_latency_s: np.ndarray,
    deadline_s: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The shares in [min_fraction, 1] sent to one remote place that meet the deadline: all of [lo, hi].

    Latency is convex in the share in every form, so they are one interval.

    Args:
        form: Latency form, ``cost.latency`` of the scenario.
        min_fraction: Least share of a remote mode.
        local_latency_s: T_L of the whole task [..., M].
        remote_latency_s: T_X of the whole task, upload and compute [..., M].
        ack_latency_s: t_a [..., M].
        deadline_s: t_max [..., M].

    Returns:
        lo, hi float64 [..., M]; lo > hi where no share meets the deadline.
    """
    local, remote, ack, deadline = local_latency_s, remote_latency_s, ack_latency_s, deadline_s
    if form == "parallel":
        # Both (1 - phi) T_L and phi T_X + t_a within the deadline.
        with np.errstate(divide="ignore"):  # who is not there has a T_L of 0
            lo = 1.0 - deadline / local
        hi = (deadline - ack) / remote
    elif form == "sequential":
        lo, hi = _half_line(slope=remote - local, slack=deadline - ack - local)
    else:
        lo, hi = _between_roots(local + remote, ack - 2.0 * local, local - deadline)
    return np.maximum(lo, min_fraction), np.minimum(hi, 1.0)


def _half_line(slope: np.ndarray, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of slope phi <= slack: a half-line, or all or nothing where the slope is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        end = slack / slope
    all_or_nothing = np.where(slack >= 0.0, np.inf, -np.inf)
    lo = np.where(slope < 0.0, end, -np.inf)
    hi = np.where(slope > 0.0, end, np.where(slope < 0.0, np.inf, all_or_nothing))
    return lo, hi


def _between_roots(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of a phi^2 + b phi + c <= 0 for a > 0, without cancellation; empty (inf, -inf) without real roots."""
    discriminant = b * b - 4.0 * a * c
    real = discriminant >= 0.0
    q = -0.5 * (b + np.copysign(np.sqrt(np.where(real, discriminant, 0.0)), b))
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = q / a, np.where(q == 0.0, 0.0, c / q)
    return np.where(real, np.minimum(one, other), np.inf), np.where(real, np.maximum(one, other), -np.inf)
