"""What a grid of V and Delta shows: a table, heat maps, and the lines that the theory bounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from meqc_marl.evaluation.grid import GridPoint
from meqc_marl.evaluation.statistics import error_bars
from meqc_marl.files import replacing
from meqc_marl.report.bars import check_plot_path

MAPS: dict[str, str] = {
    "cost": "mean cost of a device in a slot",
    "fraction_worst": "mean fraction of the worst device",
    "backlog_mean": "mean virtual queue",
}
"""Metric to label of the heat maps."""


def grid_table(points: Sequence[GridPoint]) -> Table:
    """One row for each V and Delta."""
    table = Table(title="interquartile means over seeds [95 % interval]; the exact oracle's in brackets")
    for column in ("V", "Delta", "cost", "gap %", "C_opt", "worst phi", "backlog", "misses %"):
        table.add_column(column, justify="right")
    for point in points:
        learned, oracle = point.learned, point.oracle
        cells = [f"{point.v:g}", f"{point.delta:g}{'' if point.feasible else ' (out of reach)'}"]
        if learned:
            cost = learned["cost"]
            interval = f" [{cost.low:.2f}, {cost.high:.2f}]" if np.isfinite(cost.low) else ""
            cells += [
                f"{cost.value:.2f}{interval} ({oracle['cost']:.2f})",
                f"{100 * learned['gap_to_oracle'].value:+.1f}",
                f"{point.optimum:.2f}",
                f"{learned['fraction_worst'].value:.3f} ({oracle['fraction_worst']:.3f})",
                f"{learned['backlog_mean'].value:.2f} ({oracle['backlog_mean']:.2f})",
                f"{100 * learned['deadline_missed_feasible'].value:.1f}",
            ]
        table.add_row(*cells)
    return table


def save_grid_plot(points: Sequence[GridPoint], path: str | Path) -> None:
    """Heat maps of the learned policy over the oracle's, and cost and backlog against V with their bounds."""
    from matplotlib.figure import Figure  # takes half a second: only who plots pays for it

    check_plot_path(path)
    vs, deltas = sorted({point.v for point in points}), sorted({point.delta for point in points})
    figure = Figure(figsize=(13, 10.5), layout="constrained")
    axes = figure.subplots(3, 3)
    for column, (metric, label) in enumerate(MAPS.items()):
        grids = [np.full((len(deltas), len(vs)), np.nan) for _ in range(2)]
        for point in points:
            where = deltas.index(point.delta), vs.index(point.v)
            grids[0][where] = point.learned[metric].value if point.learned else np.nan
            grids[1][where] = point.oracle[metric]
        low, high = np.nanmin(grids), np.nanmax(grids)
        for row, (grid, who) in enumerate(zip(grids, ("learned", "exact oracle"), strict=True)):
            axis = axes[row, column]
            image = axis.imshow(grid, origin="lower", aspect="auto", cmap="cividis", vmin=low, vmax=high)
            axis.set_xticks(range(len(vs)), [f"{v:g}" for v in vs])
            axis.set_yticks(range(len(deltas)), [f"{delta:g}" for delta in deltas])
            axis.set(xlabel="V", ylabel="Delta", title=f"{who}: {label}")
            axis.title.set_fontsize(9)
            for (j, i), value in np.ndenumerate(grid):
                if np.isfinite(value):
                    dark = value < low + 0.5 * (high - low)
                    axis.text(i, j, f"{value:.3g}", ha="center", va="center", fontsize=7, color="w" if dark else "k")
            for point in points:
                if not point.feasible:
                    x, y = vs.index(point.v) - 0.5, deltas.index(point.delta) - 0.5
                    corners = [x, x + 1, x + 1, x], [y, y, y + 1, y + 1]
                    axis.fill(*corners, fill=False, hatch="/", edgecolor="grey", linewidth=0, alpha=0.6)
            figure.colorbar(image, ax=axis)
    _lines(axes[2], points, deltas)
    figure.suptitle("interquartile means over seeds; hatched: Delta is out of some device's reach", fontsize=10)
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=120)


#: As in every figure: the exact counterpart dashed in the colour of the learned policy.
_ORACLE: dict[str, Any] = {
    "color": "#0072B2",
    "linestyle": "--",
    "marker": "s",
    "markerfacecolor": "none",
    "label": "exact oracle",
}


def _lines(axes: Any, points: Sequence[GridPoint], deltas: Sequence[float]) -> None:
    """Cost against 1 / V and backlog against V, at the feasible Delta nearest to 0.7."""
    feasible = [delta for delta in deltas if all(point.feasible for point in points if point.delta == delta)]
    if not feasible:
        for axis in axes:
            axis.set_axis_off()
        return
    delta = min(feasible, key=lambda value: abs(value - 0.7))
    line = sorted((point for point in points if point.delta == delta and point.learned), key=lambda point: point.v)
    if not line:
        return
    v = np.array([point.v for point in line])
    for axis, metric, x, bound, label in (
        (axes[0], "cost", 1.0 / v, [point.cost_bound for point in line], "1 / V"),
        (axes[1], "backlog_mean", v, [point.backlog_bound for point in line], "V"),
    ):
        estimates = [point.learned[metric] for point in line]
        middle = np.array([estimate.value for estimate in estimates])
        axis.errorbar(x, middle, yerr=error_bars(estimates), color="#0072B2", marker="o", capsize=3, label="learned")
        axis.plot(x, [point.oracle[metric] for point in line], **_ORACLE)
        axis.plot(x, bound, ":", color="black", label="bound, with the learner's regret")
        if metric == "cost":
            axis.axhline(line[0].optimum, color="grey", linewidth=1, label="C_opt")
            axis.set_ylim(top=1.5 * middle.max(), bottom=0.9 * line[0].optimum)
        else:
            axis.set_yscale("symlog", linthresh=0.1)
        axis.set_xscale("log")
        axis.set(xlabel=label, ylabel=MAPS[metric], title=f"Delta = {delta:g}")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    worst = [min(point.learned["fraction_worst"].value, 1.0) for point in line]
    axes[2].plot(v, worst, "o-", color="#0072B2", label="learned")
    axes[2].plot(v, [point.oracle["fraction_worst"] for point in line], **_ORACLE)
    axes[2].axhline(delta, color="grey", linewidth=1, label="Delta")
    axes[2].set_xscale("log")
    axes[2].set(xlabel="V", ylabel=MAPS["fraction_worst"], title=f"Delta = {delta:g}")
    axes[2].grid(alpha=0.3)
    axes[2].legend(fontsize=8)
