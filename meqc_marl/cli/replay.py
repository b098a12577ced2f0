"""``meqc-marl replay``: a page that plays what policies did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from meqc_marl.cli.compare import load_checkpoints, policy_files
from meqc_marl.cli.options import (
    AllowCode,
    OptionalInt,
    Overrides,
    Traces,
    check_draws,
    refuse_fixed_by_traces,
    scenario_of_policy,
    scenario_with,
    trace_files,
)
from meqc_marl.config import PRESETS, Scenario
from meqc_marl.errors import InputError, did_you_mean, within
from meqc_marl.evaluation.comparison import prepare
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.files import check_outputs
from meqc_marl.nature.library import read_rows
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.policies import POLICIES, Policy, make_policy
from meqc_marl.report.plain import plain_console
from meqc_marl.report.progress import show_progress
from meqc_marl.report.replay import replay_page, save_replay
from meqc_marl.uris import redacted


@dataclass(frozen=True)
class Replay:
    """Write a page that plays what policies did on the same trace; it needs a browser and no network.

    It shows devices round the access point, where each computes, deadlines missed, virtual queues, and cost against the
    exact oracle. Two policies stand side by side; with one it is the oracle.
    """

    who: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN|POLICY", help=f"Folders of trained policies, or any of: {', '.join(POLICIES)}."),
    ]
    """Who decides."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("replay.html")
    """Page to write."""
    scenario: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="PRESET|FILE",
            help=f"A preset ({', '.join(PRESETS)}) or a YAML file; by default what the first trained policy was "
            "trained on, or paper.",
            help_behavior_hint="",
        ),
    ] = None
    overrides: Overrides = ()
    """Change a field of the scenario, such as num_devices=1000; may be repeated."""
    num_slots: int = 200
    """Slots, at most those of the horizon."""
    trace_seed: int = 1_000_000
    """Seed of the trace."""
    policy_seed: int = 0
    """Seed of the policies' own randomness."""
    allow_code: AllowCode = False
    """Run the modules that a policy's scenario names (docs/own-parts.md); only of people whose code you would run."""
    trace: Traces = ()
    """Read the traces from files (.npz), folders or URIs, one of whose rows is shown."""
    row: OptionalInt = None
    """Which of all rows of the traces, from 0 on; the first by default."""

    def run(self) -> None:
        """Roll the policies out and write the page."""
        refuse_fixed_by_traces(self.overrides, self.trace)
        check_draws(1, self.num_slots, self.trace_seed, self.policy_seed)
        given = None if self.scenario in PRESETS else self.scenario
        check_outputs({"out": self.out}, {**trace_files(self.trace), "scenario": given})
        if not self.who:
            raise InputError("no policy is given; name a trained run, or a policy such as oracle.")
        learned = self._learned()
        check_outputs({"out": self.out}, policy_files(tuple(learned)))
        trained_on = next(((who, each.scenario) for who, each in learned.items() if each.scenario is not None), None)
        if self.scenario is None and trained_on is not None:
            scenario = scenario_of_policy(trained_on[1], self.overrides, self.allow_code, redacted(trained_on[0]))
        else:
            scenario = scenario_with(self.scenario or "paper", self.overrides)
        policies: list[Policy] = [learned[who] if who in learned else make_policy(who, scenario) for who in self.who]
        if "oracle" not in [policy.name for policy in policies]:
            policies.append(make_policy("oracle", scenario))
        slots = min(self.num_slots, scenario.horizon)
        if self.trace:
            trace, about = self._row(scenario, slots)
        elif self.row is not None:
            raise InputError(f"row is {self.row}; it is for traces, of which there are none.")
        else:
            trace, about = generate_trace(scenario, [self.trace_seed], num_slots=slots), f", seed {self.trace_seed}"
        records = {}
        with show_progress() as progress:
            prepare(policies, progress)
            for policy in policies:
                step = progress(policy.name, trace.num_slots, "slots")
                records[policy.name] = rollout(policy, scenario, trace, self.policy_seed, step)
        page = replay_page(scenario, trace, records, about)
        save_replay(page, self.out)
        plain_console().print(f"page: {self.out} ({len(page) / 1e6:.1f} MB)", highlight=False, soft_wrap=True)

    def _row(self, scenario: Scenario, slots: int) -> tuple[Trace, str]:
        """The row of the traces, and what it is called."""
        names, rows = read_rows(self.trace, scenario)
        row = 0 if self.row is None else self.row
        within("row", row, 0, len(rows) - 1)
        return rows[row].window(0, slots), f", trace {names[row]}"

    def _learned(self) -> dict[str, Any]:
        """Trained policies by the words that name them."""
        words = [who for who in self.who if who not in POLICIES]
        for word in words:
            if "://" not in word and not Path(word).exists():
                hint = did_you_mean(word, POLICIES).removesuffix(".")
                raise InputError(f"'{word}' is neither a folder of a trained policy nor a policy{hint}.")
        return dict(zip(words, load_checkpoints(tuple(words)), strict=True))
