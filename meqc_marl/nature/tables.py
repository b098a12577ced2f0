"""Tables of tasks, positions, gains and equipment, from CSV and Parquet files, as the arrays of a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meqc_marl.config.quantity import plain
from meqc_marl.errors import InputError, did_you_mean, shown
from meqc_marl.files import open_regular
from meqc_marl.nature.presence import NOTHING
from meqc_marl.nature.trace import MAX_DEVICE_SLOTS
from meqc_marl.nature.trace_file import BOUNDS

_MAX_BYTES = 4_000_000_000
_FARTHEST_M = 1e7


class Kind(NamedTuple):
    """Columns of a kind of table: those that say where a row belongs, and those that may be there, with bounds."""

    keys: tuple[str, ...]
    columns: dict[str, tuple[float, float]]


_PRESENT = {"present": (0.0, 1.0)}
"""Whether the device is there in the slot; if not, the other cells of the row may hold anything."""
KINDS: dict[str, Kind] = {
    "tasks": Kind(
        ("slot", "device"),
        {name: BOUNDS[name] for name in ("data_bits", "cycles_per_bit", "deadline_s", "qubits", "depth")}
        | dict.fromkeys(("gates_1", "gates_2"), (0.0, float(np.iinfo(np.int32).max)))
        | {"cycles": (1e-15, 1e33)}
        | _PRESENT,
    ),
    "positions": Kind(("slot", "device"), dict.fromkeys(("x", "y"), (-_FARTHEST_M, _FARTHEST_M)) | _PRESENT),
    "gains": Kind(("slot", "device"), {"gain": BOUNDS["gain"]} | _PRESENT),
    "equipment": Kind(
        ("device",),
        {name.partition(".")[2]: bounds for name, bounds in BOUNDS.items() if name.startswith("equipment.")},
    ),
}
_NOBODYS = NOTHING | {"cycles": 1.0}
"""What the columns hold of who is not there."""
WHOLE = frozenset({"slot", "device", "qubits", "depth", "gates_1", "gates_2", "present"})
"""Columns of whole numbers."""


def read_table(kind: str, path: str | Path, come_and_go: bool = False) -> dict[str, np.ndarray]:
    """The columns of a table as float64 arrays, [T, M] or, for equipment, [M]; ``present`` as bool, if it is told.

    Every slot from 0 to T - 1 and every device from 0 to M - 1 must have one row.

    Args:
        kind: One of ``KINDS``.
        path: A file that ends in ``.csv`` or ``.parquet``.
        come_and_go: A row that lacks is no mistake: the device is not there in that slot.

    Raises:
        InputError: Unreadable, too large, a column is unknown or missing, a cell holds no number or one that is not
            allowed, or a row is there twice or not at all; the file, row and column are named.
    """
    keys, bounds = KINDS[kind]
    what = f"{kind} '{path}'"
    table = _read(what, path, [*keys, *bounds])
    _check_names(what, table.column_names, keys, tuple(bounds))
    if not 0 < table.num_rows <= MAX_DEVICE_SLOTS:
        raise InputError(f"{what} has {table.num_rows:,} rows; it must have from 1 to {MAX_DEVICE_SLOTS:,}.")
    most = float(MAX_DEVICE_SLOTS - 1)
    looked_at = np.ones(table.num_rows, bool)
    if "present" in table.column_names:
        looked_at = _numbers(what, "present", table.column("present"), bounds["present"], looked_at) > 0.0
    columns = {
        name: _numbers(
            *(what, name, table.column(name), bounds.get(name, (0.0, most))),
            looked_at | (name in (*keys, "present")),
        )
        for name in table.column_names
    }
    place = [columns.pop(key).astype(np.int64) for key in keys]
    shape = tuple(int(index.max()) + 1 for index in place)
    flat = np.zeros(1, np.int64)
    for index, size in zip(place, shape, strict=True):
        flat = flat * size + index
    order = np.argsort(flat, kind="stable")
    twice = np.flatnonzero(np.diff(flat[order]) == 0)
    if twice.size:
        row = int(order[twice[0] + 1])
        where = ", ".join(f"{key} {index[row]}" for key, index in zip(keys, place, strict=True))
        raise InputError(f"{what}, row {row + 1}: {where} is there twice; it must be there once.")
    whole = flat.size == np.prod([float(size) for size in shape])
    if come_and_go and not whole and len(shape) == 2:
        return _with_holes(columns, place, shape)
    if not whole:
        first = int(np.flatnonzero(np.append(flat[order], -1) != np.arange(flat.size + 1))[0])
        where = ", ".join(f"{key} {i}" for key, i in zip(keys, np.unravel_index(first, shape), strict=True))
        raise InputError(
            f"{what} lacks a row for {where}; it must have one for every {' and '.join(keys)}"
            + (", or say that devices come and go (--come-and-go)." if "present" in bounds else ".")
        )
    return _told({name: values[order].reshape(shape) for name, values in columns.items()})


def _with_holes(
    columns: dict[str, np.ndarray], place: list[np.ndarray], shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Columns [T, M] of rows [N]; who has none is not there."""
    if np.prod([float(size) for size in shape]) > MAX_DEVICE_SLOTS:
        raise InputError(
            f"slots to {shape[0] - 1:,} and devices to {shape[1] - 1:,} are more than {MAX_DEVICE_SLOTS:,} places."
        )
    filled = {name: np.full(shape, _NOBODYS.get(name, 0.0)) for name in {*columns, "present"}}
    for name, values in (columns if "present" in columns else columns | {"present": np.ones(len(place[0]))}).items():
        filled[name][tuple(place)] = values
    return _told(filled)


