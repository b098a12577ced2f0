"""What people read about the fields of a scenario."""

from pathlib import Path

from meqc_marl.config import Scenario
from meqc_marl.config.describe import scenario_page, scenario_rows

PAGE = Path(__file__).parents[2] / "docs" / "scenario.md"


def test_the_page_is_the_model():
    assert PAGE.read_text(encoding="utf-8") == scenario_page()


def test_every_number_is_told_with_bounds_and_a_reason():
    for row in scenario_rows(Scenario()):
        if not isinstance(row.value, str) and row.name not in ("tasks.circuits", "tasks.circuit_basis"):
            assert " to " in row.allowed, row.name
            assert row.reason, row.name
        assert f"| `{row.name}` |" in scenario_page()
