"""What a grid of V and Delta shows: a table, heat maps, and the lines that the theory bounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from meqc_marl.config.quantity import fixed
from meqc_marl.evaluation.grid import GridPoint
from meqc_marl.evaluation.statistics import brackets, error_bars
from meqc_marl.files import replacing
from meqc_marl.report.bars import check_plot_path, scatter_points
from meqc_marl.report.tables import format_estimate
from meqc_marl.report.ticks import label_values

MAPS: dict[str, str] = {
    "cost": "mean cost of a device in a slot",
    "fraction_worst": "mean share sent by the worst device",
    "backlog_mean": "mean virtual queue",
}
"""Metric to label of the heat maps."""
_COLUMNS = ["V", "Delta", "regret\n%", "cost", "exact", "C_opt", "phi\nmin", "exact", "queue", "exact", "miss\n%"]


def grid_table(points: Sequence[GridPoint]) -> Table:
    """One row for each V and Delta."""
    table = Table(
        title=f"{_means(points)}; beside them the exact oracle's",
        title_justify="left",
        caption=None if all(point.feasible for point in points) else "*: Delta is out of reach of some devices",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0,
    )
    for column in _COLUMNS:  # if it must, the cost takes two lines
        table.add_column(column, justify="right", no_wrap=column != "cost")
    for point in points:
        learned, oracle = point.learned, point.oracle
        cells = [f"{point.v:g}", f"{point.delta:g}{'' if point.feasible else '*'}"]
        if learned:
            cells += [
                fixed(100 * max(learned["regret"].value, 0.0), ".2f"),
                format_estimate(learned["cost"]),
                fixed(oracle["cost"], ".2f"),
                fixed(point.optimum, ".2f"),
                fixed(learned["fraction_worst"].value, ".2f"),
                fixed(oracle["fraction_worst"], ".2f"),
                fixed(learned["backlog_mean"].value, ".2f"),
                fixed(oracle["backlog_mean"], ".2f"),
                fixed(100 * learned["deadline_missed_feasible"].value, ".1f"),
            ]
        table.add_row(*cells)
    return table


def _means(points: Sequence[GridPoint]) -> str:
    """What the learned values are: interquartile means, with intervals or each seed's, or of one seed."""
    behind = brackets((point.learned["cost"] for point in points if point.learned), "seed")
    return f"interquartile means over training seeds{behind}" if behind else "one training seed"


def save_grid_plot(points: Sequence[GridPoint], path: str | Path) -> None:
    """Heat maps of the learned policy over the oracle's, and cost and backlog against V with their bounds."""
    from matplotlib.figure import Figure  # takes half a second: only who plots pays for it

    check_plot_path(path)
    figure = Figure(figsize=(13, 10.5), layout="constrained")
    axes = figure.subplots(3, 3)
    for column, (metric, label) in enumerate(MAPS.items()):
        _heat_maps(figure, axes[:2, column], points, metric, label)
    _lines(axes[2], points)
    title = f"the learned policy over the exact oracle, on the same held-out traces; {_means(points)}"
    if not all(point.feasible for point in points):
        title += "\nhatched: Delta, the least mean share that each device must send away, is out of some device's reach"
    figure.suptitle(title, fontsize=10)
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=120)


