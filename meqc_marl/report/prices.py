"""Prices that were searched, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from meqc_marl.config import Scenario
from meqc_marl.policies.toll.search import Found
from meqc_marl.report.tables import plain_table


def prices_table(scenario: Scenario, found: Mapping[str, Found]) -> Table:
    """What each policy charges, and its cost with penalties on the training traces, beside that without prices."""
    table = plain_table(
        f"{scenario.name}: prices of a second of the server and of the QPU, and their rise for a second of waiting",
        ("CPU", "QPU", "CPU\nrise", "QPU\nrise", "cost", "without", "tried"),
    )
    for name, each in found.items():
        numbers = vars(each.schedule)
        if name == "queue-drift":  # a weight is a rise from nothing
            numbers = {"cpu": 0.0, "qpu": 0.0, "cpu_slope": numbers["cpu"], "qpu_slope": numbers["qpu"]}
        table.add_row(
            name,
            *(f"{numbers[key]:.2f}" for key in ("cpu", "qpu")),
            *(f"{numbers[key]:.2f}" for key in ("cpu_slope", "qpu_slope")),
            f"{each.score:.2f}",
            f"{each.tried[0][1]:.2f}",
            str(len(each.tried)),
        )
    return table
