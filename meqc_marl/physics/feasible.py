"""Which shares meet the deadline (12b): exact intervals for every latency form, and the test of a miss."""

from __future__ import annotations

import numpy as np

from meqc_marl.physics.blend import blend_latency

MISS_TOLERANCE = 1e-9
"""Relative tolerance of a miss: a share at the end of its feasible interval meets the deadline despite rounding."""
_CLEARLY = 1.0 - 1e-5
"""Of the tolerance: what is late by this much of it is no miss, however it is rounded."""
_FAR = 1e5
"""Deadlines that T_L must be for a share near 1 to be told too coarsely: its rounding times T_L nears the tolerance."""
_STEPS = 4
"""Of the last digit of a share, after which an end that still misses is given up."""


def deadline_missed(latency_s: np.ndarray, deadline_s: np.ndarray) -> np.ndarray:
    """Whether a latency exceeds its deadline by more than rounding; bool [..., M]."""
    missed: np.ndarray = latency_s > deadline_s * (1.0 + MISS_TOLERANCE)
    return missed


def latest_s(deadline_s: np.ndarray) -> np.ndarray:
    """Latency in s [..., M] that is within the tolerance of a miss."""
    return np.asarray(deadline_s * (1.0 + MISS_TOLERANCE * _CLEARLY))


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
    given = local, remote, ack, deadline = local_latency_s, remote_latency_s, ack_latency_s, deadline_s
    if form == "parallel":
        # Both (1 - phi) T_L and phi T_X + t_a within the deadline.
        with np.errstate(divide="ignore"):  # who is not there has a T_L of 0
            lo = 1.0 - deadline / local
        hi = (deadline - ack) / remote
    elif form == "sequential":
        lo, hi = _half_line(slope=remote - local, slack=deadline - ack - local)
    else:
        lo, hi = _between_roots(local + remote, ack - 2.0 * local, local - deadline)
    if not (far := local > _FAR * deadline).any():
        return np.maximum(lo, min_fraction), np.minimum(hi, 1.0)
    if form != "parallel":  # whose low end is told by what stays anyhow
        least, most = _by_what_stays(form, *given)
        lo, hi = np.where(far, 1.0 - most, lo), np.where(far, 1.0 - least, hi)
    return _representable(np.maximum(lo, min_fraction), np.minimum(hi, 1.0), form, *given)


def _by_what_stays(
    form: str, local: np.ndarray, remote: np.ndarray, ack: np.ndarray, deadline: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of what stays on the device, 1 - phi, where parts are added: nothing cancels where it is tiny."""
    if form == "sequential":
        return _half_line(slope=local - remote, slack=deadline - ack - remote)
    return _between_roots(local + remote, -(2.0 * remote + ack), remote + ack - deadline)


def _representable(
    lo: np.ndarray,
    hi: np.ndarray,
    form: str,
    local: np.ndarray,
    remote: np.ndarray,
    ack: np.ndarray,
    deadline: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The ends moved inwards to the nearest numbers at which no deadline is missed; none where there are no such."""
    lo, hi = (np.array(end) for end in np.broadcast_arrays(lo, hi))
    for last in (False,) * _STEPS + (True,):
        for end, towards in ((lo, 1.0), (hi, 0.0)):
            with np.errstate(invalid="ignore", over="ignore"):  # the ends of nothing may be infinite
                missed = deadline_missed(blend_latency(form, end, local, remote, ack), deadline) & (lo <= hi)
            nearer = np.full_like(end, np.inf if towards else -np.inf) if last else np.nextafter(end, towards)
            np.copyto(end, nearer, where=missed)
    return lo, hi


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
