"""Traces in npz files: written whole, read without pickle and within limits, checked field by field."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from meqc_marl.config import Scenario
from meqc_marl.config.quantity import Bounds, bounds_of, plain
from meqc_marl.errors import InputError, shown
from meqc_marl.files import open_regular, replacing
from meqc_marl.nature.channel import LARGEST_GAIN, LEAST_GAIN
from meqc_marl.nature.presence import NOTHING, check_present, without_the_absent
from meqc_marl.nature.slot import Equipment
from meqc_marl.nature.trace import BYTES, EQUIPMENT, MAX_DEVICE_SLOTS, NATURE, Trace, check_size

MAX_BYTES = 2 * BYTES * MAX_DEVICE_SLOTS
"""Of a file, and of what it unpacks to: the largest trace, in numbers of twice the width."""
_MAX_MEMBERS = 100


def _bounds() -> dict[str, tuple[float, float]]:
    """What a trace may hold: what a scenario may draw."""

    def of(part: Any, field: str) -> Bounds:
        bounds = bounds_of(part.model_fields[field])
        assert bounds is not None
        return bounds

    parts = {name: field.annotation for name, field in Scenario.model_fields.items()}
    devices, tasks = parts["devices"], parts["tasks"]
    most_qubits = float(np.iinfo(np.int32).max)
    nature = {
        "gain": (LEAST_GAIN, LARGEST_GAIN),
        "cycles_per_bit": (1e-15, 1e18),
        "qubits": (1.0, most_qubits),
        "depth": (1.0, most_qubits),
        "gates": (-1.0, most_qubits),
        **{name: of(tasks, name)[:2] for name in ("data_bits", "deadline_s")},
    }
    equipment = {
        "tx_power_w": (1e-6, 100.0),
        "leased_qubits": (0.0, of(devices, "leased_qubits").high),
        **{name: of(devices, name)[:2] for name in ("cpu_hz", "server_cpu_hz", "lambda_t", "lambda_e")},
    }
    return nature | {f"equipment.{name}": bounds for name, bounds in equipment.items()}


BOUNDS = _bounds()
"""Least and largest value of every array but the positions."""
_ROUNDING = 1e-6
"""Relative: numbers are kept in float32."""


def save_trace(trace: Trace, path: str | Path) -> None:
    """Write a trace as an npz file without pickle; the file is complete or, after a crash, untouched."""
    arrays = {name: getattr(trace, name) for name in (*NATURE, "position_m")}
    if trace.gates is not None:
        arrays["gates"] = trace.gates
    if trace.present is not None:
        arrays["present"] = trace.present.astype(np.uint8)
    arrays |= {f"equipment.{name}": getattr(trace.equipment, name) for name in EQUIPMENT}
    with replacing(path) as file:
        np.savez(file, **arrays)


def load_trace(path: str | Path, scenario: Scenario) -> Trace:
    """Read a trace that ``save_trace`` or a user wrote.

    The file is an npz with the fields of ``Trace`` and ``equipment.cpu_hz`` and so on. A single row may leave out the
    axis E. ``position_m`` may be missing: it is for display only. So may ``gates``: the circuits' gates are not known;
    and ``present``: everybody is there. Of an absent device the other arrays may hold anything.

    Raises:
        InputError: Unreadable, too large, or a field is missing, or has a wrong shape or a value outside its bounds.
    """
    return load_any_trace(path, scenario.num_devices)


def load_any_trace(path: str | Path, num_devices: int | None = None) -> Trace:
    """The same with any number of devices, or a given one."""
    with open_regular(path, f"trace '{path}'", MAX_BYTES) as opened:
        return _load(opened, path, num_devices)


def parse_trace(content: bytes, path: str | Path, num_devices: int | None = None) -> Trace:
    """The same of a file's content; ``path`` names it in sentences."""
    return _load(io.BytesIO(content), path, num_devices)


