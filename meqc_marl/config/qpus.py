"""QPUs by name: gate times, error rates and qubits as published, each with its source.

None of them corrects errors: a qubit is a physical one, a gate fails at its own rate, and a layer of a circuit takes as
long as its slowest gate, one on two qubits. Measuring comes once, at the end, and is no part of a layer. Their energies
are not published; those of the model stay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_TRANSMONS = ("rz", "sx", "x")


class Qpu(NamedTuple):
    """One machine; times in s, errors as probabilities, medians over its qubits and pairs.

    Attributes:
        qubits: Physical qubits.
        times_s: Of a gate on one qubit, on two, and of a measurement.
        errors: The same.
        basis: Gates that it carries out, in Qiskit's names.
        neighbours: Which qubits are, as ``tasks.circuit_map``.
        source: Where the numbers are from.
    """

    qubits: int
    times_s: tuple[float, float, float]
    errors: tuple[float, float, float]
    basis: tuple[str, ...]
    neighbours: str
    source: str

    def fields(self) -> dict[str, Any]:
        """The fields of a scenario that it sets, by dotted name."""
        return {
            "quantum.tau_1_s": self.times_s[0],
            "quantum.tau_2_s": self.times_s[1],
            "quantum.tau_m_s": self.times_s[2],
            "quantum.steps_1": 0.0,
            "quantum.steps_2": 1.0,
            "quantum.steps_m": 0.0,
            "quantum.physical_per_logical": 1.0,
            "quantum.qubits_counted": 1.0,
            "quantum.concatenation": 0,
            "quantum.error_rate_1": self.errors[0],
            "quantum.error_rate": self.errors[1],
            "quantum.error_rate_m": self.errors[2],
            "devices.leased_qubits": (self.qubits, self.qubits),
            "tasks.circuit_basis": self.basis,
            "tasks.circuit_map": self.neighbours,
        }


def _ibm(name: str, day: str) -> str:
    return f"{name}, calibration of {day} in the package qiskit-ibm-runtime 0.51"


QPUS: dict[str, Qpu] = {
    "ibm-eagle": Qpu(
        *(127, (56.9e-9, 533e-9, 1216e-9), (2.4e-4, 7.5e-3, 2.0e-2), ("ecr", *_TRANSMONS), "heavy-hex"),
        _ibm("ibm_sherbrooke", "2025-02-26"),
    ),
    "ibm-heron-r2": Qpu(
        *(156, (36e-9, 68e-9, 2584e-9), (2.3e-4, 3.2e-3, 9.5e-3), ("cz", *_TRANSMONS), "heavy-hex"),
        _ibm("ibm_marrakesh", "2025-02-26"),
    ),
    "ibm-heron-r3": Qpu(
        *(156, (32e-9, 88e-9, 2584e-9), (2.0e-4, 1.5e-3, 4.5e-3), ("cz", *_TRANSMONS), "heavy-hex"),
        _ibm("ibm_pittsburgh", "2026-04-17"),
    ),
    "google-willow": Qpu(
        *(105, (25e-9, 42e-9, 600e-9), (4.0e-4, 3.4e-3, 7.2e-3), ("cz", "u"), "grid"),
        "willow_pink, Pauli errors of 2024-08-16 in the package cirq-google 1.7",
    ),
    "ionq-aria": Qpu(
        *(25, (135e-6, 600e-6, 300e-6), (5e-4, 4e-3, 3.9e-3), ("rxx", "rx", "ry", "rz"), "all"),
        "Microsoft, Azure Quantum, IonQ provider; time of a measurement: ionq_aria_25 in the package mqt-bench 2.3",
    ),
}
"""Name to machine."""
MODEL = "model"
"""The name of the machine that the fields' own defaults make up: the paper's, with error correction."""
QPU_FIELDS: tuple[str, ...] = tuple(dict.fromkeys(name for qpu in QPUS.values() for name in qpu.fields()))
"""What a name sets."""
REBUILD = ("quantum.qpu", "tasks.circuit_basis", "tasks.circuit_map", "tasks.circuit_level")
"""Fields after whose override circuits are built anew."""


def filled(fields: Any, name: Any, part: str) -> Any:
    """The fields of one part of a scenario, with those that the QPU sets and that are not given."""
    qpu = QPUS.get(name) if isinstance(name, str) else None
    if qpu is None or not isinstance(fields, dict):
        return fields
    own = {key.partition(".")[2]: value for key, value in qpu.fields().items() if key.startswith(f"{part}.")}
    return own | fields
