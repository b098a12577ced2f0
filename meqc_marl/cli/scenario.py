"""``meqc-marl scenario``: show every number of a scenario, or check a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from meqc_marl.cli.options import OutputFile, Overrides, ScenarioSource, scenario_with
from meqc_marl.config import PRESETS, Scenario, changes, load_scenario, save_scenario
from meqc_marl.config.describe import FieldRow, format_value, scenario_rows
from meqc_marl.config.idle import idle_fields
from meqc_marl.files import check_outputs
from meqc_marl.report.plain import plain_console

_TABLE_WIDTH = 120
"""Columns from which on a table of five columns can be read."""


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
        scenario = scenario_with(self.scenario, self.overrides)
        given = None if self.scenario in PRESETS else self.scenario
        check_outputs({"yaml": self.yaml}, {"scenario": given})
        console = plain_console()
        if not console.is_terminal:
            _print_lines(scenario)
        elif console.width < _TABLE_WIDTH:
            _print_blocks(scenario, console)
        else:
            _print_table(scenario, console)
        if self.yaml is not None:
            save_scenario(scenario, self.yaml)


def _print_table(scenario: Scenario, console: Console) -> None:
    """A column for each part of a field."""
    table = Table(title=f"scenario {scenario.name}", caption=f"presets: {', '.join(PRESETS)}")
    for heading in ("name", "value", "unit", "source", "meaning"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    section = None
    for row in scenario_rows(scenario):
        if section not in (None, _section(row)):
            table.add_section()
        section = _section(row)
        meaning = row.meaning + (f"\n{row.allowed}: {row.reason}" if row.reason else "")
        table.add_row(*(format_value(cell) for cell in (row.name, row.value, row.unit, row.source, meaning)))
    console.print(table)


def _print_blocks(scenario: Scenario, console: Console) -> None:
    """For a narrow terminal the value of each field, and below it what it is."""
    console.print(f"scenario {scenario.name}; presets: {', '.join(PRESETS)}", style="bold", markup=False)
    section = None
    for row in scenario_rows(scenario):
        if section != _section(row):
            console.print()
        section = _section(row)
        console.print(Text(row.name, style="bold").append(f" = {_quantity(row)}", style="not bold"))
        for part in _explained(row):
            console.print(Padding(Text(part, style="dim"), (0, 0, 0, 4)))


def _print_lines(scenario: Scenario) -> None:
    """A line for each field, however long: for files, grep and pagers."""
    rows = list(scenario_rows(scenario))
    name, value = (max(map(len, column)) for column in zip(*((row.name, _quantity(row)) for row in rows), strict=True))
    for row in rows:
        print(f"{row.name:{name}} = {_quantity(row):{min(value, 32)}}  # {'; '.join(_explained(row))}")


def _section(row: FieldRow) -> str:
    """The part of the scenario that a field is in."""
    return row.name.rpartition(".")[0]


def _quantity(row: FieldRow) -> str:
    """Value and unit."""
    return f"{format_value(row.value)} {row.unit}".strip() or "none"


def _explained(row: FieldRow) -> list[str]:
    """Meaning with its source, and what is allowed."""
    meaning = f"{row.meaning} (source: {row.source})" if row.source else row.meaning
    return [meaning, f"{row.allowed}: {row.reason}" if row.reason else f"allowed: {row.allowed}"]


@dataclass(frozen=True)
class Check:
    """Check a scenario file and print in what it differs from the preset ``paper``."""

    file: tyro.conf.Positional[Path]
    """YAML file."""

    def run(self) -> None:
        """Print the differences; a bad file is an error."""
        scenario = load_scenario(self.file)
        console = plain_console()
        console.print(f"{self.file}: valid", highlight=False)
        for row, usual in zip(scenario_rows(scenario), scenario_rows(Scenario()), strict=True):
            if row.value != usual.value:
                unit = f" {row.unit}" if row.unit else ""
                text = f"  {row.name} = {format_value(row.value)}{unit} (paper: {format_value(usual.value)})"
                console.print(text, highlight=False)
        for name, reason in idle_fields(scenario).items():
            if name in {change.partition("=")[0] for change in changes(Scenario(), scenario)}:
                console.print(f"  {name} has no effect where {reason}", highlight=False)


@dataclass(frozen=True)
class ScenarioCommand:
    """Show or check a scenario."""

    action: Annotated[Show, tyro.conf.subcommand("show")] | Annotated[Check, tyro.conf.subcommand("check")]

    def run(self) -> None:
        """Run the chosen action."""
        self.action.run()
