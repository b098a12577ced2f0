"""Figure 5b: cost against the size of the data."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from experiments.claims import learned_near_exact, ours_best_everywhere
from experiments.figure import METHODS, Claim, Data, Figure, Setting, command, draw_over_settings, judge

SIZES = (160, 200, 240, 280, 320)
SETTINGS = tuple(
    Setting(f"data={size}MB", size, "paper", (f"tasks.data_bits=[{8e6 * size}, {8e6 * size}]",)) for size in SIZES
)


def draw(data: Data, path: Path) -> None:
    """Cost against the setting."""
    draw_over_settings(data, path, FIGURE.title, "data of every task, MB")


def verdict(data: Data) -> list[Claim]:
    """All rise; ours best."""
    rises = []
    for name in data.methods("exact"):
        values = [float(np.median(data.scores(s["name"], name, "exact"))) for s in data.settings()]
        steady = all(b > a for a, b in pairwise(values))
        rises.append((name, steady, values[-1] / values[0] - 1.0))
    number = "from 160 to 320 MB: " + ", ".join(f"{rise:+.0%} ({name})" for name, _, rise in rises)
    claims = [judge("The cost of every method rises with the data.", all(steady for _, steady, _ in rises), number)]
    return [*claims, ours_best_everywhere(data), *learned_near_exact(data)]


FIGURE = Figure("5b", "Fig. 5b: data of a task", SETTINGS, METHODS, draw, verdict, trained=(160, 240, 320))

if __name__ == "__main__":
    command(FIGURE)
