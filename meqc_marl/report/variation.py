"""Show a variation: a table for the terminal, a picture, CSV and JSON for machines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from meqc_marl import __version__
from meqc_marl.config.describe import format_value
from meqc_marl.config.quantity import fixed
from meqc_marl.evaluation.metrics import METRICS
from meqc_marl.evaluation.statistics import MIN_UNITS, Estimate, error_bars
from meqc_marl.evaluation.variation import Axis, Point, Variation
from meqc_marl.files import replacing
from meqc_marl.report.bars import check_plot_path, line_style, scatter_points
from meqc_marl.report.plain import without_math
from meqc_marl.report.tables import format_estimate
from meqc_marl.report.ticks import label_values

_CSV_COLUMNS = ("policy", "metric", "unit", "mean", "low", "high", "minus", "difference", "difference_low")


def axis_label(value: Any) -> str:
    """A value as it can be given; a range of no width, or a single choice, by its one number."""
    if isinstance(value, list):
        return format_value(value[0]) if len(set(map(str, value))) == 1 else format_value(tuple(value))
    return format_value(value)


def variation_table(result: Variation, metric: str = "cost") -> Table:
    """A row for each point and policy, that fits a terminal of 80 columns."""
    first = result.policies[0]
    about = METRICS[metric].meaning
    table = Table(
        title=f"{result.scenario.name}: {about}, {len(result.seeds)} trace(s) of {result.num_slots} slots",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for axis in result.axes:
        heading = axis.field.rpartition(".")[2].replace("_", " ")  # breaks between words
        width = max(map(len, [*heading.split(), *map(axis_label, axis.values)]))
        table.add_column(heading, justify="right", overflow="fold", max_width=width)
    table.add_column("policy", overflow="fold")
    table.add_column(metric, justify="right", no_wrap=True)
    table.add_column(f"minus {first}", justify="right", no_wrap=True)
    table.add_column("%", justify="right", no_wrap=True)
    before: tuple[str, ...] = ()
    for point in result.points:
        labels = tuple(axis_label(value) for value in point.values)
        if before and labels[0] != before[0]:
            table.add_section()
        for name in result.policies:
            # What stands above is not told again.
            cells = [label if labels[: k + 1] != before[: k + 1] else "" for k, label in enumerate(labels)] + [name]
            before = labels
            estimate = point.estimate(name, metric)
            cells.append(format_estimate(estimate, _digits(estimate)))
            if name != first:
                difference = point.difference(name, first, metric)
                reference = point.estimate(first, metric).value
                cells.append(format_estimate(difference, _digits(estimate), sign=True))
                cells.append(fixed(100 * difference.value / reference, "+.1f") if reference else "")
            table.add_row(*cells)
    return table


def variation_notes(result: Variation) -> list[str]:
    """What a reader must know to read the table rightly."""
    seeds = result.seeds
    several = len(seeds) > 1
    traces = f"traces of seeds {seeds[0]} to {seeds[-1]}" if several else f"trace of seed {seeds[0]}"
    traces = traces if not result.given else f"{len(seeds)} traces that were given"
    notes = [f"Behind every row are the {traces}; between rows nature differs by what the varied field says alone."]
    if len(seeds) >= MIN_UNITS:
        notes.append("In brackets 95 % intervals over the traces; those of differences are paired by trace.")
    elif several:
        notes.append(
            f"In parentheses each trace's own; fewer than {MIN_UNITS} allow no intervals, give more with --num-traces."
        )
    else:
        notes.append("One trace allows no intervals; give more with --num-traces.")
    if result.policies[0] == "oracle" and "oracle-cpu" in result.policies:
        notes.append("oracle-cpu minus oracle is what the QPU saves: the same exact decisions, without and with it.")
    return notes


def _digits(estimate: Estimate) -> int:
    """Decimals for about four digits."""
    size = abs(estimate.value)
    return 3 if size < 2 else 2 if size < 1_000 else 0


def variation_csv(result: Variation) -> str:
    """A row for each point, policy and metric."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*(axis.field for axis in result.axes), *_CSV_COLUMNS, "difference_high"])
    for point in result.points:
        for name, metric, mean, difference in _cells(result, point):
            unit = METRICS[metric].unit
            numbers = [*mean[:3], *(("", "", "", "") if difference is None else (result.policies[0], *difference[:3]))]
            cells = ["" if number != number else number for number in numbers]
            writer.writerow([*(axis_label(value) for value in point.values), name, metric, unit, *cells])
    return file.getvalue()