def _told(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns with ``present`` as truth values, if it is there."""
    return columns if "present" not in columns else columns | {"present": columns["present"] > 0.0}


def _read(what: str, path: str | Path, names: list[str]) -> Any:
    """The file as a table of pyarrow: of a CSV all cells as text, of Parquet the columns that are known."""
    import pyarrow  # comes with Ray; takes a moment, and only who brings tables pays for it
    from pyarrow import csv, parquet

    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"{what} ends in {shown(suffix)}; it must end in .csv or .parquet.")
    with open_regular(path, what, _MAX_BYTES) as file:
        try:
            if suffix == ".csv":
                text = csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()))
                return csv.read_csv(file, convert_options=text)
            opened = parquet.ParquetFile(file)
            if opened.metadata.num_rows > MAX_DEVICE_SLOTS:
                raise InputError(f"{what} has {opened.metadata.num_rows:,} rows; at most {MAX_DEVICE_SLOTS:,} may be.")
            unknown = [name for name in opened.schema_arrow.names if name not in names]
            return opened.read() if unknown and len(unknown) < 50 else opened.read(columns=names)
        except (pyarrow.ArrowException, OSError) as error:
            said = " ".join(str(error).split()).rstrip(".")
            raise InputError(f"{what} cannot be read as {suffix[1:]}: {shown(said)[1:-1]}.") from None


def _check_names(what: str, names: list[str], keys: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in (*keys, *known):
            raise InputError(f"{what} has a column {shown(name)}, which is not known{did_you_mean(name, known)}")
        if names.count(name) > 1:
            raise InputError(f"{what} has the column {shown(name)} twice; it must be there once.")
    missing = [key for key in keys if key not in names]
    if missing or len(names) == len(keys):
        wanted = ", ".join(missing) if missing else f"all of {', '.join(known)}"
        raise InputError(f"{what} lacks {wanted}; it must have {', '.join(keys)} and any of {', '.join(known)}.")
    if "x" in known and not {"x", "y"} <= set(names):
        raise InputError(f"{what} lacks x or y; it must have both.")
    if len({"gates_1", "gates_2"} & set(names)) == 1:
        raise InputError(f"{what} has one of gates_1 and gates_2; it must have both or none.")
    if "cycles" in names and ("cycles_per_bit" in names or "data_bits" not in names):
        raise InputError(f"{what} has cycles; it must have data_bits as well, and no cycles_per_bit.")


def _numbers(what: str, name: str, column: Any, bounds: tuple[float, float], looked_at: np.ndarray) -> np.ndarray:
    """One column as float64, each cell that is looked at a number within its bounds; the others as if nothing were."""
    cells = column.to_numpy()
    if cells.dtype.kind not in "iuf":
        values = np.full(len(cells), np.nan)
        for row in np.flatnonzero(looked_at).tolist():
            cell = cells[row]
            try:
                truth = isinstance(cell, (bool, np.bool_)) and name != "present"
                values[row] = np.nan if truth else float(cell)
            except (TypeError, ValueError, OverflowError):
                break  # what is told below: the first that is no number
    else:
        values = cells.astype(np.float64)
    with np.errstate(invalid="ignore"):
        wrong = ~((values >= bounds[0]) & (values <= bounds[1]))
        if name in WHOLE:
            wrong |= values != np.floor(values)
    wrong &= looked_at
    if wrong.any():
        row = int(np.argmax(wrong))
        number = "a whole number" if name in WHOLE else "a number"
        raise InputError(
            f"{what}, row {row + 1}, column {name}: {shown(cells[row])} is not allowed; it must be {number} "
            f"from {plain(bounds[0])} to {plain(bounds[1])}."
        )
    return values if looked_at.all() else np.where(looked_at, values, _NOBODYS.get(name, 0.0))