def _heat_maps(figure: Any, axes: Any, points: Sequence[GridPoint], metric: str, label: str) -> None:
    """A metric of the learned policy and below it of the oracle, on one scale."""
    vs, deltas = sorted({point.v for point in points}), sorted({point.delta for point in points})
    grids = [np.full((len(deltas), len(vs)), np.nan) for _ in range(2)]
    for point in points:
        where = deltas.index(point.delta), vs.index(point.v)
        grids[0][where] = point.learned[metric].value if point.learned else np.nan
        grids[1][where] = point.oracle[metric]
    low, high = np.nanmin(grids), np.nanmax(grids)
    for axis, grid, who in zip(axes, grids, ("learned", "exact oracle"), strict=True):
        image = axis.imshow(grid, origin="lower", aspect="auto", cmap="cividis", vmin=low, vmax=high)
        label_values(axis, range(len(vs)), [f"{v:g}" for v in vs], may_be_log=False)
        axis.set_yticks(range(len(deltas)), [f"{delta:g}" for delta in deltas])
        axis.set(xlabel="V, weight of the cost", ylabel="Delta, least mean share", title=f"{who}: {label}")
        axis.title.set_fontsize(9)
        for point in points:
            if not point.feasible:
                x, y = vs.index(point.v) - 0.5, deltas.index(point.delta) - 0.5
                corners = [x, x + 1, x + 1, x], [y, y, y + 1, y + 1]
                axis.fill(*corners, fill=False, hatch="///", edgecolor="grey", linewidth=0)
        for (j, i), value in np.ndenumerate(grid):
            if np.isfinite(value):
                shade = image.cmap(image.norm(value))
                is_dark = np.dot(shade[:3], (0.299, 0.587, 0.114)) < 0.5
                # On a patch of the cell's own colour: no hatching runs through it.
                patch = {"facecolor": shade, "edgecolor": "none", "boxstyle": "round,pad=0.2"}
                text = axis.text(i, j, f"{value:.3g}", ha="center", va="center", fontsize=7, bbox=patch)
                text.set_color("w" if is_dark else "k")
        figure.colorbar(image, ax=axis)


#: As in every figure: the exact counterpart dashed in the colour of the learned policy.
_ORACLE: dict[str, Any] = {
    "color": "#0072B2",
    "linestyle": "--",
    "marker": "s",
    "markerfacecolor": "none",
    "label": "exact oracle",
}
_LEARNED: dict[str, Any] = {"color": "#0072B2", "marker": "o", "capsize": 3, "label": "learned"}


def _lines(axes: Any, points: Sequence[GridPoint]) -> None:
    """Cost against 1 / V, backlog and worst device against V, at the feasible Delta nearest to 0.7."""
    deltas = sorted({point.delta for point in points})
    feasible = [delta for delta in deltas if all(point.feasible for point in points if point.delta == delta)]
    delta = min(feasible, key=lambda value: abs(value - 0.7), default=None)
    line = sorted((point for point in points if point.delta == delta and point.learned), key=lambda point: point.v)
    if not line:
        for axis in axes:
            axis.set_axis_off()
        return
    v = np.array([point.v for point in line])
    for axis, metric, x in zip(axes, ("cost", "backlog_mean", "fraction_worst"), (1.0 / v, v, v), strict=True):
        estimates = [point.learned[metric] for point in line]
        middle, spread = np.array([estimate.value for estimate in estimates]), error_bars(estimates)
        exact = np.array([point.oracle[metric] for point in line])
        axis.errorbar(x, middle, yerr=spread, **_LEARNED)
        scatter_points(axis, x, estimates, _LEARNED["color"])
        axis.plot(x, exact, **_ORACLE)
        if metric == "cost":
            axis.axhline(line[0].optimum, color="grey", linewidth=1, label="C_opt, least cost that keeps Delta")
            _bound(axis, x, [point.cost_bound for point in line])
            ends = [end for estimate in estimates for end in (estimate.least, estimate.greatest)]
            _fit(axis, np.concatenate([middle, ends, exact, [line[0].optimum]]))
        elif metric == "backlog_mean":
            _bound(axis, x, [point.backlog_bound for point in line])
            axis.set_yscale("symlog", linthresh=0.1)
        else:
            axis.axhline(line[0].delta, color="grey", linewidth=1, label="Delta")
        label_values(axis, x.tolist(), [f"{value:.3g}" for value in x])
        xlabel = "1 / V" if metric == "cost" else "V, weight of the cost"
        axis.set(xlabel=xlabel, ylabel=MAPS[metric], title=f"Delta = {line[0].delta:g}")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)


def _bound(axis: Any, x: np.ndarray, bound: Sequence[float]) -> None:
    """What the theory allows."""
    axis.plot(x, bound, ":", color="black", label="bound of theory, with the learner's regret")


def _fit(axis: Any, values: np.ndarray) -> None:
    """Limits for the values: a bound that lies far above leaves the frame."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max(0.25 * (high - low), 1e-3 * abs(high))
    axis.set_ylim(low - margin, high + 2.0 * margin)
