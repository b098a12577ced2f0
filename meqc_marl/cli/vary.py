"""``meqc-marl vary``: what if a number of the system were another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from meqc_marl.cli.compare import load_checkpoints, policy_files
from meqc_marl.cli.options import (
    Checkpoints,
    OptionalInt,
    OutputFile,
    Overrides,
    PolicyNames,
    ScenarioSource,
    Traces,
    check_draws,
    scenario_with,
    trace_files,
)
from meqc_marl.config import PRESETS, Scenario
from meqc_marl.errors import InputError, did_you_mean
from meqc_marl.evaluation.metrics import METRICS
from meqc_marl.evaluation.variation import read_axis, vary
from meqc_marl.files import check_outputs
from meqc_marl.nature.library import read_traces
from meqc_marl.policies import Policy, make_policy
from meqc_marl.report.bars import check_plot_path
from meqc_marl.report.plain import plain_console
from meqc_marl.report.progress import show_progress
from meqc_marl.report.tables import save_json
from meqc_marl.report.variation import (
    save_variation_csv,
    save_variation_plot,
    variation_json,
    variation_notes,
    variation_table,
)


@dataclass(frozen=True)
class Vary:
    """Policies at several values of one field of the scenario, or of two, on the same traces; nothing is trained.

    The others are measured against the first: with the default policies, what a QPU behind the access point saves.
    """

    axis: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FIELD=A,B,...")]
    """Any field and its values; a single number for a field that is a range sets both ends."""
    and_axis: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="vary", metavar="FIELD=A,B,...")
    ] = ()
    """A second field: every combination is worked out."""
    scenario: ScenarioSource = "paper"
    """Which."""
    overrides: Overrides = ()
    """Change a field at every point, such as lyapunov.v=10; may be repeated."""
    policies: PolicyNames = ("oracle", "oracle-cpu")
    """Names of policies."""
    checkpoints: Checkpoints = ()
    """Folders of trained policies: one is called learned, several by their folder's name, or path if that is taken."""
    num_traces: int = 10
    """Traces, one seed each, the same at every point."""
    num_slots: OptionalInt = None
    """Slots of a trace; the scenario's horizon by default."""
    trace_seed: int = 1_000_000
    """Seed of the first trace; the others follow on."""
    trace: Traces = ()
    """The same traces at every point, from files (.npz), folders or URIs, all rows of them; then num-traces, num-slots
    and trace-seed do not count, and fields that say how nature is drawn cannot be varied."""
    policy_seed: int = 0
    """Seed of the policies' own randomness."""
    metric: Annotated[str, tyro.conf.arg(metavar="NAME", help=f"Shown in table and picture: {', '.join(METRICS)}.")] = (
        "cost"
    )
    """What the table and the picture show."""
    csv: OutputFile = None
    """Write all metrics here, a row for each point, policy and metric."""
    json: OutputFile = None
    """Write all numbers here, trace by trace."""
    plot: OutputFile = None
    """Draw the metric and the differences here (.png, .pdf or .svg)."""

    def run(self) -> None:
        """Work out every point and print the table."""
        check_draws(self.num_traces, self.num_slots, self.trace_seed, self.policy_seed)
        if self.metric not in METRICS:
            raise InputError(f"metric '{self.metric}' is not known{did_you_mean(self.metric, METRICS)}")
        if self.plot is not None:
            check_plot_path(self.plot)
        given = None if self.scenario in PRESETS else self.scenario
        outputs = {"csv": self.csv, "json": self.json, "plot": self.plot}
        check_outputs(outputs, {"scenario": given, **trace_files(self.trace), **policy_files(self.checkpoints)})
        scenario = scenario_with(self.scenario, self.overrides)
        axes = [read_axis(text, scenario) for text in (self.axis, *self.and_axis)]
        learned = load_checkpoints(self.checkpoints)

        def policies(here: Scenario) -> list[Policy]:
            return [*(make_policy(name, here) for name in self.policies), *learned]

        seeds = range(self.trace_seed, self.trace_seed + self.num_traces)
        source = read_traces(self.trace, scenario) if self.trace else seeds
        with show_progress() as progress:
            result = vary(scenario, axes, policies, source, self.num_slots, self.policy_seed, progress)
        if self.metric not in result.points[0].metrics[result.policies[0]]:
            raise InputError(f"metric '{self.metric}' needs a reference, which meqc-marl compare has; choose another.")
        if self.csv is not None:
            save_variation_csv(result, self.csv)
        if self.json is not None:
            save_json(variation_json(result), self.json)
        if self.plot is not None:
            save_variation_plot(result, self.plot, self.metric)
        console = plain_console()
        console.print(variation_table(result, self.metric))
        for note in variation_notes(result):
            console.print(note, highlight=False)
