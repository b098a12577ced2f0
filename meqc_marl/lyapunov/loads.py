"""The value of waits where the load varies from row to row: one fit, of the corners of the loads that were seen.

What a wait costs depends on the numbers of the load together: little room matters where much is asked for. So there is
a value for every corner of the box of loads, where each number that varies is least or largest, and at a load between
them every coefficient is interpolated in a line along each number. Waiting costs at every load: no coefficient of a
corner has the other sign, and so none between them has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Corners:
    """Of the box of loads that were seen.

    Attributes:
        low, width: Least value of each number and how far it reaches up, 0 of what does not vary [K].
    """

    low: np.ndarray
    width: np.ndarray

    @classmethod
    def of(cls, load: np.ndarray) -> Corners:
        """Of the loads seen [N, K]."""
        return cls(load.min(0), np.ptp(load, 0))

    @classmethod
    def none(cls, numbers: int) -> Corners:
        """Before any load was seen, or of K = 0 numbers: one corner."""
        return cls(np.zeros(numbers), np.zeros(numbers))

    @property
    def number(self) -> int:
        """C, of the corners: 2 to the power of how many numbers vary."""
        return int(2 ** np.count_nonzero(self.width))

    def shares(self, load: np.ndarray) -> np.ndarray:
        """What each corner counts at loads [..., K]: at least 0, 1 in all, [..., C]; beyond the box as at its rim."""
        shares = np.ones((*load.shape[:-1], 1))
        for which in np.flatnonzero(self.width):
            upper = np.clip((load[..., which] - self.low[which]) / self.width[which], 0.0, 1.0)[..., None]
            shares = np.concatenate([shares * (1.0 - upper), shares * upper], -1)
        return shares


def spread(features: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Each share times each feature [N, C F]."""
    return (shares[:, :, None] * features[:, None, :]).reshape(len(features), -1)
