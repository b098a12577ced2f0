"""Circuits as tasks: their numbers, and the texts that stand for circuits to be built when a scenario is read.

A scenario that is read holds numbers alone, so that whoever runs it needs neither Qiskit nor the files. Each circuit
keeps the text it was built from: an override of the basis, the map, the level or the QPU builds it anew.
"""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from meqc_marl.circuits import BASIS, GATES, NoSuchCircuitError, count, target
from meqc_marl.config.quantity import Part, choice, quantity
from meqc_marl.errors import did_you_mean, shown

MOST_COUNT = 2**31 - 1
_COUNT = (0, MOST_COUNT, "none, or as many as 32 bits count")
_AT_LEAST_ONE = (1, MOST_COUNT, "one, or as many as 32 bits count")


class Circuit(Part):
    """What a circuit takes."""

    name: str = choice("circuit", "", "name, for reports", max_length=200)
    built: str = choice("", "", "text it was built from; empty where the numbers were given", max_length=1000)
    target: str = choice("", "", "basis, map and level it was built for", max_length=1000)
    qubits: int = quantity(1, "qubit", "transpiled", "qubits o that any gate acts on", _AT_LEAST_ONE)
    depth: int = quantity(1, "layer", "transpiled", "depth l, gates one after the other", _AT_LEAST_ONE)
    gates_1: int = quantity(0, "gate", "transpiled", "gates on one qubit", _COUNT)
    gates_2: int = quantity(0, "gate", "transpiled", "gates on two qubits", _COUNT)
    cycles_per_bit: float | None = quantity(
        None,
        *("cycle/bit", "tasks.cycles_per_bit unless given", "CPU cycles per bit of the same task on a CPU"),
        (1e-3, 1e6, "from copying by whole cache lines to exhaustive search"),
    )

    @model_validator(mode="before")
    @classmethod
    def _has_the_numbers(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and (missing := {"qubits", "depth"} - set(fields)):
            if unknown := [str(name) for name in fields if name not in cls.model_fields]:
                raise ValueError(f"a circuit has no {shown(unknown[0])}; it may have {', '.join(cls.model_fields)}")
            raise ValueError(f"a circuit lacks {' and '.join(sorted(missing, reverse=True))}; both must be given")
        return fields


def _protein(residues: int, qubits: int) -> Circuit:
    name = f"protein:{residues}"
    return Circuit(
        name=name,
        built=name,
        target=target(BASIS, "all", 1),
        qubits=qubits,
        depth=qubits + 1,
        gates_1=2 * qubits,
        gates_2=qubits - 1,
    )


PROTEINS = (_protein(30, 222), _protein(60, 897), _protein(90, 2022))
"""The ansatz of Robert et al. 2021 for proteins of 30, 60 and 90 residues, in the default basis."""


def built(value: Any, basis: tuple[str, ...], coupling: str, level: int) -> Any:
    """The value of ``tasks.circuits`` with numbers in the place of texts.

    Raises:
        ValueError: A text stands for no circuit.
    """
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return [_numbers(one, basis, coupling, level) if isinstance(one, str) else one for one in value]


def _numbers(text: str, basis: tuple[str, ...], coupling: str, level: int) -> dict[str, Any]:
    try:
        counts = count(text, basis, coupling, level)
    except NoSuchCircuitError as error:
        raise ValueError(f"of {shown(text)}: {error}") from None
    return {"name": text[-200:], "built": text, "target": target(basis, coupling, level), **counts._asdict()}


def check_basis(basis: tuple[str, ...]) -> tuple[str, ...]:
    """The basis, if all its gates are known."""
    for name in basis:
        if name not in GATES:
            raise ValueError(f"{shown(name)} is no gate{did_you_mean(name, GATES).removesuffix('.')}")
    return basis


def unbuilt(circuits: Any) -> Any:
    """The same with the texts again, so that they are built anew; numbers that were given stay."""
    if not isinstance(circuits, list | tuple):
        return circuits
    return [one["built"] if isinstance(one, dict) and one.get("built") else one for one in circuits]
