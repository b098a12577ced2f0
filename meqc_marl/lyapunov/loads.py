"""The value of waits where the load varies from row to row: one fit, whose coefficients are linear in the load.

Waiting costs at every load. So each coefficient is a sum over every number c of the load that varies, of its share
(c - low) / (high - low) and of what is missing to 1, each with a weight whose sign is known: the coefficient then has
that sign at all loads that were seen.
"""

from __future__ import annotations

import numpy as np


def shares_of(load: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the numbers that vary [N, J], and each as a constant and factors of the load [J, 1 + K], of [N, K]."""
    low, width = load.min(0), np.ptp(load, 0)
    varies = np.flatnonzero(width)
    if not varies.size:
        return np.ones((len(load), 1)), np.eye(1, 1 + load.shape[1])
    linear = np.zeros((2 * varies.size, 1 + load.shape[1]))
    for row, which in enumerate(varies):
        linear[2 * row, 0], linear[2 * row, 1 + which] = -low[which] / width[which], 1.0 / width[which]
        linear[2 * row + 1] = -linear[2 * row]
        linear[2 * row + 1, 0] += 1.0
    return np.maximum(linear[:, 0] + load @ linear[:, 1:].T, 0.0), linear


def spread(features: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Each share times each feature [N, J F]."""
    return (shares[:, :, None] * features[:, None, :]).reshape(len(features), -1)


def at_loads(weights: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """Weights of :func:`spread` [J F] as those at a load of 0 and what each number of the load adds [1 + K, F]."""
    return np.asarray(linear.T @ weights.reshape(len(linear), -1))
