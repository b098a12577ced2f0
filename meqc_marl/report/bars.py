"""Plot a comparison. Every policy has one colour and one hatch everywhere, told apart in grey as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meqc_marl.errors import InputError
from meqc_marl.evaluation.comparison import Comparison
from meqc_marl.evaluation.statistics import Estimate, brackets, error_bars, mean
from meqc_marl.files import replacing
from meqc_marl.policies import POLICIES
from meqc_marl.report.plain import without_math
from meqc_marl.report.tables import format_regret

COST_LABEL = "mean cost of a device in a slot (weighted s and J)"
"""Of the axis of every picture that shows the cost."""
# Okabe and Ito's colours, safe for colour-blind readers, ordered here from light to dark within each pair.
_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#F5C710", "#CC79A7", "#E7B8D4", "#999999", "#D55E00")
_HATCHES = ("", "//", "xx", "", "\\\\", "", "..", "--", "++")
_LATER_HATCHES = ("**", "||")  # for the policies that the colours are used for a second and a third time
_LEARNED = ("#2F4B3C", "#6E8B7B", "#A9BFB2")
_HALO = 3.0
"""Width of the white behind an error bar: it is seen on every colour and hatch."""


def policy_style(name: str, learned: int = 0) -> dict[str, str]:
    """Colour and hatch of a policy; ``learned`` counts those that are not in the registry."""
    if name in POLICIES:
        index = list(POLICIES).index(name)
        hatch = _HATCHES[index] if index < len(_HATCHES) else _LATER_HATCHES[index // len(_COLOURS) - 1]
        return {"facecolor": _COLOURS[index % len(_COLOURS)], "hatch": hatch}
    return {"facecolor": _LEARNED[learned % len(_LEARNED)], "hatch": "oo"}


_LINES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#E69F00", "v", "-"),
    ("#56B4E9", "P", "--"),
    ("#999999", "X", "-."),
)


def line_style(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Colour, marker and line of a policy among those of a picture, as distinct as they can be, in grey as well."""
    colour, marker, line = _LINES[names.index(name) % len(_LINES)]
    if name not in POLICIES:
        colour = "#000000"
    return {"color": colour, "marker": marker, "linestyle": line, "markersize": 5}


_POINTS: dict[str, Any] = {"color": "black", "marker": ".", "linestyle": "none", "markersize": 5}
"""Of units too few for an interval."""


def scatter_points(axis: Any, x: Sequence[float] | np.ndarray, estimates: Sequence[Estimate], colour: str) -> None:
    """The units' own values over x, where they are too few for an interval."""
    for at, estimate in zip(x, estimates, strict=True):
        if not estimate.has_interval:
            axis.plot([at] * len(estimate.points), estimate.points, **_POINTS | {"color": colour})


def save_comparison_plot(result: Comparison, path: str | Path) -> None:
    """Bars of regret, of cost with C_opt, and of the worst device's mean fraction with Delta; with 95 % intervals."""
    from matplotlib.figure import Figure  # takes half a second: only who plots pays for it
    from matplotlib.patheffects import Normal, Stroke

    check_plot_path(path)
    names = list(result.metrics)
    unknown = [name for name in names if name not in POLICIES]
    styles = [policy_style(name, unknown.index(name) if name in unknown else 0) for name in names]
    # A bare Figure draws with Agg and touches no global state: it needs no display and nothing to close.
    figure = Figure(figsize=(13, 0.42 * len(names) + 2.0), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    references = (
        (axes[0], "regret", "regret against the exact oracle, % of V times cost", None, ""),
        (axes[1], "cost", COST_LABEL, result.optimum.overall_cost, "C_opt"),
        (axes[2], "fraction_worst", "mean share sent away by the worst device", result.optimum.delta, "Delta"),
    )
    meanings = {"C_opt": ", least cost that keeps Delta", "Delta": ", least mean share asked for"}
    for axis, metric, label, reference, reference_name in references:
        meaning = meanings.get(reference_name, "")
        for position, (name, style) in enumerate(zip(names, styles, strict=True)):
            values = result.metrics[name][metric]
            estimate = mean(100.0 * np.maximum(values, 0.0) if metric == "regret" else values)
            axis.barh(
                position,
                estimate.value,
                xerr=error_bars([estimate]) if estimate.has_interval else None,
                edgecolor="black",
                linewidth=0.6,
                capsize=3,
                error_kw={"ecolor": "black", "linewidth": 1.2, "zorder": 3},
                **style,
            )
            if not estimate.has_interval:
                axis.plot(estimate.points, [position] * len(estimate.points), **_POINTS)
            if metric == "regret":  # small ones next to large ones have no length
                axis.annotate(
                    f" {format_regret(estimate.value / 100.0)} %",
                    (max(estimate.value, estimate.greatest), position),
                    va="center",
                )
        if reference is not None:
            axis.axvline(
                reference,
                color="black",
                linestyle="--",
                linewidth=1.0,
                label=f"{reference_name} = {reference:.3g}{meaning}",
            )
            axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False)
        for lines in axis.collections + axis.lines:
            lines.set_path_effects([Stroke(linewidth=_HALO, foreground="white"), Normal()])
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(names)), [without_math(name) for name in names])
    axes[0].invert_yaxis()
    axes[0].margins(x=0.25)
    axes[2].set_xlim(0.0, 1.0)
    scenario = result.scenario
    traces = f"{result.num_traces} traces" if result.num_traces > 1 else "one trace"
    behind = brackets((mean(metrics["cost"]) for metrics in result.metrics.values()), "trace")
    figure.suptitle(
        f"{without_math(scenario.name)}: {scenario.num_devices} devices, {traces} of {result.num_slots} slots, "
        f"V = {scenario.lyapunov.v:g}" + (f"; mean over the traces{behind}" if behind else "")
    )
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=150)


def check_plot_path(path: str | Path) -> None:
    """Refuse what matplotlib cannot draw, before any work is done."""
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise InputError(f"plot is '{path}'; it must end in .png, .pdf or .svg.")
