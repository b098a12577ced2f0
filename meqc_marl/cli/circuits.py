"""``meqc-marl circuits``: what circuits take on a QPU, and a scenario with them as its tasks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tyro
from rich.table import Table

from meqc_marl.circuits import FAMILIES
from meqc_marl.cli.options import OutputFile, Overrides, ScenarioSource, scenario_with
from meqc_marl.config import PRESETS, Scenario, save_scenario
from meqc_marl.config.qpus import QPUS
from meqc_marl.files import check_outputs, replacing
from meqc_marl.physics.quantum import layer_time, success_probability
from meqc_marl.report.plain import plain_console

COLUMNS = ("circuit", "qubits", "depth", "gates_1", "gates_2", "run_s", "success", "admitted")


@dataclass(frozen=True)
class CircuitsCommand:
    """Transpile circuits and tell what they take; without any, list the families and the QPUs. Extra: quantum."""

    circuits: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FILE.qasm|FAMILY:SIZE")] = ()
    """OpenQASM 2 or 3, or a family and a size, as in qft:8; family:size:repetitions where it repeats."""
    scenario: ScenarioSource = "paper"
    """Preset or YAML file: whose QPU, basis and map."""
    overrides: Overrides = ()
    """Change a field, such as quantum.qpu=ibm-heron-r3; may be repeated."""
    csv: OutputFile = None
    """Write the table to this file as well."""
    yaml: OutputFile = None
    """Write the scenario with these circuits as its tasks."""

    def run(self) -> None:
        """Print a row for each circuit."""
        given = None if self.scenario in PRESETS else self.scenario
        check_outputs({"csv": self.csv, "yaml": self.yaml}, {"scenario": given})
        chosen = [f"tasks.circuits={json.dumps(self.circuits)}", "tasks.source=circuits"] if self.circuits else []
        scenario = scenario_with(self.scenario, [*self.overrides, *chosen])
        console = plain_console()
        if not self.circuits and self.csv is None and self.yaml is None:
            console.print(_families())
            console.print("\nQPUs: quantum.qpu=NAME", style="bold")
            for line in _qpus():
                console.print(line, highlight=False, markup=False)
            return
        rows = _rows(scenario)
        table = Table(title=f"QPU: {scenario.quantum.qpu}; {scenario.tasks.circuit_map} connected")
        for column in COLUMNS:
            table.add_column(column, justify="left" if column == "circuit" else "right", overflow="fold")
        for row in rows:
            table.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
        console.print(table)
        if self.csv is not None:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
            with replacing(self.csv) as file:
                file.write(text.getvalue().encode())
        if self.yaml is not None:
            save_scenario(scenario, self.yaml)


def _rows(scenario: Scenario) -> list[tuple[str | float, ...]]:
    """Counts of each circuit, the time of one run, its probability of success, and whether the QPU takes it."""
    quantum, rows = scenario.quantum, list[tuple[str | float, ...]]()
    most = scenario.devices.leased_qubits[1]
    for one in scenario.tasks.circuits:
        counts = (np.array(value, np.float64) for value in (one.qubits, one.depth, (one.gates_1, one.gates_2)))
        success = float(success_probability(quantum, *counts))
        takes = success >= quantum.min_success and quantum.qubits_counted * one.qubits <= most
        numbers = (one.qubits, one.depth, one.gates_1, one.gates_2)
        rows.append((one.name, *numbers, one.depth * layer_time(quantum), success, "yes" if takes else "no"))
    return rows


def _families() -> Table:
    table = Table(title="Families")
    for column in ("family", "sizes", "repeats", "what it is"):
        table.add_column(column)
    for name, family in FAMILIES.items():
        table.add_row(name, f"{family.least} to {family.most}", "yes" if family.repeats else "", family.meaning)
    return table


def _qpus() -> Iterator[str]:
    for name, qpu in QPUS.items():
        times = ", ".join(f"{time * 1e9:g} ns" for time in qpu.times_s)
        errors = ", ".join(f"{error:.2g}" for error in qpu.errors)
        yield f"{name}: {qpu.qubits} qubits, {qpu.neighbours} connected, gates {' '.join(qpu.basis)}"
        yield "    a gate on one qubit, on two, a measurement, medians"
        yield f"    take {times}"
        yield f"    fail at {errors}"
        yield f"    source: {qpu.source}"
