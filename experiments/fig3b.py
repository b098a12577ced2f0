"""Figure 3b: time-average cost over the slots of an episode, for several V."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from experiments.figure import HYBRID, Claim, Data, Figure, Setting, best_kind, command, draw_over_slots, judge, tell
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.policies import make_policy
from meqc_marl.rl.evaluation import HELD_OUT_SEED
from meqc_marl.trace import generate_trace

WEIGHTS = (0.1, 1.0, 5.0)
SETTINGS = tuple(Setting(f"V={v:g}", v, "static", (f"lyapunov.v={v}",)) for v in WEIGHTS)
_NEAR = 0.02
_LONG, _TRACES = 4_000, 10


def draw(data: Data, path: Path) -> None:
    """A curve for each V."""
    curves = [(setting["name"], HYBRID.name, setting["name"]) for setting in data.settings()]
    draw_over_slots(data, path, FIGURE.title, curves)


def steady_gaps(settings: Sequence[Setting]) -> dict[str, list[float]]:
    """Exact cost less C_opt on each trace, once the queues have settled: the second half of 4,000 slots.

    Only of devices that can reach Delta; the queues of others grow for ever, and V C_opt is no bound for them.
    """
    gaps = {}
    for setting in settings:
        scenario = setting.load()
        trace = generate_trace(scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + _TRACES), num_slots=_LONG)
        optimum = constrained_optimum(scenario, trace)
        cost = rollout(make_policy(HYBRID.exact, scenario), scenario, trace).cost[_LONG // 2 :].mean(0, dtype=float)
        gap = np.ma.masked_array(cost - optimum.cost, mask=~optimum.feasible).mean(-1)  # type: ignore[no-untyped-call]
        gaps[setting.name] = np.round(gap.compressed(), 4).tolist()
    return gaps


def verdict(data: Data) -> list[Claim]:
    """Settles; the gap to C_opt shrinks as V grows."""
    kind, moves = best_kind(data), []
    for setting in data.settings():
        row = data.row(setting["name"], HYBRID.name, kind) or {}
        running = np.array(row["running_cost"]).mean((0, 1))
        half = len(running) // 2
        moves.append((setting["name"], float(running[-1] / running[half] - 1.0)))
    settles = {name: abs(move) < _NEAR for name, move in moves}
    number = "from mid-episode to the end it moves by " + ", ".join(f"{move:+.1%} ({name})" for name, move in moves)
    verdict = "holds" if all(settles.values()) else "depends" if any(settles.values()) else "does not hold"
    claims = [Claim("The time-average cost settles within 500 slots.", verdict, number)]
    gaps = data.content["besides"]
    estimates = {name: interquartile_mean(np.array(values)) for name, values in gaps.items() if values}
    falls = all(later.value < earlier.value for earlier, later in pairwise(estimates.values()))
    told = ", ".join(f"{tell(estimate, '+.3f')} ({name})" for name, estimate in estimates.items())
    number = "exact cost less C_opt in the second half of 4,000 slots, devices that can reach Delta: " + told
    holds = falls and len(estimates) == len(gaps)
    claims.append(judge("A larger V brings the cost down towards C_opt.", holds, number))
    return claims


FIGURE = Figure(
    "3b",
    "Fig. 3b: time-average cost for several V",
    SETTINGS,
    (HYBRID,),
    draw,
    verdict,
    over_slots=True,
    besides=steady_gaps,
)

if __name__ == "__main__":
    command(FIGURE)
