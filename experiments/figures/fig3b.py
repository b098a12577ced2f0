"""Figure 3b: time-average cost over the slots of an episode, for several V."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from experiments.figures.data import Claim, Data, judge, tell
from experiments.figures.draw import draw_over_slots
from experiments.figures.figure import Figure, Setting
from experiments.figures.methods import HYBRID
from meqc_marl.evaluation.held_out import held_out_traces
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.policies import make_policy

WEIGHTS = (0.1, 1.0, 5.0)
SETTINGS = tuple(Setting(f"V={v:g}", v, "static", (f"lyapunov.v={v}",)) for v in WEIGHTS)
_NEAR = 0.02
_LONG, _EPISODE, _TRACES = 12_000, 500, 10


def draw(data: Data, path: Path) -> None:
    """A curve for each V."""
    curves = [(setting["name"], HYBRID.name, setting["name"]) for setting in data.settings()]
    draw_over_slots(data, path, FIGURE.title, curves)


def long_run(settings: Sequence[Setting]) -> dict[str, dict[str, list[float]]]:
    """The exact solver in 12,000 slots: for each setting, on each trace, three costs of a device in a slot.

    ``first``, the average of the first 500 slots; ``settled``, that of the last quarter, when the queues have settled
    (at V = 5 they grow for 9,000 slots); ``optimum``, C_opt of the last quarter. Only of devices that can reach Delta:
    the queues of others grow for ever, and V C_opt is no bound for them. Traces without any such device are left out.
    """
    late, found = 3 * _LONG // 4, {}
    for setting in settings:
        scenario = setting.load()
        trace = held_out_traces(scenario, _TRACES, _LONG)
        reaches = constrained_optimum(scenario, trace).feasible  # [E, M]
        kept = reaches.any(-1)
        cost = rollout(make_policy(HYBRID.exact, scenario), scenario, trace).cost
        parts = {
            "first": cost[:_EPISODE].mean(0, dtype=float),
            "settled": cost[late:].mean(0, dtype=float),
            "optimum": constrained_optimum(scenario, trace.window(late)).cost,
        }
        means = {name: np.average(part[kept], axis=-1, weights=reaches[kept]) for name, part in parts.items()}
        found[setting.name] = {name: np.round(mean, 4).tolist() for name, mean in means.items()}
    return found


def verdict(data: Data) -> list[Claim]:
    """Settles; the gap to C_opt shrinks as V grows."""
    costs = {
        name: {what: np.array(values) for what, values in parts.items()}
        for name, parts in data.content["besides"].items()
    }
    moves = {name: interquartile_mean(part["settled"] / part["first"] - 1.0) for name, part in costs.items()}
    settles = {name: max(-move.least, move.greatest) < _NEAR for name, move in moves.items()}
    number = "exact, devices that can reach Delta: slots 9,000 to 12,000 cost more than the first 500 by "
    number += ", ".join(f"{tell(move, '+.1%')} ({name})" for name, move in moves.items())
    verdict = "holds" if all(settles.values()) else "depends" if any(settles.values()) else "does not hold"
    reason = "" if all(settles.values()) else "on V: the larger it is, the longer the queues grow"
    claims = [Claim("The time-average cost settles within 500 slots.", verdict, number, reason)]
    gaps = {name: part["settled"] - part["optimum"] for name, part in costs.items()}
    falls = [interquartile_mean(earlier - later) for earlier, later in pairwise(gaps.values())]
    number = "exact, the same devices: cost less C_opt in slots 9,000 to 12,000: "
    number += ", ".join(f"{tell(interquartile_mean(gap), '+.3f')} ({name})" for name, gap in gaps.items())
    number += "; from each V to the next it falls by " + ", ".join(tell(fall, ".3f") for fall in falls)
    reason = "the printed sign maximises V C" if not falls or falls[0].value == 0 else ""
    holds = all(fall.least > 0 for fall in falls)
    claims.append(judge("A larger V brings the cost down towards C_opt.", holds, number, reason))
    return claims


FIGURE = Figure(
    "3b",
    "Fig. 3b: time-average cost for several V",
    SETTINGS,
    (HYBRID,),
    draw,
    verdict,
    over_slots=True,
    besides=long_run,
    variants={"devices that move": ('mobility.kind="gauss-markov"',)},
)
