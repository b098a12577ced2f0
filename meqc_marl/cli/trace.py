"""``meqc-marl trace``: make a trace file of tables and movements, check one, or tell what is in one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from meqc_marl.cli.options import InputFile, OptionalInt, Overrides, ScenarioSource, scenario_with, trace_files
from meqc_marl.config import PRESETS
from meqc_marl.errors import InputError, shown, within
from meqc_marl.files import check_outputs
from meqc_marl.nature.building import build_trace, to_metres
from meqc_marl.nature.library import read_traces
from meqc_marl.nature.trace import EQUIPMENT, MAX_SEED, NATURE, Trace
from meqc_marl.nature.trace_file import load_any_trace, save_trace
from meqc_marl.report.bars import check_plot_path
from meqc_marl.report.plain import plain_console
from meqc_marl.report.trace_plot import save_trace_plot

OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]


@dataclass(frozen=True)
class Build:
    """Make a trace of one row from tables (.csv, .parquet) and movements; the rest is drawn by the scenario."""

    out: tyro.conf.Positional[Path]
    """Trace file to write (.npz)."""
    scenario: ScenarioSource = "paper"
    """Preset or YAML file: what is not given is drawn by it."""
    overrides: Overrides = ()
    """Change a field of the scenario; may be repeated."""
    tasks: InputFile = None
    """Columns slot, device and any of data_bits, cycles_per_bit or cycles, deadline_s, qubits, depth, and both or none
    of gates_1 and gates_2."""
    positions: InputFile = None
    """Columns slot, device, x, y."""
    movements: InputFile = None
    """In place of positions: SUMO's floating-car data (.xml), BonnMotion (.movements), ns-2 (.ns_movements, .tcl)."""
    gains: InputFile = None
    """Columns slot, device, gain."""
    equipment: InputFile = None
    """Column device and any of cpu_hz, tx_power_w, server_cpu_hz, leased_qubits, lambda_t, lambda_e."""
    access_point: tuple[float, float] = (0.0, 0.0)
    """Where the access point is on the map, x and y."""
    scale_m: float = 1.0
    """Metres of a unit of the map."""
    begin_s: OptionalFloat = None
    """Time of slot 0 in the movements; their first time step by default."""
    num_slots: OptionalInt = None
    """Slots to take of the movements; all by default."""
    num_devices: OptionalInt = None
    """Vehicles to take of the movements, in order of appearance; all who are there in every slot by default."""
    come_and_go: bool = False
    """Devices come and go: who has no row in a slot, or no place in the movements, is not there. Without it that is a
    mistake, and vehicles who are not there in every slot are left out."""
    seed: int = 0
    """Seed of what is drawn."""

    def run(self) -> None:
        """Read, build and write."""
        from meqc_marl.nature.tables import read_table  # only who builds pays for what they read with
        from meqc_marl.nature.waypoints import read_movements

        given = {name: getattr(self, name) for name in ("tasks", "positions", "movements", "gains", "equipment")}
        source = None if self.scenario in PRESETS else self.scenario
        check_outputs({"out": self.out}, given | {"scenario": source})
        self._check()
        scenario = scenario_with(self.scenario, self.overrides)
        known = {
            kind: read_table(kind, path, self.come_and_go)
            for kind, path in given.items()
            if path is not None and kind in ("tasks", "gains", "equipment")
        }
        place, present = None, None
        names: list[str] = []
        if self.positions is not None:
            table = read_table("positions", self.positions, self.come_and_go)
            present = table.get("present")
            place = to_metres(table["x"], table["y"], self.access_point, self.scale_m)
        elif self.movements is not None:
            names, way, present = read_movements(
                self.movements, scenario.slot_s, self.begin_s, self.num_slots, self.come_and_go
            )
            if self.num_devices is not None and self.num_devices > len(names):
                raise InputError(
                    f"num-devices is {self.num_devices}; of movements '{self.movements}' only {len(names)} are there "
                    + ("in any slot." if self.come_and_go else "in every slot.")
                )
            names = names[: self.num_devices]
            way, present = way[:, : self.num_devices], None if present is None else present[:, : self.num_devices]
            place = to_metres(way[..., 0], way[..., 1], self.access_point, self.scale_m)
        trace = build_trace(scenario, known, place, self.seed, present)
        save_trace(trace, self.out)
        console = plain_console()
        text = f"{self.out}: {trace.num_slots} slots, {trace.num_devices} devices{_who_is_there(trace)}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        if names:
            more = "" if len(names) <= 20 else f" and {len(names) - 20} more"
            text = f"devices from 0 on: {' '.join(map(shown, names[:20]))}{more}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
        text = f"use: meqc-marl compare --set num_devices={trace.num_devices} --trace {self.out}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _check(self) -> None:
        within("seed", self.seed, 0, MAX_SEED)
        if self.positions is not None and self.movements is not None:
            raise InputError("positions and movements are both given; give one of them.")
        counts = {"num-slots": self.num_slots, "num-devices": self.num_devices}
        for name, value in {**counts, "begin-s": self.begin_s}.items():
            if value is not None and self.movements is None:
                raise InputError(f"{name} is {value}; it is for movements, of which there are none.")
        for name, count in counts.items():
            if count is not None:
                within(name, count, 1, 10_000_000)
        if self.come_and_go and not any((self.tasks, self.positions, self.movements, self.gains)):
            raise InputError(
                "come-and-go is given; it is for tasks, positions, movements or gains, which tell who is there."
            )
        if not 1e-9 <= self.scale_m <= 1e9:
            raise InputError(f"scale-m is {self.scale_m}; it must be from 1e-9 to 1e9.")
        if not all(abs(value) <= 1e9 for value in (*self.access_point, self.begin_s or 0.0)):
            raise InputError("access-point and begin-s must be numbers from -1e9 to 1e9.")