def _load(opened: BinaryIO, path: str | Path, num_devices: int | None) -> Trace:
    arrays = _read_arrays(opened, path)
    gain_shape = arrays["gain"].shape
    one_row = len(gain_shape) == 2
    shape = (gain_shape[0], 1, gain_shape[1]) if one_row else gain_shape
    if len(shape) != 3 or 0 in shape or num_devices not in (None, shape[2]):
        told = "" if num_devices is None else f", with {num_devices} devices as in the scenario"
        raise InputError(
            f"trace '{path}': gain has shape {shown(gain_shape)}; it must be [slots, rows, devices] or [slots, devices]"
            f"{told}."
        )
    check_size(*shape)

    def take(name: str, dtype: type, wanted: tuple[int, ...], row_axis: int) -> np.ndarray:
        array = arrays.pop(name)
        if one_row and array.ndim >= row_axis:
            array = np.expand_dims(array, row_axis)
        if present is not None and name in NOTHING and array.shape == wanted:
            array = without_the_absent({name: array}, present)[name]
        return _checked_array(f"trace '{path}': {name}", array, dtype, wanted, BOUNDS.get(name))

    present: np.ndarray | None = None
    if "present" in arrays:
        arrays["present"] = arrays["present"].astype(np.float64)  # truth values, too
        given = take("present", np.float64, shape, 1)
        if (other := ~np.isin(given, (0.0, 1.0))).any():
            raise InputError(f"trace '{path}': present has the value {given[other][0]:g}; it must be 0 or 1.")
        present = given == 1.0
        check_present(f"trace '{path}'", present)
    nature = {name: take(name, dtype, shape, 1) for name, dtype in NATURE.items()}
    has_position = "position_m" in arrays
    position_m = take("position_m", np.float32, (*shape, 2), 1) if has_position else np.zeros((*shape, 2), np.float32)
    gates = take("gates", np.int32, (*shape, 2), 1) if "gates" in arrays else None
    equipment = {name: take(f"equipment.{name}", np.float64, shape[1:], 0) for name in EQUIPMENT}
    if not (equipment["lambda_t"].any() or equipment["lambda_e"].any()):
        raise InputError(f"trace '{path}': equipment.lambda_t and lambda_e are all 0; one must be above 0.")
    return Trace(**nature, position_m=position_m, equipment=Equipment(**equipment), gates=gates, present=present)


def _read_arrays(opened: BinaryIO, path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of an npz file that has all the needed fields; others in it are not looked at."""
    needed = [*NATURE, *(f"equipment.{name}" for name in EQUIPMENT)]
    try:
        with zipfile.ZipFile(opened) as archive:
            members = _members(path, archive.infolist())
            missing = [name for name in needed if name not in members]
            if missing:
                raise InputError(f"trace '{path}' lacks {', '.join(missing)}; it must hold {', '.join(needed)}.")
            wanted = [*needed, *(name for name in ("position_m", "gates", "present") if name in members)]
            return {name: _read_array(f"trace '{path}': {name}", archive, members[name]) for name in wanted}
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"trace '{path}' cannot be read: {error.strerror or error}.") from None
    except Exception:  # zipfile and the decompressors raise a dozen kinds on a damaged archive, each its own
        raise InputError(f"trace '{path}' is damaged or of another kind; it must be an npz file of arrays.") from None


def _members(path: str | Path, entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The arrays of an archive by name, each once, and all together no larger than a trace may be."""
    if len(entries) > _MAX_MEMBERS:
        raise InputError(f"trace '{path}' has {len(entries):,} members; at most {_MAX_MEMBERS} are allowed.")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_BYTES:
        raise InputError(f"trace '{path}' unpacks to {unpacked:,} bytes; at most {MAX_BYTES:,} are allowed.")
    members: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename.removesuffix(".npy")
        if name in members:
            raise InputError(f"trace '{path}' holds {shown(name)} twice; each array must be there once.")
        members[name] = entry
    return members


def _read_array(what: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One array; its header is held to what the archive says of its size before memory is taken."""
    with archive.open(entry) as member:
        version = npy.read_magic(member)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read_header is None:  # version 3 is for field names that are no latin
            raise ValueError(f"format {version}")
        shape, fortran_order, dtype = read_header(member)
        kinds = "iufb" if entry.filename.removesuffix(".npy") == "present" else "iuf"
        if dtype.kind not in kinds or dtype.itemsize > 8:
            raise InputError(f"{what} holds {shown(str(dtype))}; it must hold numbers of at most 64 bits.")
        content = member.read()  # no more than the archive says, which has been checked
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise ValueError("of another size than its header says")
        return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")


def _checked_array(
    name: str, array: np.ndarray, dtype: type, shape: tuple[int, ...], bounds: tuple[float, float] | None
) -> np.ndarray:
    """The array in the type of the trace, if it has the shape, nothing is lost but digits, and it is within bounds."""
    if array.shape != shape:
        raise InputError(f"{name} has shape {shown(array.shape)}; it must be {shown(shape)}.")
    with np.errstate(over="ignore", invalid="ignore"):
        converted: np.ndarray = np.ascontiguousarray(array.astype(dtype))
    wrong = ~(np.isfinite(array) & np.isfinite(converted))
    if wrong.any():
        raise InputError(f"{name} has the value {array[wrong][0]}; it must be finite in {np.dtype(dtype)}.")
    wrong = converted != array
    if converted.dtype.kind == "i" and wrong.any():
        raise InputError(f"{name} has the value {array[wrong][0]}; it must be a whole number below 2^31.")
    if bounds is not None:
        low, high = bounds[0] - abs(bounds[0]) * _ROUNDING, bounds[1] * (1.0 + _ROUNDING)
        wrong = (converted < low) | (converted > high)
        if wrong.any():
            raise InputError(
                f"{name} has the value {array[wrong][0]}; it must be from {plain(bounds[0])} to {plain(bounds[1])}."
            )
    return converted
