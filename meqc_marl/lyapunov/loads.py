"""The value of waits where the load varies from row to row: one fit, whose coefficients are linear in the load.

Waiting costs at every load. So each coefficient is a sum over every number c of the load that varies, of its share
(c - low) / (high - low) and of what is missing to 1, each with a weight whose sign is known: the coefficient then has
that sign at all loads that were seen.
"""

from __future__ import annotations

import numpy as np

from meqc_marl.lyapunov.temporal_difference import fit_value


def fit_over_loads(
    now: np.ndarray,
    then: np.ndarray,
    load: np.ndarray,
    gain: np.ndarray,
    episode: np.ndarray,
    discount: float,
    ridge: float,
) -> np.ndarray:
    """Weights of features of the waits at a load of 0, and what each number of the load adds to them [1 + K, F].

    The projected equation of the least-squares temporal difference, solved in the least squares of what it leaves.

    Args:
        now, then: Features of the waits before and after each slot [N, F], and in a last column what is fitted along
            with a weight of any sign and left out.
        load: Of the rows [N, K].
        gain: Of the slots [N].
        episode: Which episode of which row a slot is of: each has a constant of its own [N].
        discount: Of the next slot.
        ridge: Weight of the squares of the weights, of the slots' number, with features of order one.
    """
    shares, linear = _shares(load)
    x, after = (np.column_stack([_spread(each[:, :-1], shares), each[:, -1]]) for each in (now, then))
    solved = -fit_value(x, after, -gain, discount, episode, free=1, ridge=ridge)
    return np.asarray(linear.T @ solved[:-1].reshape(len(linear), -1))


def _shares(load: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the numbers that vary [N, J], and each as a constant and factors of the load [J, 1 + K]."""
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


def _spread(features: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Each share times each feature [N, J F]."""
    return (shares[:, :, None] * features[:, None, :]).reshape(len(features), -1)
