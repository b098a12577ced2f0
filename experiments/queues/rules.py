"""Rules on servers that queue, on the reference traces: cost with penalties, misses, mean share and waits.

``python -m experiments.queues.rules --policies joint-oracle priced-joint``. Traces of seeds 1000 to 1005, 400 slots,
means over the last three quarters. Nature is drawn with slots of a second, as in the preset ``paper``, unless
``--own-nature`` asks for that of the scenario itself. Prices and values are searched and learned on other traces, which
the scenario draws.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import tyro

from experiments.measured import REFERENCE_SEEDS
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.idle import refuse_idle
from meqc_marl.entry.running import run_module
from meqc_marl.evaluation.joint_bounds import joint_bounds
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.policies import POLICIES, QUEUED_POLICIES, Policy, make_policy
from meqc_marl.policies.priced import Priced

SLOTS = 400
Changes = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="set", metavar="FIELD=VALUE")]
"""The option --set of a module: changed fields of the scenario ``queued``."""


def queued_with(changes: tuple[str, ...]) -> Scenario:
    """The scenario ``queued`` with changed fields, none of which may be without effect.

    Raises:
        InputError: A change is not allowed, or has no effect.
    """
    return refuse_idle(load_scenario("queued", changes), changes)


class Means(NamedTuple):
    """Of the last three quarters of the slots."""

    cost: float
    charged: float
    """Cost with the penalty of misses."""
    missed: float
    fraction: float
    cpu_wait_s: float
    qpu_wait_s: float


def traces(scenario: Scenario, own_nature: bool, seeds: range = REFERENCE_SEEDS, slots: int = SLOTS) -> Trace:
    """Nature of the scenario, or with slots of a second."""
    drawn = scenario if own_nature else load_scenario(scenario, ["slot_s=1"])
    return generate_trace(drawn, seeds, num_slots=slots)


def means(policy: Policy, scenario: Scenario, trace: Trace) -> Means:
    """Roll a rule and average."""
    record = rollout(policy, scenario, trace)
    assert record.waits is not None
    late = slice(trace.num_slots // 4, None)
    cost, missed = float(record.cost[late].mean()), float(record.deadline_missed[late].mean())
    cpu_s, qpu_s = record.waits[:-1][late].mean((0, 1))
    charged = cost + scenario.cost.miss_penalty * missed
    return Means(cost, charged, missed, float(record.fraction[late].mean()), float(cpu_s), float(qpu_s))


def row(name: str, found: Means) -> str:
    """A line of the table."""
    numbers = (f"{found.cost:.2f}", f"{found.charged:.2f}", f"{100 * found.missed:.1f} %", f"{found.fraction:.3f}")
    return f"| {name} | " + " | ".join(numbers) + f" | {found.cpu_wait_s:.1f} s, {found.qpu_wait_s:.1f} s |"


@dataclass(frozen=True)
class Rules:
    """Print a table in Markdown, and what was charged."""

    policies: tuple[str, ...] = tuple(QUEUED_POLICIES)
    """Names of rules."""
    changes: Changes = ()
    """Change a field of the scenario `queued`; may be repeated."""
    own_nature: bool = False
    """Draw nature as the scenario does, not with slots of a second."""
    bound: bool = False
    """Also the bound from below: the system without waiting."""

    def run(self) -> None:
        """Measure."""
        scenario = queued_with(self.changes)
        for name in self.policies:
            if name not in POLICIES:  # a mistake, or somebody's own: told before the others are searched and learned
                make_policy(name, scenario)
        trace = traces(scenario, self.own_nature)
        print("| policy | C | C + penalty | misses | mean phi | wait CPU, QPU |\n|---|---|---|---|---|---|")
        for name in self.policies:
            begin = time.perf_counter()
            policy = make_policy(name, scenario)
            charged = f" {policy.schedule}" if isinstance(policy, Priced) else ""
            found = time.perf_counter() - begin
            print(row(name, means(policy, scenario, trace)), flush=True)
            print(f"<!-- found in {found:.0f} s, all in {time.perf_counter() - begin:.0f} s{charged} -->", flush=True)
        if self.bound:
            bound = np.mean(joint_bounds(scenario, trace).lower)
            print(f"no policy that keeps Delta costs less than {bound:.2f} with penalties")


if __name__ == "__main__":
    sys.exit(run_module(Rules))
