"""Devices that come and go: who is there, and what is told of those who are not.

``Trace.present`` says for every device-slot whether the device is there; None stands for everybody in every slot and
costs nothing. It goes with the slot to its work, prices and outcome. An absent device neither acts nor counts:

- It has no task: what its slot holds is :data:`NOTHING`, its cost is 0 wherever it would run, and LOCAL is all that is
  allowed (``Work.of``, ``PlaceCosts.admits``). So it is in no count of a pool and leaves no work behind.
- Its action is ignored (``OffloadingSimulator.preview``), its observation is zeros.
- Its virtual queue does not change, and is shown as 0 while it is away: so are its objective and its reward
  (``VirtualQueues.advance``, :func:`of_present`).
- Means over devices are over those who are there (:func:`mean_of_present`), those of a device over its present slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meqc_marl.errors import InputError

NOTHING: dict[str, float] = {
    "gain": 1.0,
    "data_bits": 1.0,
    "cycles_per_bit": 1.0,
    "deadline_s": 1.0,
    "qubits": 1,
    "depth": 1,
    "position_m": 0.0,
    "gates": 0,
}
"""What the arrays of a trace hold of an absent device, whatever was given: allowed values that nobody looks at."""

Axes = int | tuple[int, ...]


def of_present(values: Any, present: np.ndarray | None) -> Any:
    """The values of those who are there, and 0 for the others."""
    return values if present is None else np.where(present, values, 0)


def mean_of_present(values: np.ndarray, present: np.ndarray | None, axis: Axes, keepdims: bool = False) -> np.ndarray:
    """Mean over axes of device-slots of those who are there, in float64; 0 where nobody is."""
    if present is None:
        return np.asarray(values.mean(axis, dtype=np.float64, keepdims=keepdims))
    number = present.sum(axis, keepdims=keepdims)
    total = np.where(present, values, 0).sum(axis, dtype=np.float64, keepdims=keepdims)
    return np.asarray(total / np.maximum(number, 1))


def without_the_absent(nature: Mapping[str, np.ndarray], present: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays [T, E, M, ...] of a trace by name with :data:`NOTHING` where the device is absent."""
    return {
        name: np.where(present if values.ndim == present.ndim else present[..., None], values, NOTHING[name]).astype(
            values.dtype
        )
        for name, values in nature.items()
    }


def common_presence(given: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The presence [T, M] that all parts of a trace tell which tell any; None if none does.

    Raises:
        InputError: Two parts tell different things.
    """
    first: tuple[str, np.ndarray] | None = None
    for kind, present in given.items():
        if first is not None and (other := np.argwhere(present != first[1])).size:
            slot, device = other[0]
            there, away = (kind, first[0]) if present[slot, device] else (first[0], kind)
            raise InputError(
                f"{there} have device {device} in slot {slot} and {away} do not; what tells who is there must tell the "
                "same."
            )
        first = (kind, present)
    return None if first is None else first[1]


def check_present(what: str, present: np.ndarray) -> None:
    """Refuse rows [T, E, M] in which nobody is ever there."""
    if not (somebody := present.any((0, 2))).all():
        row = int(np.argmin(somebody))
        raise InputError(f"{what}: present is 0 for all devices and slots of row {row}; somebody must be there.")
