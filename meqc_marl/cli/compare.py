"""``meqc-marl compare``: policies and trained checkpoints on the same traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from meqc_marl.cli.options import (
    Checkpoints,
    InputFile,
    OptionalInt,
    OutputFile,
    Overrides,
    PolicyNames,
    ScenarioSource,
    Traces,
    check_draws,
    refuse_fixed_by_traces,
    scenario_with,
    trace_files,
)
from meqc_marl.config import PRESETS, Scenario, changes
from meqc_marl.errors import InputError, within
from meqc_marl.evaluation.blocks import compare_seeds, compare_trace
from meqc_marl.files import check_outputs
from meqc_marl.nature.library import read_traces
from meqc_marl.nature.trace import MAX_SEED, check_size
from meqc_marl.policies import DEFAULT_POLICIES, POLICIES, Policy, default_policies, make_policy
from meqc_marl.policies.folders import files_of
from meqc_marl.policies.toll.schedule_file import ANNOUNCED, read_schedules
from meqc_marl.policies.toll.schedules import Schedule
from meqc_marl.report.bars import check_plot_path, save_comparison_plot
from meqc_marl.report.plain import plain_console
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
    trace: Traces = ()
    """Read the traces from files (.npz), folders or URIs, all rows of them; then num-traces, num-slots and trace-seed
    do not count."""
    prices: InputFile = None
    """Prices on work for priced-joint, priced-selfish and queue-drift, as `meqc-marl prices --out` writes them; a short
    search by default."""
    json: OutputFile = None
    """Write all numbers here."""
    plot: OutputFile = None
    """Draw cost and constraint here (.png, .pdf or .svg)."""

    def run(self) -> None:
        """Compare and print."""
        refuse_fixed_by_traces(self.overrides, self.trace)
        self.run_on(scenario_with(self.scenario, self.overrides))

    def run_on(self, scenario: Scenario) -> None:
        """The same on a scenario that is loaded already; ``scenario`` and ``overrides`` do not count."""
        given = None if self.scenario in PRESETS else self.scenario
        outputs = {"json": self.json, "plot": self.plot}
        read = {**trace_files(self.trace), "scenario": given, "prices": self.prices}
        check_outputs(outputs, read | policy_files(self.checkpoints))
        if self.plot is not None:
            check_plot_path(self.plot)
        within("policy-seed", self.policy_seed, 0, MAX_SEED)
        names = default_policies(scenario) if self.policies == DEFAULT_POLICIES else self.policies
        announced, changed = self._announced(names, scenario)
        policies: list[Policy] = [
            ANNOUNCED[name](scenario, announced[name]) if name in announced else make_policy(name, scenario)
            for name in names
        ]
        if not self.trace:
            seeds = self._seeds(scenario)
        else:
            trace = read_traces(self.trace, scenario)
        policies += load_checkpoints(self.checkpoints)
        if not policies:
            raise InputError(f"policies: none is given; known are {', '.join(POLICIES)}.")
        with show_progress() as progress:
            if not self.trace:
                result = compare_seeds(policies, scenario, seeds, self.num_slots, self.policy_seed, progress)
            else:
                result = compare_trace(
                    policies, scenario, trace, self.policy_seed, redacted(" ".join(self.trace)), progress
                )
        unseen = {policy.name: fields for policy in policies if (fields := policy.unseen_in(scenario))}
        if self.json is not None:
            save_json(comparison_json(result) | {"unseen_changes": unseen}, self.json)
        if self.plot is not None:
            save_comparison_plot(result, self.plot)
        console = plain_console()
        for table in comparison_tables(result):
            console.print(table)
        for note in comparison_notes(result):
            console.print(note, highlight=False)
        if changed:
            console.print(f"The prices were searched elsewhere; here differs: {', '.join(changed)}.", highlight=False)
        for name, fields in unseen.items():
            console.print(
                f"{name} was trained elsewhere and does not see what differs here: {', '.join(fields)}.",
                highlight=False,
                markup=False,
            )

    def _announced(self, names: Sequence[str], scenario: Scenario) -> tuple[dict[str, Schedule], list[str]]:
        """Prices of a file by policy, and what differs from where they were searched."""
        if self.prices is None:
            return {}, []
        announced, searched_on = read_schedules(self.prices)
        if not set(announced) & set(names):
            raise InputError(
                f"prices '{self.prices}' holds those of {', '.join(announced)}, and none of them is compared; name one "
                "with policies."
            )
        return announced, [change for change in changes(searched_on, scenario) if not change.startswith("name=")]

    def _seeds(self, scenario: Scenario) -> range:
        check_draws(self.num_traces, self.num_slots, self.trace_seed)
        check_size(self.num_slots or scenario.horizon, 1, scenario.num_devices)
        return range(self.trace_seed, self.trace_seed + self.num_traces)


def policy_files(paths: tuple[str, ...]) -> dict[str, Path]:
    """Files of trained policies, which no output may replace, by what sentences call them."""
    return {what: path for where in paths for what, path in files_of(where).items()}


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
