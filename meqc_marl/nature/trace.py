"""The nature of episodes as arrays, generated from seeds.

Actions do not change nature, so an episode's nature is fixed before it starts. The same trace can be given to every
policy, kept in a file, and handed whole to the oracle.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError, shown
from meqc_marl.nature.drawing import draw_nature
from meqc_marl.nature.presence import without_the_absent
from meqc_marl.nature.slot import Equipment, Slot

__all__ = ["EQUIPMENT", "NATURE", "Equipment", "Slot", "Trace", "generate_trace"]

NATURE = {
    "gain": np.float32,
    "data_bits": np.float32,
    "cycles_per_bit": np.float32,
    "deadline_s": np.float32,
    "qubits": np.int32,
    "depth": np.int32,
}
"""Arrays [T, E, M] of a trace and how they are kept."""
EQUIPMENT = tuple(field.name for field in fields(Equipment))
"""Names of what a device owns."""
BYTES = sum(np.dtype(kind).itemsize for kind in NATURE.values()) + 2 * np.dtype(np.float32).itemsize
"""Of a device in a slot, its position included."""
MAX_DEVICE_SLOTS = 30_000_000
"""Devices times slots times rows of a trace, a gigabyte; whoever rolls policies over it needs some times as much."""


@dataclass(frozen=True)
class Trace:
    """Nature of E rows over T slots, kept compactly; ``slot`` and ``slots`` give it in float64.

    Attributes:
        gain, data_bits, cycles_per_bit, deadline_s: Float32 [T, E, M].
        qubits, depth: Int32 [T, E, M].
        position_m: Float32 [T, E, M, 2].
        equipment: Float64 [E, M] each.
        gates: Of the circuits on one and on two qubits, int32 [T, E, M, 2], below 0 where they are not known; None if
            nowhere.
        present: Whether a device is there, bool [T, E, M]; None if everybody is in every slot. What the other arrays
            hold of an absent device is looked at by nobody.
    """

    gain: np.ndarray
    data_bits: np.ndarray
    cycles_per_bit: np.ndarray
    deadline_s: np.ndarray
    qubits: np.ndarray
    depth: np.ndarray
    position_m: np.ndarray
    equipment: Equipment
    gates: np.ndarray | None = None
    present: np.ndarray | None = None

    @property
    def num_slots(self) -> int:
        """T."""
        return int(self.gain.shape[0])

    @property
    def num_envs(self) -> int:
        """E."""
        return int(self.gain.shape[1])

    @property
    def num_devices(self) -> int:
        """M."""
        return int(self.gain.shape[2])

    def slot(self, t: int) -> Slot:
        """Slot ``t``, [E, M]."""
        return self._at(t)

    def slots(self, start: int = 0, stop: int | None = None) -> Slot:
        """Slots from ``start`` up to ``stop``, [T, E, M]."""
        return self._at(slice(start, stop))

    def _at(self, when: int | slice) -> Slot:
        nature = {name: getattr(self, name)[when].astype(np.float64) for name in NATURE}
        gates = None if self.gates is None else self.gates[when].astype(np.float64)
        present = None if self.present is None else self.present[when]
        return Slot(**nature, position_m=self.position_m[when], equipment=self.equipment, gates=gates, present=present)

    def row(self, i: int) -> Trace:
        """Row ``i`` alone, E = 1."""
        return self.rows(i, i + 1)

    def rows(self, start: int, stop: int) -> Trace:
        """The rows from ``start`` up to ``stop``."""
        nature = {name: values[:, start:stop] for name, values in self._by_slot().items()}
        equipment = Equipment(**{name: getattr(self.equipment, name)[start:stop] for name in EQUIPMENT})
        return Trace(**nature, equipment=equipment)

    def window(self, start: int, stop: int | None = None) -> Trace:
        """The same rows between two slots."""
        nature: dict[str, Any] = {name: values[start:stop] for name, values in self._by_slot().items()}
        return replace(self, **nature)

    def _by_slot(self) -> dict[str, np.ndarray]:
        """Every array with slots and rows."""
        found = {name: getattr(self, name) for name in (*NATURE, "position_m")}
        return found | {name: each for name in _AT_TIMES if (each := getattr(self, name)) is not None}

    def with_presence(self, present: np.ndarray) -> Trace:
        """The same with devices that are there only where ``present`` [T, E, M] says so."""
        nature: dict[str, Any] = without_the_absent(
            {name: values for name, values in self._by_slot().items() if name != "present"}, present
        )
        return replace(self, **nature, present=present)

    @staticmethod
    def stack(rows: Sequence[Trace]) -> Trace:
        """Rows of several traces side by side."""
        for name, otherwise in _AT_TIMES.items():
            if any(getattr(row, name) is not None for row in rows):
                rows = [row if getattr(row, name) is not None else replace(row, **otherwise(row)) for row in rows]
        nature = {name: np.concatenate([row._by_slot()[name] for row in rows], axis=1) for name in rows[0]._by_slot()}
        equipment = {name: np.concatenate([getattr(row.equipment, name) for row in rows], axis=0) for name in EQUIPMENT}
        return Trace(**nature, equipment=Equipment(**equipment))


_AT_TIMES: dict[str, Callable[[Trace], dict[str, Any]]] = {
    "gates": lambda trace: {"gates": np.full((*trace.qubits.shape, 2), -1, np.int32)},
    "present": lambda trace: {"present": np.ones(trace.gain.shape, bool)},
}
"""Arrays that a trace may lack, and what stands for them beside rows that have them."""


def generate_trace(scenario: Scenario, seeds: Sequence[int], episode: int = 0, num_slots: int | None = None) -> Trace:
    """Draw the nature of one episode of every row.

    Row i depends on ``seeds[i]``, the episode, the scenario and the number of slots, and on nothing else: it has the
    same bits whatever rows stand beside it.

    Args:
        scenario: Parameters.
        seeds: Of the rows, non-negative integers.
        episode: Number of the episode; each has its own random stream.
        num_slots: T; the scenario's horizon if None.
    """
    if not isinstance(scenario, Scenario):
        raise InputError(f"scenario is {shown(scenario)}; it must be a Scenario, as load_scenario gives it.")
    if isinstance(seeds, (str, bytes)) or not hasattr(seeds, "__len__"):
        raise InputError(f"seeds is {shown(seeds)}; it must be a list of integers, one for each row.")
    num_slots = scenario.horizon if num_slots is None else checked_seed(num_slots, "num_slots")
    check_size(num_slots, len(seeds), scenario.num_devices)
    seeds = [checked_seed(seed) for seed in seeds]
    episode = checked_seed(episode, "episode")
    shape = (num_slots, len(seeds), scenario.num_devices)
    nature = {name: np.empty(shape, dtype) for name, dtype in NATURE.items()}
    nature["position_m"] = np.empty((*shape, 2), np.float32)
    if scenario.tasks.source == "circuits":
        nature["gates"] = np.empty((*shape, 2), np.int32)
    return Trace(**nature, equipment=draw_nature(scenario, seeds, episode, nature))


def check_size(num_slots: int, rows: int, num_devices: int) -> None:
    """Refuse a trace that holds nothing or more than fits, before any memory is taken for it."""
    if num_slots < 1 or rows < 1:
        raise InputError(
            f"a trace of {shown(num_slots)} slots and {shown(rows)} rows was asked for; both must be at least 1."
        )
    device_slots = num_slots * rows * num_devices
    if device_slots > MAX_DEVICE_SLOTS:
        raise InputError(
            f"a trace of {num_slots:.6g} slots, {rows:.6g} rows and {num_devices:,} devices takes "
            f"{device_slots * BYTES / 1e9:.3g} GB; at most {MAX_DEVICE_SLOTS:,} slots times rows times devices "
            f"({MAX_DEVICE_SLOTS * BYTES / 1e9:.1f} GB) are allowed."
        )


MAX_SEED = 2**128 - 1
"""As many bits as numpy's SeedSequence mixes."""


def checked_seed(seed: object, name: str = "seed") -> int:
    """A seed as an integer, also where it is one of another library.

    Raises:
        InputError: It is no whole number, or negative, or too large.
    """
    try:
        number = -1 if isinstance(seed, (bool, np.bool_)) or getattr(seed, "ndim", 0) else operator.index(seed)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        number = -1
    if not 0 <= number <= MAX_SEED:
        raise InputError(f"{name} is {shown(seed)}; it must be an integer of at least 0 and below 2^128.")
    return number
