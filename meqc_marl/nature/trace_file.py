"""Traces in npz files: written whole, read without pickle, checked field by field."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError
from meqc_marl.files import replacing
from meqc_marl.nature.slot import Equipment
from meqc_marl.nature.trace import EQUIPMENT, NATURE, Trace

_MAY_BE_ZERO = ("equipment.leased_qubits", "equipment.lambda_t", "equipment.lambda_e")


def save_trace(trace: Trace, path: str | Path) -> None:
    """Write a trace as an npz file without pickle; the file is complete or, after a crash, untouched."""
    arrays = {name: getattr(trace, name) for name in (*NATURE, "position_m")}
    arrays |= {f"equipment.{name}": getattr(trace.equipment, name) for name in EQUIPMENT}
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

    nature = {name: take(name, dtype, shape, 1) for name, dtype in NATURE.items()}
    has_position = "position_m" in arrays
    position_m = take("position_m", np.float32, (*shape, 2), 1) if has_position else np.zeros((*shape, 2), np.float32)
    equipment = {name: take(f"equipment.{name}", np.float64, shape[1:], 0) for name in EQUIPMENT}
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
    needed = [*NATURE, *(f"equipment.{name}" for name in EQUIPMENT)]
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
