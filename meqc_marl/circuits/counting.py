"""What a circuit takes once it is transpiled: qubits, depth, and gates on one and on two qubits."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from meqc_marl.circuits.families import FAMILIES, MOST_REPS
from meqc_marl.errors import InputError, did_you_mean, how_to_install, shown
from meqc_marl.files import read_text

BASIS = ("cx", "h", "x", "y", "z", "s", "sdg", "t", "tdg", "rx", "ry", "rz")
"""What an error-corrected machine is asked for: any rotation, and CX."""
_GATES = (
    "c3sx ccx ccz ch cp crx cry crz cs csdg cswap csx cu cu1 cu3 cx cy cz dcx ecr h id iswap p r rcccx rccx rx rxx ry "
    "ryy rz rzx rzz s sdg swap sx sxdg t tdg u u1 u2 u3 x xx_minus_yy xx_plus_yy y z"
)
GATES = tuple(_GATES.split())
"""Of which a basis may be made: those that Qiskit knows by name."""
MAPS = ("all", "line", "ring", "grid", "heavy-hex")
"""Which qubits are neighbours; of each the smallest that holds the circuit."""
_MAX_BYTES = 10_000_000
_MAX_GATES = 2_000_000
MOST_ROUTED = 1200
"""Qubits of a circuit that is led between neighbours, which takes ten seconds at this size; with all connected, any."""
_FREE = ("sx", "rxx")
"""With one of these in the basis, as on transmons and ions, rotations about z are a change of frame: they take no time
and do not fail."""
_MAX_REGISTER = 100_000
_SIZES = re.compile(r"\[\s*(\d[\d_]*)|\bconst\b[^;=]*=\s*(\d[\d_]*)")
"""Numbers that may be the size of a register: memory is taken for it as soon as it is read."""
_NO_GATES = frozenset({"barrier", "measure", "reset", "delay", "id", "snapshot", "global_phase"})
_FAMILY = re.compile(r"([a-z0-9-]+):(\d{1,9})(?::(\d{1,9}))?")


class NoSuchCircuitError(ValueError):
    """Why a text stands for no circuit: the second half of a sentence about it."""


def target(basis: tuple[str, ...], coupling: str, level: int) -> str:
    """What a circuit was transpiled to, in words."""
    return f"{' '.join(basis)}; {coupling}; {level}"


class Counts(NamedTuple):
    """What a transpiled circuit takes.

    Attributes:
        qubits: That any gate acts on.
        depth: Gates one after the other, along the longest way.
        gates_1, gates_2: On one qubit, and on two.
    """

    qubits: int
    depth: int
    gates_1: int
    gates_2: int


def is_built(text: str) -> bool:
    """Whether a text is of a form that :func:`count` takes."""
    return text.lower().endswith((".qasm", ".qasm3")) or _FAMILY.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def count(text: str, basis: tuple[str, ...] = BASIS, coupling: str = "all", level: int = 1) -> Counts:
    """Read or make a circuit, transpile it and count.

    Args:
        text: A file of OpenQASM 2 or 3 (``.qasm``), or ``family:size`` or ``family:size:repetitions``.
        basis: Names of gates, as Qiskit has them.
        coupling: One of :data:`MAPS`.
        level: How hard the transpiler tries, 0 to 3; its seed is 0.

    Raises:
        NoSuchCircuitError: It cannot be read, made or transpiled, or Qiskit is not installed.
    """
    if not is_built(text):
        name = text.partition(":")[0]
        hint = did_you_mean(name, FAMILIES).removesuffix(".") if ":" in text else ""
        raise NoSuchCircuitError(f"it must be a file that ends in .qasm, family:size or a circuit's numbers{hint}")
    if importlib.util.find_spec("qiskit") is None:
        raise NoSuchCircuitError(f"it is built with Qiskit; {how_to_install('quantum')}")
    circuit = _made(text) if (found := _FAMILY.fullmatch(text)) and found[1] in FAMILIES else _read(text)
    return _counted(_transpiled(circuit, basis, coupling, level), basis)


def _made(text: str) -> Any:
    found = _FAMILY.fullmatch(text)
    assert found is not None
    family, size = FAMILIES[found[1]], int(found[2])
    if not family.least <= size <= family.most:
        raise NoSuchCircuitError(f"the size of {found[1]} must be from {family.least} to {family.most:,}")
    reps = 1 if found[3] is None else int(found[3])
    if found[3] is not None and not family.repeats:
        raise NoSuchCircuitError(f"{found[1]} has no repetitions; it must be {found[1]}:{size}")
    if not 1 <= reps <= MOST_REPS:
        raise NoSuchCircuitError(f"its repetitions must be from 1 to {MOST_REPS}")
    return family.make(size, reps)


def _read(text: str) -> Any:
    """A circuit of a file of OpenQASM."""
    if not text.lower().endswith((".qasm", ".qasm3")):
        name = text.partition(":")[0]
        raise NoSuchCircuitError(f"{shown(name)} is no family{did_you_mean(name, FAMILIES).removesuffix('.')}")
    from qiskit import qasm2, qasm3

    try:
        program = read_text(Path(text), "the file", _MAX_BYTES)
    except InputError as error:
        raise NoSuchCircuitError(str(error).removesuffix(".")) from None
    stripped = re.sub(r"//[^\n]*|/\*.*?\*/", " ", program, flags=re.DOTALL)
    for number in (found[1] or found[2] for found in _SIZES.finditer(stripped)):
        if len(number) > 12 or int(number) > _MAX_REGISTER:
            raise NoSuchCircuitError(f"{shown(number)[1:-1]} in it is too large; a register may have {_MAX_REGISTER:,}")
    version = re.search(r"OPENQASM\s+(\d+)", stripped)
    try:
        if version is not None and version[1] == "2":
            return qasm2.loads(program, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
        if version is not None and version[1] != "3":
            raise NoSuchCircuitError(f"its version is OPENQASM {version[1]}; it must be 2 or 3")
        return qasm3.loads(program)
    except NoSuchCircuitError:
        raise
    except Exception as error:  # the parsers raise many kinds, each its own
        said = " ".join(str(error).split()).strip("\"'").rstrip(".")
        raise NoSuchCircuitError(f"it cannot be read as OpenQASM ({shown(said)[1:-1]})") from None


def _coupling(kind: str, qubits: int) -> Any:
    from qiskit.transpiler import CouplingMap

    if kind == "line":
        return CouplingMap.from_line(qubits)
    if kind == "ring":
        return CouplingMap.from_ring(qubits)
    if kind == "grid":
        side = 1
        while side * side < qubits:
            side += 1
        return CouplingMap.from_grid(side, side)
    distance = 3
    while (5 * distance * distance - 2 * distance - 1) // 2 < qubits:
        distance += 2
    return CouplingMap.from_heavy_hex(distance)


def _transpiled(circuit: Any, basis: tuple[str, ...], coupling: str, level: int) -> Any:
    """In the basis, between neighbours alone."""
    from qiskit import transpile
    from qiskit.circuit import ControlFlowOp

    if any(isinstance(instruction.operation, ControlFlowOp) for instruction in circuit.data):
        raise NoSuchCircuitError("it branches or loops, so that its depth is not known beforehand")
    size = _size(circuit, {})
    if not 1 <= size <= _MAX_GATES:
        raise NoSuchCircuitError(f"it has {size:,} operations; it must have from 1 to {_MAX_GATES:,}")
    if coupling != "all" and circuit.num_qubits > MOST_ROUTED:
        raise NoSuchCircuitError(
            f"it has {circuit.num_qubits:,} qubits; between neighbours it may have {MOST_ROUTED:,}, and more with "
            "tasks.circuit_map=all"
        )
    neighbours = None if coupling == "all" else _coupling(coupling, circuit.num_qubits)
    try:
        return transpile(
            circuit,
            basis_gates=list(basis),
            coupling_map=neighbours,
            optimization_level=level,
            seed_transpiler=0,
            num_processes=1,
        )
    except Exception as error:  # the passes raise many kinds, each its own
        said = " ".join(str(error).split()).strip("\"'").rstrip(".")
        raise NoSuchCircuitError(f"it cannot be transpiled to {', '.join(basis)} ({shown(said)[1:-1]})") from None


def _size(circuit: Any, known: dict[str, int]) -> int:
    """Operations of a circuit with its own gates written out, of which each kind is looked into once."""
    total = 0
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name not in known:
            definition = None if operation.name in GATES or operation.name in _NO_GATES else operation.definition
            known[operation.name] = 1 if definition is None else max(1, _size(definition, known))
        total += known[operation.name]
    return total


def _counted(circuit: Any, basis: tuple[str, ...]) -> Counts:
    free = _NO_GATES | ({"rz"} if set(basis) & set(_FREE) else set())

    def counts(instruction: Any) -> bool:
        return instruction.operation.name not in free

    gates = [instruction for instruction in circuit.data if counts(instruction)]
    on_one = sum(1 for instruction in gates if len(instruction.qubits) == 1)
    touched = {
        qubit for instruction in circuit.data if instruction.operation.name != "barrier" for qubit in instruction.qubits
    }
    if not touched:
        raise NoSuchCircuitError("it has no gate")
    return Counts(len(touched), max(1, int(circuit.depth(counts))), on_one, len(gates) - on_one)
