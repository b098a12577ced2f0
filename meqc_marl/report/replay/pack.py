"""Columns of device-slots in few bytes: quantised, one after another, compressed as a whole."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import numpy as np


class Pack:
    """Collects columns [T, M] for the page, which knows how to read them (``decode.js``)."""

    def __init__(self) -> None:
        self.about: dict[str, dict[str, Any]] = {}
        self._parts: list[bytes] = []
        self._length = 0

    def add(self, name: str, values: np.ndarray, num_bytes: int = 2, log: bool = False) -> None:
        """Add a column as whole numbers of one or two bytes between its ends.

        Args:
            name: Of the column.
            values: [T, M].
            num_bytes: 1 or 2.
            log: In the logarithm of one plus the value: for values of at least 0 that differ by orders of magnitude.
        """
        values = np.log1p(values) if log else np.asarray(values, np.float64)
        steps = 2 ** (8 * num_bytes) - 1
        low, high = float(values.min()), float(values.max())
        codes = np.rint((values - low) / (high - low or 1.0) * steps)
        self._append(name, codes, num_bytes, {"low": low, "high": high, "steps": steps, "log": log})

    def add_codes(self, name: str, codes: np.ndarray) -> None:
        """Add a column of whole numbers below 256."""
        self._append(name, codes, 1, {"low": 0.0, "high": 255.0, "steps": 255, "log": False})

    def _append(self, name: str, codes: np.ndarray, num_bytes: int, about: dict[str, Any]) -> None:
        padding = self._length % num_bytes
        part = b"\0" * padding + codes.astype("<u2" if num_bytes == 2 else "u1").tobytes()
        self.about[name] = {"offset": self._length + padding, "bytes": num_bytes} | about
        self._parts.append(part)
        self._length += len(part)

    def text(self) -> str:
        """All columns, compressed, in base64; the same for the same columns."""
        return base64.b64encode(gzip.compress(b"".join(self._parts), mtime=0)).decode("ascii")
