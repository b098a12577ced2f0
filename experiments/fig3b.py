"""Figure 3b: time-average cost over the slots of an episode, for several V."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from experiments.figure import HYBRID, Claim, Data, Figure, Setting, best_kind, command, draw_over_slots

WEIGHTS = (0.1, 1.0, 5.0)
SETTINGS = tuple(Setting(f"V={v:g}", v, "static", (f"lyapunov.v={v}",)) for v in WEIGHTS)
_NEAR = 0.02


def draw(data: Data, path: Path) -> None:
    """A curve for each V."""
    curves = [(setting["name"], HYBRID.name, setting["name"]) for setting in data.settings()]
    draw_over_slots(data, path, FIGURE.title, curves)


def verdict(data: Data) -> list[Claim]:
    """Settles; the gap to C_opt shrinks as V grows."""
    kind, moves, differences = best_kind(data), [], []
    for setting in data.settings():
        row = data.row(setting["name"], HYBRID.name, kind) or {}
        running = np.array(row["running_cost"]).mean((0, 1))
        half = len(running) // 2
        moves.append((setting["name"], float(running[-1] / running[half] - 1.0)))
        differences.append(float(data.scores(setting["name"], HYBRID.name, "exact").mean()) - setting["optimum"])
    settles = {name: abs(move) < _NEAR for name, move in moves}
    number = "from mid-episode to the end it moves by " + ", ".join(f"{move:+.1%} ({name})" for name, move in moves)
    verdict = "holds" if all(settles.values()) else "depends" if any(settles.values()) else "does not hold"
    claims = [Claim("The time-average cost settles within 500 slots.", verdict, number)]
    falls = all(later < earlier for earlier, later in pairwise(differences))
    number = "exact cost less C_opt: " + ", ".join(
        f"{difference:+.3f} ({name})" for (name, _), difference in zip(moves, differences, strict=True)
    )
    number += "; below C_opt where the queues still grow at the end"
    verdict = "does not hold" if not falls else "depends" if min(differences) < 0 else "holds"
    claims.append(Claim("A larger V brings the cost down towards C_opt.", verdict, number))
    return claims


FIGURE = Figure("3b", "Fig. 3b: time-average cost for several V", SETTINGS, (HYBRID,), draw, verdict, over_slots=True)

if __name__ == "__main__":
    command(FIGURE)
