"""Figure 6: cost against the least mean offloading fraction Delta."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from experiments.figures.claims import learned_near_exact
from experiments.figures.data import Claim, Data, between, judge, tell
from experiments.figures.draw import draw_over_settings
from experiments.figures.figure import Figure, Setting
from experiments.figures.methods import HYBRID, METHODS

DELTAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SETTINGS = tuple(Setting(f"Delta={delta:g}", delta, "paper", (f"lyapunov.delta={delta}",)) for delta in DELTAS)


def draw(data: Data, path: Path) -> None:
    """Cost against the setting."""
    draw_over_settings(data, path, FIGURE.title, "Delta")


def verdict(data: Data) -> list[Claim]:
    """Least at 0.7; other methods unchanged."""
    names = {s["x"]: s["name"] for s in data.settings()}
    over = {x: between(data, names[0.0], name) for x, name in names.items() if x > 0}
    least = data.estimate(names[0.0], HYBRID.name, "exact").value
    number = f"exact: {least:.2f} at 0; more by " + ", ".join(f"{tell(e, '+.2f')} at {x:g}" for x, e in over.items())
    below = [between(data, names[0.7], name).least > 0 for x, name in names.items() if x != 0.7]
    grows = all(between(data, names[a], names[b]).value >= 0 for a, b in pairwise(names))
    reason = "the set of policies allowed shrinks as Delta grows" if grows else ""
    reason = "; ".join(filter(None, (reason, data.out_of_reach())))
    claims = [judge("The cost is least at Delta = 0.7.", all(below), number, reason)]
    changes = [
        abs(between(data, names[0.0], name, method).value)
        for name in names.values()
        for method in data.methods("exact")
        if method != HYBRID.name
    ]
    number = f"exact: largest change {max(changes):.2f}, by construction: they have no queue"
    claims.append(judge("Other methods do not depend on Delta.", max(changes) < 1e-6, number))
    return [*claims, *learned_near_exact(data)]


FIGURE = Figure(
    "6",
    "Fig. 6: least mean offloading fraction",
    SETTINGS,
    METHODS,
    draw,
    verdict,
    fixed=tuple(method.name for method in METHODS if not method.has_queue),
    trained=(0.0, 0.5, 0.7, 0.9, 1.0),
)
