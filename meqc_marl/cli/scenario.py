"""``meqc-marl scenario``: show every number of a scenario, or check a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from meqc_marl.cli.options import OutputFile, Overrides, ScenarioSource
from meqc_marl.config import PRESETS, Scenario, load_scenario, save_scenario
from meqc_marl.config.describe import format_value, scenario_rows
from meqc_marl.files import check_outputs


@dataclass(frozen=True)
class Show:
    """Print every field with its value, unit, bounds and their reason, source and meaning."""

    scenario: Annotated[ScenarioSource, tyro.conf.Positional] = "paper"
    """Preset or YAML file."""
    overrides: Overrides = ()
    """Change a field, such as cost.latency=sequential; may be repeated."""
    yaml: OutputFile = None
    """Write the whole scenario to this YAML file as well."""

    def run(self) -> None:
        """Print and, if asked, write."""
        scenario = load_scenario(self.scenario, self.overrides)
        given = None if self.scenario in PRESETS else self.scenario
        check_outputs({"yaml": self.yaml}, {"scenario": given})
        table = Table(title=escape(f"scenario {scenario.name}"), caption=f"presets: {', '.join(PRESETS)}")
        for heading in ("name", "value", "unit", "source", "meaning"):
            table.add_column(heading, overflow="fold", no_wrap=heading == "name")
        section = None
        for row in scenario_rows(scenario):
            if section not in (None, row.name.rpartition(".")[0]):
                table.add_section()
            section = row.name.rpartition(".")[0]
            meaning = row.meaning + (f"\n{row.allowed}: {row.reason}" if row.reason else "")
            table.add_row(
                *(escape(format_value(cell)) for cell in (row.name, row.value, row.unit, row.source, meaning))
            )
        Console().print(table)
        if self.yaml is not None:
            save_scenario(scenario, self.yaml)


@dataclass(frozen=True)
class Check:
    """Check a scenario file and print in what it differs from the preset ``paper``."""

    file: tyro.conf.Positional[Path]
    """YAML file."""

    def run(self) -> None:
        """Print the differences; a bad file is an error."""
        scenario = load_scenario(self.file)
        console = Console(highlight=False)
        console.print(f"{self.file}: valid", markup=False)
        for row, usual in zip(scenario_rows(scenario), scenario_rows(Scenario()), strict=True):
            if row.value != usual.value:
                unit = f" {row.unit}" if row.unit else ""
                text = f"  {row.name} = {format_value(row.value)}{unit} (paper: {format_value(usual.value)})"
                console.print(text, markup=False)


@dataclass(frozen=True)
class ScenarioCommand:
    """Show or check a scenario."""

    action: Annotated[Show, tyro.conf.subcommand("show")] | Annotated[Check, tyro.conf.subcommand("check")]

    def run(self) -> None:
        """Run the chosen action."""
        self.action.run()
