"""Show a comparison: a table for the terminal, JSON for machines."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from rich.table import Table

from meqc_marl import __version__
from meqc_marl.config.io import replacing
from meqc_marl.errors import InputError
from meqc_marl.evaluation.comparison import Comparison
from meqc_marl.evaluation.metrics import METRICS
from meqc_marl.evaluation.statistics import Estimate, interquartile_mean, mean, paired_difference

_MODES = ("mode_local", "mode_cpu", "mode_qpu", "mode_cpu_partial", "mode_qpu_partial", "deadline_infeasible")


def comparison_table(result: Comparison) -> Table:
    """The main metrics of every policy, means over traces; the cost with its 95 % interval."""
    delta = result.scenario.lyapunov.delta
    table = Table(
        title=f"{result.scenario.name}: M = {result.scenario.num_devices}, {result.num_slots} slots, "
        f"{result.num_traces} trace(s), V = {result.scenario.lyapunov.v:g}, Delta = {delta:g}",
        caption="mean over traces [95 % bootstrap interval]; modes: local / CPU / QPU / part CPU / part QPU / "
        "deadline out of reach, %; gap to the oracle is paired by trace",
    )
    for heading in (
        "policy",
        "cost",
        "gap to C_opt",
        "gap to oracle",
        "latency s",
        "energy J",
        "mean phi",
        "worst phi",
    ):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for heading in ("backlog end", "missed %", "rejected %", "modes %"):
        table.add_column(heading, justify="right")
    for name, metrics in result.metrics.items():
        average = {key: float(values.mean()) for key, values in metrics.items()}
        table.add_row(
            name,
            format_estimate(mean(metrics["cost"])),
            f"{100 * average['gap_to_optimum']:+.1f} %",
            f"{100 * average['gap_to_oracle']:+.1f} %",
            f"{average['latency_s']:.2f}",
            f"{average['energy_j']:.2f}",
            f"{average['fraction']:.3f}",
            f"{average['fraction_worst']:.3f}",
            f"{average['backlog_final']:.2f}",
            f"{100 * average['deadline_missed_feasible']:.2f}",
            f"{100 * average['qpu_rejected']:.1f}",
            " / ".join(f"{100 * average[mode]:.0f}" for mode in _MODES),
        )
    return table


def comparison_notes(result: Comparison) -> list[str]:
    """What a reader must know to read the table rightly."""
    optimum, delta = result.optimum, result.scenario.lyapunov.delta
    notes = [
        f"C_opt({delta:g}) = {optimum.cost.mean():.3f}, the least cost of any policy that meets every deadline it can "
        f"and keeps the mean phi of every device at {delta:g} or above.",
        f"The QPU admits {100 * result.qpu_admitted:.1f} % of the tasks.",
    ]
    infeasible = int((~optimum.feasible).sum())
    if infeasible:
        worst = float(optimum.reachable[~optimum.feasible].min())
        notes.append(
            f"Delta = {delta:g} is out of reach for {infeasible} of {optimum.feasible.size} devices (the least reaches "
            f"a mean phi of {worst:.3f}): their queues grow without bound, and C_opt takes them at the most they reach."
        )
    return notes


def format_estimate(estimate: Estimate, digits: int = 2) -> str:
    """``15.13 [15.02, 15.25]``."""
    if np.isnan(estimate.low):
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def comparison_json(result: Comparison) -> dict[str, Any]:
    """Everything a machine may want, with the scenario and the seeds that make it reproducible."""
    optimum = result.optimum
    reference = result.metrics.get("oracle", next(iter(result.metrics.values())))
    return {
        "package": {"name": "meqc-marl", "version": __version__},
        "scenario": result.scenario.model_dump(mode="json"),
        "trace": {
            "seeds": list(result.seeds),
            "file": result.trace_file,
            "num_slots": result.num_slots,
            "num_traces": result.num_traces,
            "qpu_admitted": result.qpu_admitted,
        },
        "policy_seed": result.policy_seed,
        "optimum": {
            "delta": optimum.delta,
            "cost": float(optimum.cost.mean()),
            "cost_per_trace": optimum.cost.mean(-1).tolist(),
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
            "reference": "oracle" if "oracle" in result.metrics else next(iter(result.metrics)),
            "policies": {
                name: _estimate_json(paired_difference(metrics["cost"], reference["cost"]))
                for name, metrics in result.metrics.items()
            },
        },
    }


def save_json(content: dict[str, Any], path: str | Path) -> None:
    """Write JSON; the file is complete or, after a crash, untouched."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_aside(path, lambda file: file.write(text.encode()))


def write_aside(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a file that takes the place of ``path`` once it is complete."""
    try:
        with replacing(path) as file:
            write(file)
    except OSError as error:
        raise InputError(f"output file: '{path}' cannot be written ({error.strerror or error}).") from error


def check_output(path: str | Path) -> None:
    """Refuse a path that cannot be written, before any work is done."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"output file: '{path}' is a directory.")
    try:
        handle, probe = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
    except OSError as error:
        raise InputError(f"output file: '{path}' cannot be written ({error.strerror or error}).") from error
    os.close(handle)
    os.unlink(probe)


def _metric_json(values: np.ndarray) -> dict[str, Any]:
    return {
        "mean": _estimate_json(mean(values)),
        "iqm": _estimate_json(interquartile_mean(values)),
        "per_trace": values.tolist(),
    }


def _estimate_json(estimate: Estimate) -> dict[str, float | None]:
    """NaN, the interval of a single trace, becomes null."""
    return {key: None if np.isnan(number) else number for key, number in estimate._asdict().items()}
