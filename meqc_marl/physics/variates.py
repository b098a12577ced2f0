"""Random variates as functions of uniforms in [0, 1): one uniform (or pair) for each random quantity of nature.

Inverse transforms on whole arrays are several times faster than the generator's own normals, and keep the number of
draws independent of the options of the scenario, so that variants of a scenario share their randomness.
"""

from __future__ import annotations

import numpy as np

TWO_PI = 2.0 * np.pi


def standard_exponential(uniform: np.ndarray) -> np.ndarray:
    """Exponential variates of mean 1."""
    exponential: np.ndarray = -np.log1p(-uniform)
    return exponential


def standard_normal_pair(radius: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two independent standard normals from two uniforms (Box and Muller 1958)."""
    length = np.sqrt(2.0 * standard_exponential(radius))
    angle = TWO_PI * angle
    return length * np.cos(angle), length * np.sin(angle)


def standard_normal(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """One standard normal from two uniforms, the first of the pair."""
    return np.sqrt(2.0 * standard_exponential(radius)) * np.cos(TWO_PI * angle)


def uniform_between(low: float, high: float, uniform: np.ndarray) -> np.ndarray:
    """Uniform variates in [low, high]."""
    return low + (high - low) * uniform


def integer_below(count: int, uniform: np.ndarray) -> np.ndarray:
    """Uniform integers 0 ... count - 1 (int32); the minimum guards against rounding up to ``count``."""
    return np.minimum((uniform * count).astype(np.int32), count - 1)
