"""The nature of episodes as arrays, generated from seeds.

Actions do not change nature, so an episode's nature is fixed before it starts. The same trace can be given to every
policy, kept in a file, and handed whole to the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError
from meqc_marl.nature.drawing import draw_nature
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


@dataclass(frozen=True)
class Trace:
    """Nature of E rows over T slots, kept compactly; ``slot`` and ``slots`` give it in float64.

    Attributes:
        gain, data_bits, cycles_per_bit, deadline_s: Float32 [T, E, M].
        qubits, depth: Int32 [T, E, M].
        position_m: Float32 [T, E, M, 2].
        equipment: Float64 [E, M] each.
    """

    gain: np.ndarray
    data_bits: np.ndarray
    cycles_per_bit: np.ndarray
    deadline_s: np.ndarray
    qubits: np.ndarray
    depth: np.ndarray
    position_m: np.ndarray
    equipment: Equipment

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
        return Slot(**nature, position_m=self.position_m[when], equipment=self.equipment)

    def row(self, i: int) -> Trace:
        """Row ``i`` alone, E = 1."""
        nature = {name: getattr(self, name)[:, i : i + 1] for name in (*NATURE, "position_m")}
        equipment = Equipment(**{name: getattr(self.equipment, name)[i : i + 1] for name in EQUIPMENT})
        return Trace(**nature, equipment=equipment)

    def window(self, start: int, stop: int | None = None) -> Trace:
        """The same rows between two slots."""
        nature = {name: getattr(self, name)[start:stop] for name in (*NATURE, "position_m")}
        return replace(self, **nature)

    @staticmethod
    def stack(rows: Sequence[Trace]) -> Trace:
        """Rows of several traces side by side."""
        nature = {
            name: np.concatenate([getattr(row, name) for row in rows], axis=1) for name in (*NATURE, "position_m")
        }
        equipment = {name: np.concatenate([getattr(row.equipment, name) for row in rows], axis=0) for name in EQUIPMENT}
        return Trace(**nature, equipment=Equipment(**equipment))


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
    num_slots = scenario.horizon if num_slots is None else num_slots
    seeds = [_checked_seed(seed) for seed in seeds]
    shape = (num_slots, len(seeds), scenario.num_devices)
    if 0 in shape:
        raise InputError(f"a trace of {num_slots} slots and {len(seeds)} rows was asked for; both must be at least 1.")
    nature = {name: np.empty(shape, dtype) for name, dtype in NATURE.items()}
    nature["position_m"] = np.empty((*shape, 2), np.float32)
    return Trace(**nature, equipment=draw_nature(scenario, seeds, episode, nature))


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed is {seed!r}; it must be an integer of at least 0.")
    return int(seed)
