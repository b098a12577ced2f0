"""The nature of episodes as arrays: generate from seeds, save, load.

Actions do not change nature, so an episode's nature is fixed before it starts. The same trace can be given to every
policy, kept in a file, and handed whole to the oracle.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError
from meqc_marl.files import replacing
from meqc_marl.physics.nature import draw_nature
from meqc_marl.physics.slot import Equipment, Slot

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
_MAY_BE_ZERO = ("equipment.leased_qubits", "equipment.lambda_t", "equipment.lambda_e")


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
        nature = {name: getattr(self, name)[when].astype(np.float64) for name in _NATURE}
        return Slot(**nature, position_m=self.position_m[when], equipment=self.equipment)

    def row(self, i: int) -> Trace:
        """Row ``i`` alone, E = 1."""
        nature = {name: getattr(self, name)[:, i : i + 1] for name in (*_NATURE, "position_m")}
        equipment = Equipment(**{name: getattr(self.equipment, name)[i : i + 1] for name in _EQUIPMENT})
        return Trace(**nature, equipment=equipment)

    def window(self, start: int, stop: int | None = None) -> Trace:
        """The same rows between two slots."""
        nature = {name: getattr(self, name)[start:stop] for name in (*_NATURE, "position_m")}
        return replace(self, **nature)

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
    seeds = [_checked_seed(seed) for seed in seeds]
    shape = (num_slots, len(seeds), scenario.num_devices)
    if 0 in shape:
        raise InputError(f"a trace of {num_slots} slots and {len(seeds)} rows was asked for; both must be at least 1.")
    nature = {name: np.empty(shape, dtype) for name, dtype in _NATURE.items()}
    nature["position_m"] = np.empty((*shape, 2), np.float32)
    return Trace(**nature, equipment=draw_nature(scenario, seeds, episode, nature))


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed is {seed!r}; it must be an integer of at least 0.")
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
    arrays = _read_arrays(path)
    given = arrays["gain"].shape
    one_row = len(given) == 2
    shape = (given[0], 1, given[1]) if one_row else given
    if len(shape) != 3 or 0 in shape or shape[2] != scenario.num_devices:
        raise InputError(
            f"trace '{path}': gain has shape {given}; it must be [slots, rows, devices] or [slots, devices], "
            f"with {scenario.num_devices} devices as in the scenario."
        )

    def take(name: str, dtype: type, wanted: tuple[int, ...], row_axis: int) -> np.ndarray:
        array = np.expand_dims(arrays[name], row_axis) if one_row else arrays[name]
        return _checked_array(f"trace '{path}': {name}", array, dtype, wanted)

    nature = {name: take(name, dtype, shape, 1) for name, dtype in _NATURE.items()}
    has_position = "position_m" in arrays
    position_m = take("position_m", np.float32, (*shape, 2), 1) if has_position else np.zeros((*shape, 2), np.float32)
    equipment = {name: take(f"equipment.{name}", np.float64, shape[1:], 0) for name in _EQUIPMENT}
    for name, array in (nature | {f"equipment.{name}": array for name, array in equipment.items()}).items():
        least = array.min()
        if least < 0 or (least == 0 and name not in _MAY_BE_ZERO):
            allowed = "at least 0" if name in _MAY_BE_ZERO else "above 0"
            raise InputError(f"trace '{path}': {name} has the value {least}; it must be {allowed}.")
    return Trace(**nature, position_m=position_m, equipment=Equipment(**equipment))


def _read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of an npz file that has all the needed fields."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise InputError(f"trace '{path}' cannot be read: {error.strerror or error}.") from None
    except (ValueError, AttributeError, TypeError, zipfile.BadZipFile, EOFError, zlib.error):
        raise InputError(f"trace '{path}' is damaged or of another kind; it must be an npz file of arrays.") from None
    needed = [*_NATURE, *(f"equipment.{name}" for name in _EQUIPMENT)]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise InputError(f"trace '{path}' lacks {', '.join(missing)}; it must hold {', '.join(needed)}.")
    return arrays


def _checked_array(name: str, array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """The array in the type of the trace, if it has the shape and nothing is lost but digits."""
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} holds {array.dtype}; it must hold numbers.")
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; it must be {shape}.")
    with np.errstate(over="ignore", invalid="ignore"):
        converted: np.ndarray = array.astype(dtype)
    wrong = ~(np.isfinite(array) & np.isfinite(converted))
    if wrong.any():
        raise InputError(f"{name} has the value {array[wrong][0]}; it must be finite in {np.dtype(dtype)}.")
    wrong = converted != array
    if converted.dtype.kind == "i" and wrong.any():
        raise InputError(f"{name} has the value {array[wrong][0]}; it must be a whole number below 2^31.")
    return converted
