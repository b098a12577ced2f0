"""Figure 6: cost against the least mean offloading fraction Delta."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from experiments.claims import learned_near_exact
from experiments.figure import HYBRID, METHODS, Claim, Data, Figure, Setting, command, draw_over_settings, judge

DELTAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SETTINGS = tuple(Setting(f"Delta={delta:g}", delta, "paper", (f"lyapunov.delta={delta}",)) for delta in DELTAS)


def draw(data: Data, path: Path) -> None:
    """Cost against the setting."""
    draw_over_settings(data, path, FIGURE.title, "Delta")


def verdict(data: Data) -> list[Claim]:
    """Least at 0.7; other methods unchanged."""
    values = {s["x"]: float(data.scores(s["name"], HYBRID.name, "exact").mean()) for s in data.settings()}
    steps = list(values.values())
    monotone = all(b >= a - 1e-9 for a, b in pairwise(steps))
    best = min(values, key=lambda x: values[x])
    number = ", ".join(f"{cost:.2f} at {delta:g}" for delta, cost in values.items())
    number += "; the set of policies allowed shrinks as Delta grows" if monotone else ""
    claims = [judge("The cost is least at Delta = 0.7.", best == 0.7, number)]
    changes = []
    for name in data.methods("exact"):
        if name != HYBRID.name:
            costs = [float(data.scores(s["name"], name, "exact").mean()) for s in data.settings()]
            changes.append(max(costs) / min(costs) - 1.0)
    number = f"largest change {max(changes):.2%}"
    verdict = "holds" if max(changes) < 1e-6 else "does not hold"
    return [*claims, Claim("Other methods do not depend on Delta.", verdict, number), *learned_near_exact(data)]


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

if __name__ == "__main__":
    command(FIGURE)
