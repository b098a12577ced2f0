"""How a trained policy fares in systems that it was not trained on: one field changed at a time, beside the oracle.

Run ``python -m experiments.benchmarks.changed_fields results/first``; about a minute on one core. The fields cover
every section of the scenario that a policy sees through its choices' costs.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from experiments.measured import check_draws, check_kept, keep
from meqc_marl.config import load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.errors import InputError
from meqc_marl.evaluation.held_out import beside_oracle, held_out_traces
from meqc_marl.policies.learned import load_policy

RESULTS = Path(__file__).parents[1] / "results" / "changed_fields"
CHANGES: tuple[str, ...] = (
    *("quantum.tau_2_s=1e-6", "quantum.tau_1_s=2e-7", "quantum.power_qubit_w=0.02", "quantum.min_success=0.9"),
    *("quantum.circuit=literal", "quantum.qubits_counted=7", "server.rho=3e-28", "server.zeta=2.95", "local.rho=2e-28"),
    *(
        "local.zeta=3.05",
        "devices.lambda_t=0.9",
        "devices.lambda_t=0.1",
        "devices.lambda_e=0.1",
        "devices.cpu_hz=[5e8]",
    ),
    *("devices.server_cpu_hz=[1e10]", "devices.tx_power=[0.5, 1]", "cost.energy_ref_j=4", "cost.latency_ref_s=5"),
    *("cost.latency=sequential", "cost.min_fraction=0.2", "channel.bandwidth_hz=2e7", "channel.bandwidth_hz=5e8"),
    *("channel.ack_bits=1e9", "channel.ack=literal", "channel.noise_figure_db=10", "channel.rician_k=0"),
    *("tasks.deadline_s=[4, 12]", "tasks.data_bits=[4e8, 9e8]", "tasks.cycles_per_bit=20", "tasks.source=fast-folders"),
    *("mobility.kind=static", "mobility.radius_m=200", "lyapunov.v=0.1", "lyapunov.v=10", "lyapunov.delta=0.9"),
)


@dataclass(frozen=True)
class ChangedFields:
    """Evaluate, print and store."""

    policy: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Folder of the trained policy."""
    num_traces: int = 2
    """Held-out traces of each changed scenario."""
    num_slots: int = 500
    """Slots of a trace."""
    out: Path = RESULTS / "changed_fields.json"
    """Where the numbers go."""

    def run(self) -> None:
        """Evaluate."""
        check_draws(self.num_slots, self.num_traces)
        check_kept(self.out)
        content = measure_all(self)
        keep(content, self.out)
        print(table(content))


def measure_all(args: ChangedFields) -> dict[str, Any]:
    """Regret, misses and cost of the policy at every change."""
    policy = load_policy(args.policy)
    if policy.scenario is None:
        raise InputError(f"checkpoint '{args.policy}' does not name its scenario.")
    rows: dict[str, dict[str, Any]] = {}
    for change in CHANGES:
        scenario = load_scenario(policy.scenario, [change])
        trace = held_out_traces(scenario, args.num_traces, args.num_slots)
        found = {name: float(value.mean()) for name, value in beside_oracle(policy, scenario, trace).items()}
        shown = {name: found[name] for name in ("regret", "cost", "fraction", "deadline_missed_feasible")}
        rows[change] = shown | {"unseen": policy.unseen_in(scenario)}
    return {
        "trained_on": policy.scenario.name,
        "num_traces": args.num_traces,
        "num_slots": args.num_slots,
        "date": time.strftime("%Y-%m-%d"),
        "changes": rows,
    }


def table(content: dict[str, Any]) -> str:
    """Markdown, the largest regret first."""
    rows = sorted(content["changes"].items(), key=lambda row: -row[1]["regret"])
    regrets = np.array([100 * row["regret"] for _, row in rows])
    lines = ["| changed | regret | cost | mean phi | misses that can be met |", "|---|---|---|---|---|"]
    for change, row in rows:
        lines.append(
            f"| `{change}` | {100 * row['regret']:.2f} % | {row['cost']:.2f} | {row['fraction']:.3f} "
            f"| {100 * row['deadline_missed_feasible']:.2f} % |"
        )
    return "\n".join(
        [*lines, "", f"{len(rows)} changes: median {np.median(regrets):.2f} %, largest {regrets.max():.2f} %."]
    )


if __name__ == "__main__":
    sys.exit(run_module(ChangedFields))