@dataclass(frozen=True)
class Check:
    """Check a trace file; a bad one is an error."""

    file: tyro.conf.Positional[Path]
    """Trace file (.npz)."""

    def run(self) -> None:
        """Say how large it is."""
        trace = load_any_trace(self.file)
        text = f"{self.file}: valid, {trace.num_slots} slots, {trace.num_envs} rows, {trace.num_devices} devices"
        text += _who_is_there(trace)
        plain_console().print(text, highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Describe:
    """Print least, middle and largest value of every array of a trace file, of devices that are there."""

    file: tyro.conf.Positional[Path]
    """Trace file (.npz)."""

    def run(self) -> None:
        """Print a line for each array."""
        Check(self.file).run()
        trace = load_any_trace(self.file)
        for name, values in _arrays(trace).items():
            least, middle, largest = np.quantile(values, [0.0, 0.5, 1.0])
            print(f"{name:24} {least:12.6g} {middle:12.6g} {largest:12.6g}")


@dataclass(frozen=True)
class Join:
    """Put the rows of several trace files into one, with the slots that the shortest has."""

    out: tyro.conf.Positional[Path]
    """Trace file to write (.npz)."""
    files: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FILE")]
    """Trace files, folders of them, or URIs."""

    def run(self) -> None:
        """Read, join and write."""
        check_outputs({"out": self.out}, trace_files(self.files))
        trace = read_traces(self.files)
        save_trace(trace, self.out)
        Check(self.out).run()


@dataclass(frozen=True)
class Plot:
    """Draw what is in a trace file: where devices are, their gain and tasks over the slots, and their equipment."""

    file: tyro.conf.Positional[Path]
    """Trace file (.npz)."""
    plot: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """Picture to write (.png, .pdf or .svg)."""
    row: int = 0
    """Row to draw."""

    def run(self) -> None:
        """Read and draw."""
        check_plot_path(self.plot)
        check_outputs({"plot": self.plot}, {"trace": self.file})
        trace = load_any_trace(self.file)
        within("row", self.row, 0, trace.num_envs - 1)
        save_trace_plot(trace.row(self.row), self.plot)
        plain_console().print(f"picture: {self.plot}", highlight=False, markup=False, soft_wrap=True)


def _who_is_there(trace: Trace) -> str:
    """How many are there at a time, where devices come and go."""
    if trace.present is None:
        return ""
    number = trace.present.sum(-1)
    return f", of whom {number.mean():.3g} are there in the mean (from {number.min()} to {number.max()})"


def _arrays(trace: Trace) -> dict[str, np.ndarray]:
    distance_m = np.hypot(trace.position_m[..., 0], trace.position_m[..., 1])
    there = np.ones(trace.gain.shape, bool) if trace.present is None else trace.present
    return {
        **{name: getattr(trace, name)[there] for name in NATURE},
        **({} if trace.gates is None else {f"gates_{i + 1}": trace.gates[there][..., i] for i in (0, 1)}),
        "distance_m": distance_m[there],
        **{f"equipment.{name}": getattr(trace.equipment, name) for name in EQUIPMENT},
    }


@dataclass(frozen=True)
class TraceCommand:
    """Make, check, describe, join or draw trace files."""

    action: (
        Annotated[Build, tyro.conf.subcommand("build")]
        | Annotated[Check, tyro.conf.subcommand("check")]
        | Annotated[Describe, tyro.conf.subcommand("describe")]
        | Annotated[Join, tyro.conf.subcommand("join")]
        | Annotated[Plot, tyro.conf.subcommand("plot")]
    )

    def run(self) -> None:
        """Run the chosen action."""
        self.action.run()
