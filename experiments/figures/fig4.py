"""Figure 4: time-average cost over the slots of an episode with mobility, all methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.figures.claims import learned_near_exact, ranking
from experiments.figures.data import Claim, Data, best_kind, judge, paired, tell
from experiments.figures.draw import draw_over_slots
from experiments.figures.figure import Figure, Setting
from experiments.figures.methods import HYBRID, METHODS, QPU_CONTINUOUS, RANDOM, Method
from meqc_marl.evaluation.statistics import Estimate

SETTINGS = (Setting("mobile", 0.0),)


def draw(data: Data, path: Path) -> None:
    """A curve for each method."""
    draw_over_slots(data, path, FIGURE.title, [("mobile", method.name, method.name) for method in METHODS])


def verdict(data: Data) -> list[Claim]:
    """The ranking, ours lowest throughout, random and QPU-only unsteady."""
    kind, claims = best_kind(data), ranking(data, "mobile")
    running = {}
    for method in METHODS:
        row = data.row("mobile", method.name, kind if method.learner is not None else "exact") or {}
        running[method.name] = np.array(row["running_cost"]).mean((0, 1))
    others = np.min([curve for name, curve in running.items() if name != HYBRID.name], axis=0)
    share = float((running[HYBRID.name] < others).mean())
    verdict = "holds" if share == 1.0 else "depends" if share >= 0.5 else "does not hold"
    number = f"{kind}: at {share:.0%} of the marked slots"
    claims.append(Claim("Ours is lowest throughout the episode.", verdict, number))

    def steadier(method: Method, than: Method) -> Estimate:
        return paired(data, "mobile", method.name, "exact", than.name, "exact", "deviation")

    nearest = min((steadier(method, RANDOM) for method in METHODS if method is not RANDOM), key=lambda e: e.value)
    what = "exact: standard deviation over the slots of the devices' mean cost"
    number = f"{what}, random less the unsteadiest other: {tell(nearest, '+.2f')}"
    claims.append(judge("Random fluctuates most.", nearest.least > 0, number))
    more = steadier(HYBRID, QPU_CONTINUOUS)
    number = f"{what}, QPU continuous less ours: {tell(more, '+.2f')}"
    claims.append(judge("QPU-only oscillates more than ours.", more.least > 0, number))
    return [*claims, *learned_near_exact(data)]


FIGURE = Figure("4", "Fig. 4: methods with mobility", SETTINGS, METHODS, draw, verdict, over_slots=True)
