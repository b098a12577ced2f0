"""Pictures of the figures: over settings, over slots, over training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from experiments.figures.data import Data
from experiments.figures.methods import method_of
from meqc_marl.evaluation.held_out import NUM_TRACES
from meqc_marl.evaluation.statistics import brackets, error_bars, interquartile_mean
from meqc_marl.files import replacing
from meqc_marl.report.bars import scatter_points


@contextmanager
def axes_of(path: Path, title: str, xlabel: str, ylabel: str, height: float = 4.6) -> Iterator[Any]:
    """Axes of a picture that is written in the end, as PNG and beside it as PDF."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(7.2, height), layout="constrained")
    axes = picture.subplots()
    yield axes
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        picture.legend(fontsize=8, ncols=3, loc="outside lower center")
    for kind, more in (("png", {"dpi": 130}), ("pdf", {"metadata": {"CreationDate": None}})):
        with replacing(path.with_suffix(f".{kind}")) as file:
            picture.savefig(file, format=kind, **more)


def draw_over_settings(data: Data, path: Path, title: str, xlabel: str, xscale: str = "linear") -> None:
    """Cost against x: what is learned with intervals, the exact solvers dashed in the same colour, C_opt in black."""
    settings = data.settings()
    x = np.array([setting["x"] for setting in settings])
    with axes_of(path, _caption(data, title), xlabel, "mean cost of a device in a slot") as axes:
        for kind in ("learned", "exact"):
            for name in data.methods(kind):
                method = method_of(name)
                there = np.array([data.row(setting["name"], name, kind) is not None for setting in settings])
                scores = [data.sampled(s["name"], name, kind) for s, has in zip(settings, there, strict=True) if has]
                estimates = [interquartile_mean(s if kind == "learned" else data.beside(s)) for s in scores]
                has_marks = kind == "learned" or method.learner is None or "learned" not in _kinds(data, name)
                # No line leads through settings in which nothing was trained.
                learned_line = "-" if there.all() else ""
                axes.errorbar(
                    x[there],
                    [estimate.value for estimate in estimates],
                    yerr=error_bars(estimates) if kind == "learned" else None,
                    color=method.colour,
                    linestyle=learned_line if kind == "learned" else "--",
                    marker=method.marker if has_marks else None,
                    markersize=5,
                    capsize=3,
                    linewidth=1.5 if kind == "learned" else 1.0,
                    label=f"{name}, {kind}",
                )
                if kind == "learned":
                    scatter_points(axes, x[there], estimates, method.colour)
        reached = np.array([setting["out_of_reach"] == 0.0 for setting in settings])
        optima = np.array([interquartile_mean(data.beside(np.array(s["optimum"]))).value for s in settings])
        axes.plot(x[reached], optima[reached], "k+", markersize=9, zorder=5, label="C_opt, least cost that keeps Delta")
        for number, place in enumerate(x[~reached]):
            label = "Delta out of reach of some devices" if number == 0 else None
            axes.axvline(place, color="grey", linewidth=6, alpha=0.2, label=label)
        axes.set_xscale(xscale)


def _caption(data: Data, title: str) -> str:
    """The title with what lines, intervals and points are, so that the picture can stand alone."""
    rows = [row for row in data.content["rows"] if row["kind"] == "learned"]
    if not rows:
        return f"{title}\nsolved exactly under each method's restriction; nothing is learned"
    runs = max(len(row["cost"]) for row in rows)
    learned = [data.estimate(row["setting"], row["method"], "learned") for row in rows]
    behind = brackets(learned, f"of {runs} training runs")
    over = f"interquartile means{behind}" if behind else "one training run"
    return f"{title}\nsolid: learned; dashed: solved exactly under the same restriction\n{over}"


_SHADES = (("#00304D", "o"), ("#0072B2", "s"), ("#6DBCE8", "^"), ("#3F5B6E", "v"), ("#A9B8C2", "D"))
"""Of our method's colour, for settings that are told apart in a picture of it alone."""


def _kinds(data: Data, method: str) -> set[str]:
    return {row["kind"] for row in data.content["rows"] if row["method"] == method}


