"""Show a comparison: tables for the terminal, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from meqc_marl import __version__
from meqc_marl.config.quantity import fixed
from meqc_marl.errors import InputError
from meqc_marl.evaluation.comparison import Comparison, charged, prices_of_sharing
from meqc_marl.evaluation.metrics import METRICS
from meqc_marl.evaluation.statistics import Estimate, brackets, interquartile_mean, mean, paired_difference
from meqc_marl.files import replacing
from meqc_marl.policies.oracle import exact_oracle

_MODE_HEADINGS = {
    "mode_local": "local",
    "mode_cpu": "CPU",
    "mode_qpu": "QPU",
    "mode_cpu_partial": "CPU<1",
    "mode_qpu_partial": "QPU<1",
    "deadline_infeasible": "none",
}


def comparison_tables(result: Comparison) -> list[Table]:
    """Tables that fit a terminal of 80 columns: cost and constraint, how they come about, and waits, if any."""
    scenario = result.scenario
    first = plain_table(
        f"{scenario.name}: {scenario.num_devices} devices, {result.num_slots} slots, {result.num_traces} trace(s), "
        f"V = {scenario.lyapunov.v:g}, Delta = {scenario.lyapunov.delta:g}",
        ("regret\n%", "cost", "C_opt\n%", "phi", "worst", "miss", "z end"),
    )
    second = plain_table(
        "what the devices did",
        ("oracle\n%", "t s", "e J", "over", "rej", *_MODE_HEADINGS.values()),
    )
    for name, metrics in result.metrics.items():
        average = {key: float(values.mean()) for key, values in metrics.items()}
        first.add_row(
            name,
            format_regret(average["regret"]),
            format_estimate(mean(metrics["cost"])),
            fixed(100 * average["gap_to_optimum"], "+.1f"),
            fixed(average["fraction"], ".3f"),
            fixed(average["fraction_worst"], ".3f"),
            fixed(100 * average["deadline_missed_feasible"], ".1f"),
            fixed(average["backlog_final"], ".1f"),
        )
        second.add_row(
            name,
            fixed(100 * average["gap_to_oracle"], "+.1f"),
            fixed(average["latency_s"], ".2f"),
            fixed(average["energy_j"], ".2f"),
            fixed(100 * average["overruled"], ".1f"),
            fixed(100 * average["qpu_rejected"], ".1f"),
            *(fixed(100 * average[mode], ".0f") for mode in _MODE_HEADINGS),
        )
    return [first, second, *([_waits(result)] if scenario.resources.queued else [])]


def _waits(result: Comparison) -> Table:
    """What the queues at the server and the QPU cost: waits, misses, and the cost with their penalty."""
    table = plain_table(
        "queues at the server and the QPU", ("CPU wait\ns", "QPU wait\ns", "cost and\npenalty", "C_opt\n%", "miss")
    )
    for name, metrics in result.metrics.items():
        average = {key: float(values.mean()) for key, values in metrics.items()}
        table.add_row(
            name,
            f"{average['cpu_wait_s']:.2f}",
            f"{average['qpu_wait_s']:.2f}",
            format_estimate(mean(charged(result.scenario, metrics))),
            f"{100 * average['gap_to_optimum']:+.1f}",
            f"{100 * average['deadline_missed']:.1f}",
        )
    return table


def plain_table(title: str, headings: Sequence[str]) -> Table:
    """A table of policies with one column for each heading."""
    # One column between two: the names of the policies have room in 80.
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("policy", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def comparison_notes(result: Comparison) -> list[str]:
    """What a reader must know to read the table rightly."""
    optimum, delta = result.optimum, result.scenario.lyapunov.delta
    means = f"Means over traces{_behind(result)}" if result.num_traces > 1 else "Means over one trace"
    notes = [
        f"Regret: reward below the oracle's in the states visited, in % of V times cost; {_sign_of_regret(result)}. "
        f"{means}; cost above C_opt and the oracle's; phi: offloading fraction of all devices, and of the worst; "
        "z: virtual queue at the end; t: latency; e: energy.",
        f"Shares in %: miss, deadlines missed of those that can be met; {_overruled(result)}; rej, rejected by the "
        "QPU; CPU and QPU, whole tasks; CPU<1 and QPU<1, a part of them; none, no action meets the deadline.",
        f"C_opt({delta:g}) {_optimum(result)}, the least {_charged(result)} of any policy that keeps the mean "
        f"phi of every device at {delta:g} or above; one that falls short of it may cost less.",
        f"The QPU admits {100 * result.qpu_admitted:.1f} % of the tasks.",
    ]
    if result.present is not None:
        notes.append(
            f"Devices come and go: {100 * result.present:.1f} % of the device-slots have the device present, and means "
            "are over these; those of a device over the slots in which it is there."
        )
    if prices := prices_of_sharing(result):
        told = ", ".join(_PRICES[name].format(fixed(value, ".3f")) for name, value in prices.items())
        notes.append(f"Cost and penalty of misses as a multiple of the joint optimum's: {told}.")
    if result.scenario.resources.queued:
        notes.append(
            "Waits: how long a task waits for work that earlier slots left, mean over the slots, in s. The oracle "
            "solves each slot exactly and does not look ahead, so others may cost less; regret is of the slot alone. "
            "C_opt is that of the same system without waiting, bounded from below."
        )
    infeasible = int((~optimum.feasible).sum())
    if infeasible:
        worst = float(optimum.reachable[~optimum.feasible].min())
        notes.append(
            f"Delta = {delta:g} is out of reach for {infeasible} of {optimum.feasible.size} devices (the least reaches "
            f"a mean phi of {worst:.3f}): their queues grow without bound, and C_opt takes them at the most they reach."
        )
    return notes


def _optimum(result: Comparison) -> str:
    """The number, or where devices share the bounds between which it is."""
    if result.scenario.resources.queued:
        return f"is at least {result.optimum.overall_cost:.3f}"
    if result.optimum_above is None:
        return f"= {fixed(result.optimum.overall_cost, '.3f')}"
    below, above = (fixed(bound, ".3f") for bound in (result.optimum.overall_cost, float(result.optimum_above.mean())))
    return f"is between {below} and {above} (gaps are above the former)"


_PRICES = {
    "anarchy": "price of anarchy {} (each device for itself)",
    "ignorance": "of ignorance {} (each for itself, and not knowing what the others do)",
}


def _sign_of_regret(result: Comparison) -> str:
    if exact_oracle(result.scenario).unrestricted:
        return "never negative, for the oracle is exact and minimises what the reward is made of"
    return (
        f"of {result.scenario.num_devices} devices that share, the oracle's is the best found and not proven, so a "
        "better one would show as a regret below 0"
    )


def _overruled(result: Comparison) -> str:
    kept = result.scenario.cost.deadline == "kept"
    return "over, actions changed to meet it" if kept else "over, none: what misses is carried out"


def _charged(result: Comparison) -> str:
    return "cost and penalty of misses" if result.scenario.cost.miss_penalty else "cost"


def format_regret(regret: float) -> str:
    """In per cent, with as many digits as tell small ones apart; rounding errors below zero are zero."""
    value = 100.0 * max(regret, 0.0)
    return fixed(value, ".3f") if value < 1.0 else fixed(value, ".1f")


def _behind(result: Comparison) -> str:
    return brackets((mean(metrics["cost"]) for metrics in result.metrics.values()), "trace")


def format_estimate(estimate: Estimate, digits: int = 2, sign: bool = False) -> str:
    """``15.13 [15.02, 15.25]``, a difference with its sign."""
    told = estimate.told(f".{digits}f", most=2)  # three would not fit 80 columns
    if not sign:
        return told
    _, bracket, spread = told.partition(" ")
    return f"{fixed(estimate.value, f'+.{digits}f')}{bracket}{spread}"


def comparison_json(result: Comparison) -> dict[str, Any]:
    """Everything a machine may want, with the scenario and the seeds that make it reproducible."""
    optimum = result.optimum
    against = next((name for name in ("oracle", "joint-oracle") if name in result.metrics), next(iter(result.metrics)))
    reference = result.metrics[against]
    return {
        "package": {"name": "meqc-marl", "version": __version__},
        "scenario": result.scenario.model_dump(mode="json"),
        "trace": {
            "seeds": list(result.seeds),
            "file": result.trace_file,
            "num_slots": result.num_slots,
            "num_traces": result.num_traces,
            "qpu_admitted": result.qpu_admitted,
            "present": result.present,
        },
        "policy_seed": result.policy_seed,
        "prices_of_sharing": prices_of_sharing(result),
        "optimum": {
            "delta": optimum.delta,
            "cost": optimum.overall_cost,
            "cost_per_trace": optimum.mean_cost.tolist(),
            "bound_above_per_trace": None if result.optimum_above is None else result.optimum_above.tolist(),
            "infeasible_devices": [
                {"trace": int(row), "device": int(device), "reachable_fraction": float(optimum.reachable[row, device])}
                for row, device in np.argwhere(~optimum.feasible)
            ],
        },
        "metrics": {name: metric._asdict() for name, metric in METRICS.items()},
        "policies": {
            name: {key: _metric_json(values) for key, values in metrics.items()}
            for name, metrics in result.metrics.items()
        },
        "paired_cost_difference": {
            "reference": against,
            "policies": {
                name: paired_difference(metrics["cost"], reference["cost"]).numbers()
                for name, metrics in result.metrics.items()
            },
        },
    }


def save_json(content: dict[str, Any], path: str | Path) -> None:
    """Write JSON; the file is complete or, after a crash, untouched."""
    try:
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    except ValueError:
        raise InputError(f"output file '{path}' would hold a number that is not finite; nothing was written.") from None
    with replacing(path) as file:
        file.write(text.encode())


def _metric_json(values: np.ndarray) -> dict[str, Any]:
    return {
        "mean": mean(values).numbers(),
        "iqm": interquartile_mean(values).numbers(),
        "per_trace": values.tolist(),
    }
