"""A library of traces: data from which episodes are drawn, and a part that training does not see."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError, did_you_mean, shown
from meqc_marl.files import read_bytes
from meqc_marl.nature.trace import Trace, check_size
from meqc_marl.nature.trace_file import MAX_BYTES, parse_trace
from meqc_marl.uris import redacted

SHARE_HELD_OUT = 5
"""Where no rows are held out by name, the last fifth of the slots of every row is."""
MOST_FILES = 1_000
_FIXED = ("num_devices", "devices", "mobility", "tasks")
_FIXED_CHANNEL = ("carrier_hz", "path_loss_exponent", "min_distance_m", "shadowing_db", "fading", "rician_k")


def fixed_by_traces(field: str) -> bool:
    """Whether a field of a scenario says how nature is drawn, so that it has no effect where traces are given."""
    section, _, name = field.partition(".")
    return section in _FIXED or (section == "channel" and name in _FIXED_CHANNEL)


class TraceFile(BaseModel):
    """One file of a library.

    Attributes:
        where: An absolute path, or a URI.
        sha256: Of its content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    where: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name without folder and ending."""
        return _name(self.where)

    def content(self) -> bytes:
        """What is in it, if it is what it was.

        Raises:
            InputError: If it cannot be read or has changed.
        """
        content = _read(self.where)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise InputError(
                f"trace '{redacted(self.where)}' is another than the run was begun with: its checksum is not "
                f"{self.sha256[:12]}...; give the file back, or begin another run."
            )
        return content


class LibraryFiles(BaseModel):
    """A library as data: its files, and what is held out.

    Attributes:
        files: Of one or more rows each.
        held_out: Names of rows that training does not see: a file's, or ``name:row`` of a file of several rows. With
            none the last fifth of the slots of every row is held out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[TraceFile, ...]
    held_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, places: Sequence[str | Path], held_out: Sequence[str] = ()) -> LibraryFiles:
        """Files, or folders of them, on this machine or by URI.

        Raises:
            InputError: If there is none, one cannot be read, or two have one name.
        """
        wheres = [_absolute(where) for place in places for where in _files_at(str(place))]
        names = [_name(where) for where in wheres]
        if not wheres or len(wheres) > MOST_FILES:
            raise InputError(f"trace: {len(wheres):,} files are given; there must be from 1 to {MOST_FILES:,} (.npz).")
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"trace: two files are called {shown(twice[0])}; each must have a name of its own.")
        files = [TraceFile(where=where, sha256=hashlib.sha256(_read(where)).hexdigest()) for where in wheres]
        return cls(files=tuple(files), held_out=tuple(held_out))

    def identity(self) -> dict[str, Any]:
        """What a run that goes on must have in common: contents by name and what is held out, wherever it lies."""
        return {"held_out": list(self.held_out)} | {file.name: file.sha256 for file in self.files}


@dataclass(frozen=True, eq=False)
class Library:
    """Rows of nature [T, 1, M], of different T: those for training, and those held out."""

    training: tuple[Trace, ...]
    held_out: tuple[Trace, ...]

    @property
    def num_devices(self) -> int:
        """M."""
        return self.training[0].num_devices

    @property
    def comes_and_goes(self) -> bool:
        """Whether devices of some row do, in training or held out; then every row tells who is there."""
        return self.training[0].present is not None

    @property
    def num_slots(self) -> int:
        """Slots that every row for training has: the longest episode."""
        return min(row.num_slots for row in self.training)

    def draw(self, seeds: Sequence[int], episode: int, num_slots: int) -> Trace:
        """An episode of every row of a simulator: some row of the library from some slot on.

        Row i depends on ``seeds[i]`` and the episode, and not on the rows beside it.
        """
        drawn = []
        for seed in seeds:
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(episode,)))
            row = self.training[int(rng.integers(len(self.training)))]
            first = int(rng.integers(row.num_slots - num_slots + 1))
            drawn.append(row.window(first, first + num_slots))
        return Trace.stack(drawn)

    def held_out_trace(self, num_rows: int, num_slots: int) -> Trace:
        """The first held-out rows, as many as there are, from their beginning, all with so many slots at most."""
        slots = min(num_slots, *(row.num_slots for row in self.held_out))
        return Trace.stack([row.window(0, slots) for row in self.held_out[:num_rows]])


@lru_cache(maxsize=2)
def open_library(files: LibraryFiles, num_devices: int | None = None) -> Library:
    """Read a library.

    Args:
        files: Which.
        num_devices: Of the scenario; None takes any number, the same in all files.

    Raises:
        InputError: If a file is damaged, has changed or has another number of devices, or nothing is left for training
            or to be held out.
    """
    rows: dict[str, Trace] = {}
    of_file: dict[str, list[str]] = {}
    for file in files.files:
        trace = parse_trace(file.content(), redacted(file.where), num_devices)
        num_devices = trace.num_devices
        one = trace.num_envs == 1
        of_file[file.name] = [file.name if one else f"{file.name}:{row}" for row in range(trace.num_envs)]
        rows |= {name: trace.row(i) for i, name in enumerate(of_file[file.name])}
    check_size(sum(row.num_slots for row in rows.values()), 1, num_devices or 1)
    if any(row.present is not None for row in rows.values()):  # so that all episodes have the same arrays
        rows = {
            name: row if row.present is not None else replace(row, present=np.ones(row.gain.shape, bool))
            for name, row in rows.items()
        }
    if not files.held_out:
        return _split_by_time(rows)
    held: set[str] = set()
    for name in files.held_out:
        if name not in rows and name not in of_file:
            raise InputError(f"held-out {shown(name)} is no row of the library{did_you_mean(name, {*rows, *of_file})}")
        held.update(of_file.get(name, [name]))
    if len(held) == len(rows):
        raise InputError(f"held-out names all of the {len(rows)} row(s) of the library; one must be left to train on.")
    return _split(
        {name: row for name, row in rows.items() if name not in held},
        {name: row for name, row in rows.items() if name in held},
    )