def _looks(curves: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Colour and marker of its method for each curve; where settings are told apart, shades of our method's."""
    if len({setting for setting, _, _ in curves}) == 1:
        return [(method_of(name).colour, method_of(name).marker) for _, name, _ in curves]
    return [_SHADES[number % len(_SHADES)] for number in range(len(curves))]


def draw_over_slots(data: Data, path: Path, title: str, curves: Sequence[tuple[str, str, str]]) -> None:
    """Mean cost up to a slot; curves are (setting, method, label), named where they end."""
    height = 4.6 if len(curves) <= 3 else 6.4
    with axes_of(path, _caption(data, title), "slot", "mean cost of a device up to the slot", height) as axes:
        ends: list[tuple[float, str, str, float]] = []
        settled: list[float] = []
        for number, ((colour, marker), (setting, name, label)) in enumerate(zip(_looks(curves), curves, strict=True)):
            for kind, line in (("learned", "-"), ("exact", "--")):
                row = data.row(setting, name, kind)
                if row is None:
                    continue
                running = np.array(row["running_cost"])  # [runs, traces, marks]
                running = running if kind == "learned" else data.beside(running[0])
                middle = [interquartile_mean(running[..., mark]) for mark in range(running.shape[-1])]
                axes.plot(
                    *(row["slots"], [e.value for e in middle], line),
                    color=colour,
                    marker=marker,
                    markersize=5,
                    markerfacecolor=colour if kind == "learned" else "none",
                    markevery=(3 * number + (0 if kind == "learned" else 5), 10),
                )
                settled += [e.value for e in middle[_SETTLED:]]
                ends.append((middle[-1].value, f"{label}, {kind}: {middle[-1].value:.2f}", colour, row["slots"][-1]))
                if kind == "learned" and middle[0].has_interval:
                    low, high = [e.low for e in middle], [e.high for e in middle]
                    axes.fill_between(row["slots"], low, high, color=colour, alpha=0.15, linewidth=0)
                elif kind == "learned":
                    for run in zip(*(e.points for e in middle), strict=True):
                        axes.plot(row["slots"], run, color=colour, alpha=0.4, linewidth=0.7)
        margin = 0.04 * (max(settled) - min(settled))
        axes.set_ylim(min(settled) - margin, max(settled) + margin)
        _name_ends(axes, ends, gap=0.2 / height)


_SETTLED = 2
"""Marks after which the scale is made; the first slots, with empty queues, may leave the frame."""


def _name_ends(axes: Any, ends: Sequence[tuple[float, str, str, float]], gap: float) -> None:
    """Names and last values beside the lines' ends, apart from each other however close the lines are.

    Args:
        axes: Of the lines.
        ends: Last value, name, colour and last slot of each.
        gap: Least distance of two names, in the axes' height.
    """
    low, high = axes.get_ylim()
    ordered = sorted(ends)
    heights = np.array([(end[0] - low) / (high - low) for end in ordered])
    for _ in range(500):  # neighbours that are too close push each other away
        for place in range(len(heights) - 1):
            lacking = gap - (heights[place + 1] - heights[place])
            if lacking > 0.0:
                heights[place : place + 2] += np.array([-0.5, 0.5]) * lacking
    for (value, text, colour, slot), height in zip(ordered, heights, strict=True):
        axes.annotate(
            text,
            xy=(slot, value),
            xycoords="data",
            xytext=(1.09, height),
            textcoords="axes fraction",
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1.0,
                "shrinkA": 1,
                "shrinkB": 1,
                "relpos": (0.0, 0.5),
            },
        )


def draw_over_training(data: Data, path: Path, title: str, curves: Sequence[tuple[str, str, str]]) -> None:
    """Cost of the greedy policy during training, all runs; the exact solver's on the same traces as a dashed line."""
    title += "\nsolid: learned, a line for each training run; dashed: solved exactly under the same restriction"
    ends = [curve[-1][0] for row in data.content["rows"] for curve in row.get("curve", ())]
    end = max(ends, default=1)
    with axes_of(path, title, "environment steps", "cost of the greedy policy on held-out traces") as axes:
        for (colour, marker), (setting, name, label) in zip(_looks(curves), curves, strict=True):
            row = data.row(setting, name, "learned")
            for run, curve in enumerate(row["curve"] if row else ()):
                steps, costs = np.array(curve).T
                told = f"{label}, learned" if run == 0 else None
                axes.plot(*(steps, costs), color=colour, marker=marker, markersize=4, linewidth=1.2, label=told)
            # The traces of the evaluations during training are the first of all.
            exact = float(data.scores(setting, name, "exact")[0, :NUM_TRACES].mean())
            axes.plot(
                *([0, end], [exact, exact]),
                color=colour,
                linestyle="--",
                marker=marker,
                markerfacecolor="none",
                linewidth=1,
                label=f"{label}, exact",
            )
