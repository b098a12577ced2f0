"""Random variates as functions of uniforms in [0, 1).

One uniform for each quantity, whatever the options of the scenario say: variants of a scenario share their randomness.
"""

from __future__ import annotations

import numpy as np


def uniform_between(low: float, high: float, uniform: np.ndarray) -> np.ndarray:
    """Uniform variates in [low, high]."""
    return low + (high - low) * uniform


def integer_below(count: int, uniform: np.ndarray) -> np.ndarray:
    """Uniform integers 0 ... count - 1 (int32); the minimum guards against rounding up to ``count``."""
    return np.minimum((uniform * count).astype(np.int32), count - 1)
