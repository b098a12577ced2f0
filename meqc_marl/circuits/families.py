"""Families of circuits by name and size, from Qiskit's library; a new one is a function here and a line in FAMILIES."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Family(NamedTuple):
    """A family of circuits.

    Attributes:
        make: From the size and the number of repetitions.
        least, most: Sizes.
        repeats: Whether repetitions mean something.
        meaning: What it is, and what its size counts.
    """

    make: Callable[[int, int], Any]
    least: int
    most: int
    repeats: bool
    meaning: str


def protein_qubits(residues: int) -> int:
    """Qubits of folding N residues on the tetrahedral lattice, counted: turns and interacting pairs.

    Robert et al., npj Quantum Information 7, 38 (2021): two qubits for each of N - 3 turns but one that symmetry fixes,
    and one for every pair of residues an odd number of at least 5 apart.
    """
    pairs = sum(1 for i in range(residues) for _ in range(i + 5, residues, 2))
    return 2 * (residues - 3) - 1 + pairs


def protein(residues: int, reps: int) -> Any:
    """The ansatz of Robert et al.: rotations about y, a chain of CX, and rotations again."""
    return real_amplitudes(protein_qubits(residues), reps)


def real_amplitudes(qubits: int, reps: int) -> Any:
    """Rotations about y and a chain of CX, ``reps`` times, and rotations; one repetition after the other."""
    from qiskit.circuit import library

    return library.real_amplitudes(qubits, reps=reps, entanglement="linear", insert_barriers=True)


def efficient_su2(qubits: int, reps: int) -> Any:
    """Rotations about y and z and a chain of CX, ``reps`` times, and rotations."""
    from qiskit.circuit import library

    return library.efficient_su2(qubits, reps=reps, entanglement="linear")


def ghz(qubits: int, _: int) -> Any:
    """All qubits alike: a Hadamard gate and a chain of CX."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def qft(qubits: int, _: int) -> Any:
    """The quantum Fourier transform, swaps included."""
    from qiskit.synthesis import synth_qft_full

    return synth_qft_full(qubits)


def qaoa(qubits: int, reps: int) -> Any:
    """QAOA of the largest cut of a ring: ZZ along its edges and rotations about x, ``reps`` times."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector

    cost, mix = ParameterVector("gamma", reps), ParameterVector("beta", reps)
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for repetition in range(reps):
        for qubit in range(qubits):
            circuit.rzz(cost[repetition], qubit, (qubit + 1) % qubits)
        circuit.rx(mix[repetition], range(qubits))
    return circuit


def quantum_volume(qubits: int, _: int) -> Any:
    """The square circuits of quantum volume, drawn with seed 0."""
    from qiskit.circuit import library

    return library.quantum_volume(qubits, seed=0)


FAMILIES: dict[str, Family] = {
    "protein": Family(protein, 7, 120, True, "folding a protein of as many residues, Robert et al. 2021"),
    "real-amplitudes": Family(real_amplitudes, 2, 4000, True, "rotations about y and a chain of CX"),
    "efficient-su2": Family(efficient_su2, 2, 2000, True, "rotations about y and z and a chain of CX"),
    "qaoa": Family(qaoa, 3, 1000, True, "largest cut of a ring by QAOA"),
    "ghz": Family(ghz, 2, 4000, False, "all qubits alike"),
    "qft": Family(qft, 2, 100, False, "quantum Fourier transform"),
    "quantum-volume": Family(quantum_volume, 2, 60, False, "random square circuits"),
}
"""Name to family. The largest sizes take seconds with all qubits connected."""
MOST_REPS = 100