def save_variation_csv(result: Variation, path: str | Path) -> None:
    """Write the CSV; the file is complete or, after a crash, untouched."""
    with replacing(path) as file:
        file.write(variation_csv(result).encode())


def variation_json(result: Variation) -> dict[str, Any]:
    """All numbers, with what makes them reproducible."""
    points = []
    for point in result.points:
        policies: dict[str, Any] = {name: {} for name in result.policies}
        for name, metric, mean, difference in _cells(result, point):
            policies[name][metric] = {"mean": mean.numbers(), "per_trace": point.metrics[name][metric].tolist()}
            if difference is not None:
                policies[name][metric]["difference"] = difference.numbers()
        points.append({"values": list(point.values), "policies": policies})
    return {
        "package": {"name": "meqc-marl", "version": __version__},
        "scenario": result.scenario.model_dump(mode="json"),
        "axes": [{"field": axis.field, "values": list(axis.values)} for axis in result.axes],
        "trace": {"seeds": [] if result.given else list(result.seeds), "num_slots": result.num_slots},
        "metrics": {name: metric._asdict() for name, metric in METRICS.items()},
        "differences_to": result.policies[0],
        "points": points,
    }


def _cells(result: Variation, point: Point) -> Iterator[tuple[str, str, Estimate, Estimate | None]]:
    """Policy, metric, mean, and difference to the first policy."""
    first = result.policies[0]
    for name, metrics in point.metrics.items():
        for metric in metrics:
            difference = None if name == first else point.difference(name, first, metric)
            yield name, metric, point.estimate(name, metric), difference


def save_variation_plot(result: Variation, path: str | Path, metric: str = "cost") -> None:
    """The metric against the first axis, a panel for each value of the second; below, the differences to the first."""
    from matplotlib.figure import Figure  # takes half a second: only who plots pays for it

    check_plot_path(path)
    first, others = result.policies[0], result.policies[1:]
    across = result.axes[1].values if len(result.axes) == 2 else (None,)
    rows = 2 if others else 1
    figure = Figure(figsize=(max(5.5, 3.4 * len(across)), 3.0 * rows + 0.8), layout="constrained")
    panels = figure.subplots(rows, len(across), sharex=True, sharey="row", squeeze=False)
    for column, value in enumerate(across):
        points = [point for point in result.points if len(point.values) == 1 or point.values[1] == value]
        for name in result.policies:
            _draw(panels[0, column], result.axes[0], [point.estimate(name, metric) for point in points], result, name)
        for name in others:
            differences = [point.difference(name, first, metric) for point in points]
            _draw(panels[1, column], result.axes[0], differences, result, name)
        if others:
            panels[1, column].axhline(0.0, color="black", linewidth=0.8)
        if value is not None:
            field = result.axes[1].field.rpartition(".")[2]
            panels[0, column].set_title(f"{field} = {axis_label(value)}", fontsize="medium")
        _scale(panels[-1, column], result.axes[0])
    unit = METRICS[metric].unit
    panels[0, 0].set_ylabel(metric if unit in ("", metric) else f"{metric} ({unit})")
    if others:
        panels[1, 0].set_ylabel(f"minus {without_math(first)}")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    traces = len(result.seeds)
    bars = ", bars: 95 % intervals" if traces >= MIN_UNITS else ", points: each trace" if traces > 1 else ""
    what = METRICS[metric].meaning
    title = without_math(result.scenario.name)
    figure.suptitle(
        f"{title}: {what}\nmean of {traces} trace(s) of {result.num_slots} slots{bars}",
        fontsize=10,
    )
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=150)


def _draw(axes: Any, axis: Axis, estimates: list[Estimate], result: Variation, name: str) -> None:
    """A line with intervals; between values that are no numbers there is none."""
    numbers = axis.numbers
    x = np.arange(len(axis.values)) if numbers is None else np.array(numbers)
    order = np.argsort(x)
    y = np.array([estimate.value for estimate in estimates])
    style = line_style(name, result.policies)
    if numbers is None:
        style["linestyle"] = "none"
    axes.errorbar(
        x[order], y[order], yerr=error_bars(estimates)[:, order], capsize=3, label=without_math(name), **style
    )
    scatter_points(axes, x, estimates, style["color"])
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _scale(axes: Any, axis: Axis) -> None:
    """Label the values that were asked for."""
    numbers, labels = axis.numbers, [axis_label(value) for value in axis.values]
    label_values(axes, range(len(labels)) if numbers is None else numbers, labels, may_be_log=numbers is not None)
    axes.set_xlabel(axis.field)
