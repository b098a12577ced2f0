"""Figure 3a: cost over training in the static scenario, for lambda_t of 0, 0.5 and 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.figures.data import Claim, Data, best_kind, judge, tell
from experiments.figures.draw import draw_over_training
from experiments.figures.figure import Figure, Setting
from experiments.figures.methods import HYBRID

WEIGHTS = (0.0, 0.5, 1.0)
SETTINGS = tuple(
    Setting(f"lambda_t={weight:g}", weight, "static", (f"devices.lambda_t={weight}",)) for weight in WEIGHTS
)
_NEAR = 0.02


def settled_at(curve: list[list[float]]) -> float:
    """Environment steps after which the cost stays within 2 % of its last value."""
    steps, costs = np.array(curve).T
    away = np.flatnonzero(np.abs(costs / costs[-1] - 1.0) > _NEAR)
    return float(steps[0] if len(away) == 0 else steps[min(away[-1] + 1, len(steps) - 1)])


def draw(data: Data, path: Path) -> None:
    """Curves of the three weights."""
    curves = [(setting["name"], HYBRID.name, setting["name"]) for setting in data.settings()]
    draw_over_training(data, path, FIGURE.title, curves)


def verdict(data: Data) -> list[Claim]:
    """Falls and settles; order of settling; latency costs more than energy."""
    claims = []
    if best_kind(data) == "learned":
        rows = {s["name"]: data.row(s["name"], HYBRID.name, "learned") or {} for s in data.settings()}
        curves = [curve for row in rows.values() for curve in row["curve"]]
        fell = all(curve[0][1] > curve[-1][1] and settled_at(curve) <= curve[-1][0] / 2 for curve in curves)
        drops = [curve[-1][1] / curve[0][1] - 1.0 for curve in curves]
        number = (
            f"learned: from the first to the last evaluation the cost changes by {min(drops):+.0%} to {max(drops):+.0%}"
        )
        number += f"; within 2 % of its end after {max(map(settled_at, curves)):,.0f} of {curves[0][-1][0]:,} steps"
        reason = "" if max(drops) <= 0 else "it rises where an untrained policy sends less than Delta, which saves cost"
        claims.append(judge("The cost falls with training and settles.", fell, number, reason))
        at = {name: float(np.mean([settled_at(curve) for curve in row["curve"]])) for name, row in rows.items()}
        slowest = max(at, key=lambda name: at[name])
        number = "learned: within 2 % of the end from "
        number += ", ".join(f"{steps:,.0f} ({name})" for name, steps in at.items()) + " environment steps on"
        runs, apart = len(curves) // len(rows), curves[0][2][0] - curves[0][1][0]
        reason = f"{runs} runs of each, evaluated every {apart:,} steps, tell no more; our learner is not the paper's"
        claims.append(judge("lambda_t = 0.5 settles last.", slowest == "lambda_t=0.5", number, reason))
    energy, latency = (data.estimate(f"lambda_t={w:g}", HYBRID.name, "exact") for w in (0.0, 1.0))
    verdict = "depends" if latency.value <= energy.value else "holds"
    number = f"exact: at one second = one joule, latency alone costs {tell(latency)} and energy alone {tell(energy)}"
    reason = (
        f"a statement about units: it holds where a second weighs as much as {energy.value / latency.value:.1f} joules"
    )
    return [*claims, Claim("Latency costs more than energy.", verdict, number, reason)]


FIGURE = Figure("3a", "Fig. 3a: training in the static scenario", SETTINGS, (HYBRID,), draw, verdict)
