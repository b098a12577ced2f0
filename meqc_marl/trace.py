"""The nature of episodes as arrays: generate from seeds, save, load.

Actions do not change nature, so an episode's nature is fixed before it starts. The same trace can be given to every
policy, kept in a file, and handed whole to the oracle.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.config.io import replacing
from meqc_marl.errors import InputError
from meqc_marl.physics import channel as uplink
from meqc_marl.physics import equipment as devices
from meqc_marl.physics import mobility, tasks
from meqc_marl.physics.slot import Equipment, Slot
from meqc_marl.physics.variates import standard_normal, standard_normal_pair, uniform_between

__all__ = ["Equipment", "Slot", "Trace", "generate_trace", "load_trace", "save_trace"]

_NATURE = {
    "gain": np.float32,
    "data_bits": np.float32,
    "cycles_per_bit": np.float32,
    "deadline_s": np.float32,
    "qubits": np.int32,
    "depth": np.int32,
}
_EQUIPMENT = tuple(field.name for field in fields(Equipment))


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
        nature = {name: getattr(self, name)[t].astype(np.float64) for name in _NATURE}
        return Slot(**nature, position_m=self.position_m[t], equipment=self.equipment)

    def slots(self, start: int = 0, stop: int | None = None) -> Slot:
        """Slots from ``start`` up to ``stop``, [T, E, M]."""
        nature = {name: getattr(self, name)[start:stop].astype(np.float64) for name in _NATURE}
        return Slot(**nature, position_m=self.position_m[start:stop], equipment=self.equipment)

    def row(self, i: int) -> Trace:
        """Row ``i`` alone, E = 1."""
        nature = {name: getattr(self, name)[:, i : i + 1] for name in (*_NATURE, "position_m")}
        equipment = Equipment(**{name: getattr(self.equipment, name)[i : i + 1] for name in _EQUIPMENT})
        return Trace(**nature, equipment=equipment)

    @staticmethod
    def stack(rows: Sequence[Trace]) -> Trace:
        """Rows of several traces side by side."""
        nature = {
            name: np.concatenate([getattr(row, name) for row in rows], axis=1) for name in (*_NATURE, "position_m")
        }
        equipment = {
            name: np.concatenate([getattr(row.equipment, name) for row in rows], axis=0) for name in _EQUIPMENT
        }
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
    shape = (num_slots, len(seeds), scenario.num_devices)
    nature = {name: np.empty(shape, dtype) for name, dtype in _NATURE.items()}
    speed_normal, direction_normal, turn = (np.empty(shape, np.float32) for _ in range(3))
    start = np.empty((devices.NUM_UNIFORMS + mobility.NUM_UNIFORMS, *shape[1:]))
    block = np.empty((num_slots, scenario.num_devices), np.float32)

    for row, seed in enumerate(seeds):
        rng = np.random.default_rng(np.random.SeedSequence(_checked_seed(seed), spawn_key=(episode,)))
        start[:, row] = rng.random((len(start), scenario.num_devices))

        def draw(rng: np.random.Generator = rng) -> np.ndarray:
            return rng.random(block.shape, dtype=np.float32)

        speed_normal[:, row], direction_normal[:, row] = standard_normal_pair(draw(), draw())
        turn[:, row] = draw()
        nature["gain"][:, row] = uplink.shadowing(scenario.channel, standard_normal(draw(), draw()))
        nature["gain"][:, row] *= uplink.rician_power(scenario.channel, draw(), draw())
        residues, time_s = tasks.TASK_SOURCES[scenario.tasks.source](scenario.tasks, draw(), draw())
        nature["cycles_per_bit"][:, row] = tasks.cycles_per_bit(scenario.tasks, residues, time_s)
        qubits = tasks.logical_qubits(residues)
        nature["qubits"][:, row] = qubits
        nature["depth"][:, row] = tasks.circuit_depth(scenario.tasks, qubits)
        nature["data_bits"][:, row] = uniform_between(*scenario.tasks.data_bits, draw())
        nature["deadline_s"][:, row] = uniform_between(*scenario.tasks.deadline_s, draw())

    position_m = np.empty((*shape, 2), np.float32)
    first = mobility.draw_start(scenario.mobility, start[devices.NUM_UNIFORMS :])
    move = mobility.MOBILITY[scenario.mobility.kind]
    move(scenario.mobility, scenario.slot_s, first, speed_normal, direction_normal, turn, position_m)
    for t in range(num_slots):
        nature["gain"][t] *= uplink.path_gain(scenario.channel, position_m[t])
    equipment = devices.draw_equipment(scenario.devices, start[: devices.NUM_UNIFORMS])
    return Trace(**nature, position_m=position_m, equipment=equipment)


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed is {seed!r}; it must be an integer of at least 0")
    return int(seed)


def save_trace(trace: Trace, path: str | Path) -> None:
    """Write a trace as an npz file without pickle; the file is complete or, after a crash, untouched."""
    arrays = {name: getattr(trace, name) for name in (*_NATURE, "position_m")}
    arrays |= {f"equipment.{name}": getattr(trace.equipment, name) for name in _EQUIPMENT}
    with replacing(path) as file:
        np.savez(file, **arrays)


def load_trace(path: str | Path, scenario: Scenario) -> Trace:
    """Read a trace that ``save_trace`` or a user wrote.

    The file is an npz with the fields of ``Trace`` and ``equipment.cpu_hz`` and so on. A single row may leave out the
    axis E. ``position_m`` may be missing: it is for display only.

    Raises:
        InputError: Unreadable, or a field is missing, or has a wrong shape or a value that is not finite and positive.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, EOFError) as error:
        raise InputError(f"trace {path} cannot be read as an npz file: {error}") from None
    needed = [*_NATURE, *(f"equipment.{name}" for name in _EQUIPMENT)]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise InputError(f"trace {path} lacks {', '.join(missing)}; it must hold {', '.join(needed)}")

    def take(name: str, dtype: type, shape: tuple[int, ...] | None, with_row: int) -> np.ndarray:
        array = np.asarray(arrays[name])
        array = np.expand_dims(array, with_row) if one_row else array
        if array.dtype.kind not in "iuf":
            raise InputError(f"trace {path}: {name} holds {array.dtype}; it must hold numbers")
        if shape is not None and array.shape != shape:
            raise InputError(f"trace {path}: {name} has shape {array.shape}; it must be {shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            converted = array.astype(dtype)
        if not np.isfinite(array).all() or not np.isfinite(converted).all():
            raise InputError(f"trace {path}: {name} has a value that is not finite in {np.dtype(dtype)}")
        if np.dtype(dtype).kind == "i" and not np.array_equal(array, converted):
            raise InputError(f"trace {path}: {name} must be whole numbers below 2^31")
        return converted

    one_row = arrays["gain"].ndim == 2
    shape = arrays["gain"].shape if not one_row else (arrays["gain"].shape[0], 1, arrays["gain"].shape[1])
    if len(shape) != 3 or 0 in shape or shape[2] != scenario.num_devices:
        raise InputError(
            f"trace {path}: gain has shape {arrays['gain'].shape}; it must be [slots, rows, devices] or "
            f"[slots, devices], with {scenario.num_devices} devices as in the scenario"
        )
    nature = {name: take(name, dtype, shape, 1) for name, dtype in _NATURE.items()}
    if "position_m" in arrays:
        nature["position_m"] = take("position_m", np.float32, (*shape, 2), 1)
    else:
        nature["position_m"] = np.zeros((*shape, 2), np.float32)
    equipment = {name: take(f"equipment.{name}", np.float64, shape[1:], 0) for name in _EQUIPMENT}
    positive = {**{name: nature[name] for name in _NATURE}, **{f"equipment.{k}": v for k, v in equipment.items()}}
    for name, array in positive.items():
        may_be_zero = name.startswith("equipment.lambda") or name == "equipment.leased_qubits"
        if (array < 0).any() or (not may_be_zero and (array == 0).any()):
            least = "at least 0" if may_be_zero else "above 0"
            raise InputError(f"trace {path}: {name} has the value {array.min()}; it must be {least}")
    return Trace(**nature, equipment=Equipment(**equipment))
