"""``meqc-marl compare``: policies and trained checkpoints on the same traces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console

from meqc_marl.cli.options import (
    Checkpoints,
    InputFile,
    OptionalInt,
    OutputFile,
    Overrides,
    PolicyNames,
    ScenarioSource,
    at_least,
)
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.comparison import compare
from meqc_marl.files import check_output
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.nature.trace_file import load_trace
from meqc_marl.policies import DEFAULT_POLICIES, POLICIES, Policy, make_policy
from meqc_marl.report.bars import check_plot_path, save_comparison_plot
from meqc_marl.report.progress import show_progress
from meqc_marl.report.tables import comparison_json, comparison_notes, comparison_tables, save_json
from meqc_marl.uris import redacted


@dataclass(frozen=True)
class Compare:
    """Compare policies on the same traces: cost, constraint, deadlines and modes, with intervals and C_opt."""

    scenario: ScenarioSource = "paper"
    """Preset or YAML file; `meqc-marl scenario show` lists its fields."""
    overrides: Overrides = ()
    """Change a field of the scenario, such as cost.latency=sequential; may be repeated."""
    policies: PolicyNames = DEFAULT_POLICIES
    """Names of policies."""
    checkpoints: Checkpoints = ()
    """Folders or URIs of trained policies: one is called learned, several by folder, or by path if that is taken."""
    num_traces: int = 10
    """Traces E, one seed each."""
    num_slots: OptionalInt = None
    """Slots T of a trace; the scenario's horizon by default."""
    trace_seed: int = 1_000_000
    """Seed of the first trace; the others follow on. Keep it away from training seeds."""
    policy_seed: int = 0
    """Seed of the policies' own randomness."""
    trace: InputFile = None
    """Read the traces from a file (.npz); then num-traces, num-slots and trace-seed do not count."""
    json: OutputFile = None
    """Write all numbers here."""
    plot: OutputFile = None
    """Draw cost and constraint here (.png, .pdf or .svg)."""

    def run(self) -> None:
        """Compare and print."""
        self.run_on(load_scenario(self.scenario, self.overrides))

    def run_on(self, scenario: Scenario) -> None:
        """The same on a scenario that is loaded already; ``scenario`` and ``overrides`` do not count."""
        for path in (self.json, self.plot):
            if path is not None:
                check_output(path)
        if self.plot is not None:
            check_plot_path(self.plot)
        policies = [make_policy(name, scenario) for name in self.policies]
        trace, seeds = self._trace(scenario)
        policies += load_checkpoints(self.checkpoints)
        if not policies:
            raise InputError(f"policies: none is given; known are {', '.join(POLICIES)}.")
        with show_progress() as progress:
            result = compare(
                policies,
                scenario,
                trace,
                seeds,
                self.policy_seed,
                None if self.trace is None else str(self.trace),
                progress,
            )
        if self.json is not None:
            save_json(comparison_json(result), self.json)
        if self.plot is not None:
            save_comparison_plot(result, self.plot)
        console = Console()
        for table in comparison_tables(result):
            console.print(table)
        for note in comparison_notes(result):
            console.print(note, highlight=False)

    def _trace(self, scenario: Scenario) -> tuple[Trace, list[int]]:
        if self.trace is not None:
            return load_trace(self.trace, scenario), []
        at_least("num-traces", self.num_traces, 1)
        at_least("trace-seed", self.trace_seed, 0)
        if self.num_slots is not None:
            at_least("num-slots", self.num_slots, 1)
        seeds = [self.trace_seed + row for row in range(self.num_traces)]
        return generate_trace(scenario, seeds, num_slots=self.num_slots), seeds


def load_checkpoints(paths: tuple[str, ...]) -> list[Policy]:
    """Trained policies under names that tell them apart."""
    if not paths:
        return []
    from meqc_marl.policies.learned import load_policy  # torch: only who has checkpoints pays for it

    names = [_name(path) for path in paths]
    if len(paths) == 1:
        names = ["learned"]
    elif len(set(names)) < len(names):
        names = [redacted(path) for path in paths]
    return [load_policy(path, name) for path, name in zip(paths, names, strict=True)]


def _name(path: str) -> str:
    """Last name of a folder, or of a URI without what is behind the place."""
    return PurePosixPath(redacted(path)).name if "://" in path else Path(path.replace("\0", "")).resolve().name
