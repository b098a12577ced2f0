"""``meqc-marl scenario``: show every number of a scenario, or check a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from meqc_marl.cli.options import OutputFile, Overrides, ScenarioSource
from meqc_marl.config import PRESETS, Scenario, load_scenario, save_scenario
from meqc_marl.files import check_output


class FieldRow(NamedTuple):
    """A field of a scenario as it is shown."""

    name: str
    value: Any
    unit: str
    source: str
    meaning: str


@dataclass(frozen=True)
class Show:
    """Print every field with its value, unit, source and meaning."""

    scenario: Annotated[ScenarioSource, tyro.conf.Positional] = "paper"
    """Preset or YAML file."""
    overrides: Overrides = ()
    """Change a field, such as cost.latency=sequential; may be repeated."""
    yaml: OutputFile = None
    """Write the whole scenario to this YAML file as well."""

    def run(self) -> None:
        """Print and, if asked, write."""
        scenario = load_scenario(self.scenario, self.overrides)
        if self.yaml is not None:
            check_output(self.yaml)
        table = Table(title=f"scenario {scenario.name}", caption=f"presets: {', '.join(PRESETS)}")
        for heading in FieldRow._fields:
            table.add_column(heading, overflow="fold", no_wrap=heading == "name")
        section = None
        for row in scenario_rows(scenario):
            if section not in (None, row.name.rpartition(".")[0]):
                table.add_section()
            section = row.name.rpartition(".")[0]
            table.add_row(*(escape(format_value(cell)) for cell in row))
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


def scenario_rows(part: BaseModel, prefix: str = "") -> Iterator[FieldRow]:
    """All fields of a scenario in order, with dotted names."""
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from scenario_rows(value, f"{prefix}{name}.")
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = str(extra.get("unit", ""))
        if unit in type(part).model_fields:  # the unit is itself a field: tx_power_unit
            unit = str(getattr(part, unit))
        yield FieldRow(f"{prefix}{name}", value, unit, str(extra.get("source", "")), info.description or "")


def format_value(value: Any) -> str:
    """Short text of a field's value; numbers as they can be given to ``--set``."""
    if isinstance(value, tuple):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.9e}".partition("e")
        large = abs(value) >= 1e6
        return f"{float(mantissa):.10g}e{int(exponent)}" if large else f"{value:.10g}"
    return "" if value is None else str(value)
