"""The value of the waits by least-squares temporal differences, quietened: the one fit of the learner and of the rules.

A cost is fitted to v(s) - discount v(s'), with v a combination of features (Bradtke and Barto, Machine Learning 22, 33,
1996). Three things keep it quiet, and none changes what is fitted: each trajectory has a level of its own, for its
equipment; what is known of the slot and no queue changes is fitted along; and signs that are known are kept.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import lsq_linear


def quadratic(cpu_s: np.ndarray, qpu_s: np.ndarray) -> np.ndarray:
    """All quadratic terms of the two waits, [..., 5]: w, u, w^2, w u, u^2; no constant, which no difference has."""
    return np.stack([cpu_s, qpu_s, cpu_s**2, cpu_s * qpu_s, qpu_s**2], -1)


def fit_value(
    now: np.ndarray,
    then: np.ndarray,
    cost: np.ndarray,
    discount: float,
    level: np.ndarray,
    known: np.ndarray | None = None,
    free: int = 0,
    ridge: float = 0.0,
) -> np.ndarray:
    """Coefficients of v, none of the first below 0.

    Where no coefficient would be below 0 anyway this is the usual solution; else the one of least projected error.

    Args:
        now, then: Features of the slots and of those that follow [N, K].
        cost: Of the slots [N].
        discount: Of the next slot.
        level: Which trajectory a slot is of, any numbers [N].
        known: What is known of the slot and says nothing of the next [N, C].
        free: How many of the features, the last ones, may have a coefficient of any sign.
        ridge: Weight of the squares of the coefficients, of the slots' number, with features of order one.

    Returns:
        [K].
    """
    along = np.zeros((len(now), 0)) if known is None else known
    columns = np.concatenate([now, along, now - discount * then, along, cost[:, None]], -1)
    _, which, number = np.unique(level, return_inverse=True, return_counts=True)
    total = np.zeros((len(number), columns.shape[1]))
    np.add.at(total, which, columns)
    columns = columns - (total / number[:, None])[which]
    size = now.shape[1] + along.shape[1]
    x, step, cost = columns[:, :size], columns[:, size:-1], columns[:, -1]
    scale = np.where(x.std(0) > 0.0, x.std(0), 1.0)  # of what is not queued nothing is learned
    x, step = x / scale, step / scale
    basis = np.linalg.svd(x, full_matrices=False)[0]
    signed = np.arange(size) < now.shape[1] - free
    left = np.concatenate([basis.T @ step, np.sqrt(ridge * len(x)) * np.eye(size)])
    right = np.concatenate([basis.T @ cost, np.zeros(size)])
    solved = lsq_linear(left, right, (np.where(signed, 0.0, -np.inf), np.inf), method="bvls").x
    return np.asarray((solved / scale)[: now.shape[1]])
