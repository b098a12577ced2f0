"""A sum tree over an array of weights, for sampling in proportion to them; every call takes whole arrays."""

from __future__ import annotations

import numpy as np


class SumTree:
    """Non-negative weights of ``capacity`` items, zero at first.

    Args:
        capacity: Number of items.
    """

    def __init__(self, capacity: int) -> None:
        self._leaves = 1 << max(1, (capacity - 1).bit_length())
        # A heap: node 1 is the root, the children of i are 2i and 2i + 1, the leaves come last.
        self._nodes = np.zeros(2 * self._leaves)

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self._nodes[1])

    def get(self, index: np.ndarray) -> np.ndarray:
        """Weights [N] of items [N]."""
        weights: np.ndarray = self._nodes[self._leaves + index]
        return weights

    def set(self, index: np.ndarray, weight: np.ndarray) -> None:
        """Give items [N] weights [N]; of an item that comes twice the last counts."""
        node = self._leaves + index
        self._nodes[node] = weight
        while len(node) and node[0] > 1:
            node = np.unique(node >> 1)
            # Summed anew rather than changed by a difference, so that rounding errors do not add up.
            self._nodes[node] = self._nodes[2 * node] + self._nodes[2 * node + 1]

    def find(self, prefix: np.ndarray) -> np.ndarray:
        """The items [N] in whose share of the running sum of weights the values [N], in [0, total), lie."""
        node, rest = np.ones(len(prefix), np.int64), np.array(prefix, np.float64)
        while node[0] < self._leaves:
            left = self._nodes[2 * node]
            # Rounding may leave nothing on the right.
            right = (rest >= left) & (self._nodes[2 * node + 1] > 0)
            rest -= np.where(right, left, 0.0)
            node = 2 * node + right
        return node - self._leaves
