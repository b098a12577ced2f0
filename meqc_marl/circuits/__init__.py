"""Quantum circuits as numbers: read or made, transpiled to a basis and a coupling map, and counted.

Qiskit does the work; it comes with the extra ``quantum``. Nothing here is needed to run a scenario: its configuration
holds the numbers.
"""

from __future__ import annotations

from meqc_marl.circuits.counting import BASIS, GATES, MAPS, Counts, NoSuchCircuitError, count, is_built, target
from meqc_marl.circuits.families import FAMILIES

__all__ = ["BASIS", "FAMILIES", "GATES", "MAPS", "Counts", "NoSuchCircuitError", "count", "is_built", "target"]
