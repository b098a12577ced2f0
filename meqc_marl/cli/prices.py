"""``meqc-marl prices``: the best prices on work that queues, searched on training traces and shown on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import tyro

from meqc_marl.cli.options import (
    InputFile,
    OptionalInt,
    OutputFile,
    Overrides,
    ScenarioSource,
    check_draws,
    scenario_with,
)
from meqc_marl.config import PRESETS, Scenario
from meqc_marl.errors import InputError, within
from meqc_marl.evaluation.blocks import compare_seeds
from meqc_marl.files import check_outputs
from meqc_marl.nature.trace import check_size
from meqc_marl.policies import Policy, make_policy
from meqc_marl.policies.priced import joint_rule, selfish_rule
from meqc_marl.policies.toll.schedule_file import ANNOUNCED, schedules_json
from meqc_marl.policies.toll.search import Found, Kind, search, training_trace
from meqc_marl.report.plain import plain_console
from meqc_marl.report.prices import prices_table
from meqc_marl.report.progress import Begin, show_progress
from meqc_marl.report.tables import comparison_json, comparison_notes, comparison_tables, save_json

Announced = Literal["priced-joint", "priced-selfish", "queue-drift"]


@dataclass(frozen=True)
class PricesCommand:
    """Search the best prices on work for a scenario whose server or QPU is queued, and show what they are worth.

    They are searched on training traces and reported on held-out ones, beside the exact optimum of every slot, which
    does not look ahead. `meqc-marl compare --prices FILE` uses them.
    """

    scenario: ScenarioSource = "queued"
    """Which."""
    overrides: Overrides = ()
    """Change a field of the scenario, such as resources.server_hz=15e9; may be repeated."""
    policies: Annotated[
        tuple[Announced, ...], tyro.conf.arg(metavar="POLICY", help=f"Any of: {', '.join(get_args(Announced))}.")
    ] = ("priced-joint", "priced-selfish", "queue-drift")
    """Whose prices or weights."""
    kind: Literal["rising", "constant"] = "rising"
    """Prices that rise with the wait (four numbers), or constant ones (two)."""
    evaluations: int = 60
    """Schedules tried for each policy, at most; seven are tried in any case."""
    num_traces: int = 4
    """Training traces."""
    num_slots: int = 400
    """Slots of each."""
    held_out: int = 4
    """Held-out traces of the report; 0 for none."""
    held_out_slots: OptionalInt = None
    """Slots of each; the scenario's horizon by default."""
    trace_seed: int = 1_000_000
    """Seed of the first held-out trace."""
    out: OutputFile = None
    """Write the prices here (JSON), for `meqc-marl compare --prices`."""
    json: OutputFile = None
    """Write all numbers of the report here."""

    def run(self) -> None:
        """Search, report and write."""
        given: InputFile = None if self.scenario in PRESETS else self.scenario  # type: ignore[assignment]
        check_outputs({"out": self.out, "json": self.json}, {"scenario": given})
        within("evaluations", self.evaluations, 7, 10_000)
        within("held-out", self.held_out, 0, 10_000)
        check_draws(self.num_traces, self.num_slots, 0)
        check_draws(max(self.held_out, 1), self.held_out_slots, self.trace_seed)
        scenario = scenario_with(self.scenario, self.overrides)
        if not scenario.resources.queued:
            raise InputError(
                f"resources.server is {scenario.resources.server} and resources.qpu {scenario.resources.qpu}; one of "
                "them must be queued for work to have a price, as in the preset queued."
            )
        if self.json is not None and not self.held_out:
            raise InputError("json holds the report on held-out traces; it needs held-out of at least 1.")
        check_size(self.num_slots, self.num_traces, scenario.num_devices)
        names = tuple(dict.fromkeys(self.policies))
        if not names:
            raise InputError(f"policies: none is given; known are {', '.join(get_args(Announced))}.")
        console = plain_console()
        with show_progress() as progress:
            found: dict[str, Found] = {name: self._search(scenario, name, progress) for name in names}
        console.print(prices_table(scenario, found))
        if self.out is not None:
            save_json(schedules_json(scenario, {name: each.schedule for name, each in found.items()}), self.out)
        if self.held_out:
            self._report(scenario, found)

    def _search(self, scenario: Scenario, name: Announced, progress: Begin) -> Found:
        rule = selfish_rule if name == "priced-selfish" else joint_rule
        kind: Kind = "weights" if name == "queue-drift" else self.kind
        trace = training_trace(scenario, self.num_traces, self.num_slots)
        step = progress(f"prices of {name}", self.evaluations, "schedules")
        return search(scenario, lambda schedule: rule(scenario, schedule), kind, trace, self.evaluations, step)

    def _report(self, scenario: Scenario, found: dict[str, Found]) -> None:
        policies: list[Policy] = [make_policy("joint-oracle", scenario)]
        policies += [ANNOUNCED[name](scenario, each.schedule) for name, each in found.items()]
        seeds = range(self.trace_seed, self.trace_seed + self.held_out)
        with show_progress() as progress:
            result = compare_seeds(policies, scenario, seeds, self.held_out_slots, 0, progress)
        if self.json is not None:
            save_json(comparison_json(result), self.json)
        console = plain_console()
        for table in comparison_tables(result):
            console.print(table)
        for note in comparison_notes(result):
            console.print(note, highlight=False)
