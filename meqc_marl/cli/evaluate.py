"""``meqc-marl evaluate``: one trained policy beside the oracle, on the scenario it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from meqc_marl.cli.compare import Compare
from meqc_marl.cli.options import (
    AllowCode,
    OptionalInt,
    OutputFile,
    Overrides,
    PolicySource,
    Traces,
    refuse_fixed_by_traces,
    scenario_of_policy,
    scenario_with,
)
from meqc_marl.config import PRESETS
from meqc_marl.errors import InputError
from meqc_marl.uris import redacted


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a trained policy beside the exact oracle on held-out traces, in the scenario it was trained on."""

    checkpoint: tyro.conf.Positional[PolicySource]
    """The trained policy: folder of a run or of one of its checkpoints, or its URI in a bucket."""
    scenario: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="PRESET|FILE",
            help=f"Another scenario to evaluate it on: a preset ({', '.join(PRESETS)}) or a YAML file.",
            help_behavior_hint="",
        ),
    ] = None
    """Another preset or YAML file to evaluate it on."""
    overrides: Overrides = ()
    """Change a field of the scenario, such as num_devices=1000; may be repeated."""
    num_traces: int = 10
    """Traces E, one seed each."""
    num_slots: OptionalInt = None
    """Slots T of a trace; the scenario's horizon by default."""
    trace_seed: int = 1_000_000
    """Seed of the first trace; the others follow on."""
    trace: Traces = ()
    """Read the traces from files (.npz), folders or URIs rather than generating them; a run that was trained on traces
    keeps those it has not seen in its folder, as held-out.npz."""
    allow_code: AllowCode = False
    """Run the modules that the policy's scenario names (docs/own-parts.md); only of people whose code you would run."""
    json: OutputFile = None
    """Write all numbers here."""
    plot: OutputFile = None
    """Draw cost and constraint here (.png, .pdf or .svg)."""

    def run(self) -> None:
        """Evaluate and print."""
        refuse_fixed_by_traces(self.overrides, self.trace)
        from meqc_marl.policies.learned import load_policy

        trained_on = load_policy(self.checkpoint).scenario
        shown = redacted(self.checkpoint)
        if self.scenario is not None:
            scenario = scenario_with(self.scenario, self.overrides)
        elif trained_on is not None:
            scenario = scenario_of_policy(trained_on, self.overrides, self.allow_code, shown)
        else:
            raise InputError(f"checkpoint '{shown}' does not name its scenario; give one with --scenario.")
        Compare(
            scenario=self.scenario or "paper",
            policies=("oracle",),
            checkpoints=(self.checkpoint,),
            num_traces=self.num_traces,
            num_slots=self.num_slots,
            trace_seed=self.trace_seed,
            trace=self.trace,
            json=self.json,
            plot=self.plot,
        ).run_on(scenario)
