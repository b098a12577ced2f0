"""Tasks: protein folding (V-D), with the cycles on a CPU and the size of the quantum circuit; or any circuits.

A new task source is one function from two uniforms to :class:`Drawn` and one line in ``TASK_SOURCES``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from meqc_marl.config.scenario import Tasks
from meqc_marl.nature.variates import integer_below, uniform_between


class Drawn(NamedTuple):
    """Tasks as a source draws them, data and deadline apart; arrays [T, M].

    Attributes:
        cycles_per_bit: CPU cycles per bit q.
        qubits: Logical qubits o.
        depth: Depth l of the circuit.
        gates: On one and on two qubits [T, M, 2]; None where the circuit's gates are not known.
    """

    cycles_per_bit: np.ndarray
    qubits: np.ndarray
    depth: np.ndarray
    gates: np.ndarray | None


Proteins = Callable[[Tasks, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Residues N (int32) and simulated time in s, from two uniforms."""


def uniform_proteins(tasks: Tasks, which: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residues N (int32) and simulated time in s, independent and uniform (V-D); from two uniforms."""
    low, high = tasks.residues
    return low + integer_below(high - low + 1, which), uniform_between(*tasks.simulated_time_s, time)


def fast_folders(tasks: Tasks, which: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residues N (int32) and simulated time in s of one of the proteins of Lindorff-Larsen et al. 2011."""
    residues, time_s = _fast_folders()
    index = integer_below(len(residues), which)
    return residues[index], time_s[index]


@lru_cache(maxsize=1)
def _fast_folders() -> tuple[np.ndarray, np.ndarray]:
    text = (resources.files("meqc_marl") / "data" / "fast_folders.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    residues = np.array([int(row["residues"]) for row in rows], np.int32)
    return residues, np.array([float(row["simulated_time_us"]) * 1e-6 for row in rows], np.float32)


def cycles_per_bit(tasks: Tasks, residues: np.ndarray, simulated_time_s: np.ndarray) -> np.ndarray:
    """CPU cycles per bit q: in proportion to the length of the protein and to the simulated time."""
    per_residue_second = tasks.cycles_per_bit / (tasks.reference_residues * tasks.reference_time_s)
    cycles: np.ndarray = residues.astype(simulated_time_s.dtype) * simulated_time_s * per_residue_second
    return cycles


def logical_qubits(residues: np.ndarray) -> np.ndarray:
    """Logical qubits o (int32) of folding N residues on the tetrahedral lattice.

    Robert et al., npj Quantum Information 7, 38 (2021), dense encoding without side chains: 2 (N - 3) - 1 qubits for
    the turns, and one for each pair of residues i < j with j - i odd and at least 5, which is floor((N - 4)^2 / 4).
    """
    past = residues - 4
    qubits: np.ndarray = 2 * past + 1 + (past * past >> 2)
    return qubits


def circuit_depth(tasks: Tasks, qubits: np.ndarray) -> np.ndarray:
    """Depth l of the RealAmplitudes ansatz: a chain of o CX layers for each repetition, and one layer more.

    One repetition after the other: in hardware the next may start down the chain before the last has reached its end,
    which takes o + 3 reps - 2 layers.
    """
    depth: np.ndarray = tasks.circuit_reps * qubits + 1
    return depth


def folding(proteins: Proteins) -> Callable[[Tasks, np.ndarray, np.ndarray], Drawn]:
    """Tasks of folding proteins, from what draws their residues and simulated times."""

    def draw(tasks: Tasks, which: np.ndarray, time: np.ndarray) -> Drawn:
        residues, time_s = proteins(tasks, which, time)
        qubits = logical_qubits(residues)
        return Drawn(cycles_per_bit(tasks, residues, time_s), qubits, circuit_depth(tasks, qubits), None)

    return draw


def any_circuits(tasks: Tasks, which: np.ndarray, _: np.ndarray) -> Drawn:
    """The circuits of the scenario, each as likely as the others."""
    index = integer_below(len(tasks.circuits), which)

    numbers = [(one.qubits, one.depth, one.gates_1, one.gates_2) for one in tasks.circuits]
    qubits, depth, *gates = np.array(numbers, np.int32).T
    cycles = [tasks.cycles_per_bit if one.cycles_per_bit is None else one.cycles_per_bit for one in tasks.circuits]
    return Drawn(np.array(cycles, np.float32)[index], qubits[index], depth[index], np.stack(gates, -1)[index])


TASK_SOURCES: dict[str, Callable[[Tasks, np.ndarray, np.ndarray], Drawn]] = {
    "uniform": folding(uniform_proteins),
    "fast-folders": folding(fast_folders),
    "circuits": any_circuits,
}