def _split_by_time(rows: dict[str, Trace]) -> Library:
    for name, row in rows.items():
        if row.num_slots < SHARE_HELD_OUT:
            raise InputError(
                f"trace {shown(name)} has {row.num_slots} slots; to hold the last fifth of them out it must have "
                f"{SHARE_HELD_OUT} or more, or name rows to hold out (--held-out)."
            )
    cut = {name: row.num_slots - row.num_slots // SHARE_HELD_OUT for name, row in rows.items()}
    return _split(
        {name: row.window(0, cut[name]) for name, row in rows.items()},
        {name: row.window(cut[name]) for name, row in rows.items()},
    )


def _split(training: dict[str, Trace], held_out: dict[str, Trace]) -> Library:
    for part, rows in (("for training", training), ("held out", held_out)):
        for name, row in rows.items():
            if row.present is not None and not row.present.any():
                raise InputError(
                    f"trace {shown(name)} has nobody who is there in the {row.num_slots} slots {part}; name other rows "
                    "to hold out (--held-out), or cut the trace."
                )
    return Library(tuple(training.values()), tuple(held_out.values()))


def read_traces(places: Sequence[str | Path], scenario: Scenario | None = None) -> Trace:
    """All rows of several files side by side, with the slots that the shortest has.

    Args:
        places: Files, folders or URIs.
        scenario: For whose devices; None takes any number, the same in all files.

    Raises:
        InputError: See :func:`open_library`.
    """
    traces = [trace for _, trace in _each(places, scenario)]
    slots = min(trace.num_slots for trace in traces)
    check_size(slots, sum(trace.num_envs for trace in traces), traces[0].num_devices)
    return traces[0] if len(traces) == 1 else Trace.stack([trace.window(0, slots) for trace in traces])


def read_rows(places: Sequence[str | Path], scenario: Scenario) -> tuple[list[str], list[Trace]]:
    """All rows of several files, each with its name and all of its slots; arguments as for :func:`read_traces`."""
    names, rows = [], []
    for where, trace in _each(places, scenario):
        one = trace.num_envs == 1
        names += [_name(where) if one else f"{_name(where)}:{row}" for row in range(trace.num_envs)]
        rows += [trace.row(row) for row in range(trace.num_envs)]
    return names, rows


def _each(places: Sequence[str | Path], scenario: Scenario | None) -> list[tuple[str, Trace]]:
    """Where each file is, and what is in it."""
    traces: list[tuple[str, Trace]] = []
    num_devices = None if scenario is None else scenario.num_devices
    for where in (where for place in places for where in _files_at(str(place))):
        traces.append((where, parse_trace(_read(where), redacted(where), num_devices)))
        num_devices = traces[0][1].num_devices
    if not traces:
        raise InputError("trace: no file is given; give one or more (.npz).")
    return traces


def given_nature(given: Any, scenario: Scenario) -> Any:
    """A trace or library as the environment takes it: itself, or read from a file, or from a list of files."""
    if isinstance(given, (list, tuple)):
        return open_library(LibraryFiles.of(given), scenario.num_devices)
    if isinstance(given, LibraryFiles):
        return open_library(given, scenario.num_devices)
    return read_traces([given], scenario) if isinstance(given, (str, Path)) else given


def _name(where: str) -> str:
    return PurePosixPath(redacted(where) if "://" in where else where).name.removesuffix(".npz")


def _files_at(place: str) -> list[str]:
    """Paths or URIs of a file, or of the files of a folder."""
    if "://" in place:
        from meqc_marl.storage import Storage, patiently  # pyarrow: only who has a bucket pays for it

        storage = Storage.reading(place)
        if patiently(place, lambda: storage.sizes([storage.root]), "read")[0] is not None:
            return [place]
        names = patiently(place, lambda: storage.names(storage.root), "read")
        return [storage.uri_of(name) for name in sorted(names) if name.endswith(".npz")] or [place]
    folder = Path(place.replace("\0", ""))
    if folder.is_dir():
        found = [str(path) for path in sorted(folder.glob("*.npz"))]
        if not found:
            raise InputError(f"trace '{place}' is a folder without trace files (.npz).")
        return found
    return [place]


def _absolute(where: str) -> str:
    """For processes with working folders of their own."""
    return where if "://" in where or "\0" in where else str(Path(where).absolute())


def _read(where: str) -> bytes:
    what = f"trace '{redacted(where)}'"
    if "://" not in where:
        return read_bytes(where, what, MAX_BYTES)
    from meqc_marl.storage import Storage, patiently

    storage = Storage.reading(where)
    size = patiently(where, lambda: storage.sizes([storage.root]), "read")[0]
    if size is None:
        raise InputError(f"{what} cannot be read: there is no such file.")
    if size > MAX_BYTES:
        raise InputError(f"{what} has {size:,} bytes; at most {MAX_BYTES:,} are allowed.")
    return storage.read(storage.root) or b""
