"""Figure 5b: cost against the size of the data."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from experiments.figures.claims import learned_near_exact, ours_best_everywhere
from experiments.figures.data import Claim, Data, between, judge, relative, tell
from experiments.figures.draw import draw_over_settings
from experiments.figures.figure import Figure, Setting
from experiments.figures.methods import METHODS

SIZES = (160, 200, 240, 280, 320)
SETTINGS = tuple(
    Setting(f"data={size}MB", size, "paper", (f"tasks.data_bits=[{8e6 * size}, {8e6 * size}]",)) for size in SIZES
)


def draw(data: Data, path: Path) -> None:
    """Cost against the setting."""
    draw_over_settings(data, path, FIGURE.title, "data of every task, MB")


def verdict(data: Data) -> list[Claim]:
    """All rise; ours best."""
    names = [setting["name"] for setting in data.settings()]
    methods = data.methods("exact")
    steady = all(between(data, a, b, method).least > 0 for a, b in pairwise(names) for method in methods)
    rises = {method: relative(data, names[0], names[-1], method) for method in methods}
    number = "exact: from 160 to 320 MB " + ", ".join(f"{tell(rise, '+.0%')} ({name})" for name, rise in rises.items())
    if unreached := data.out_of_reach():
        number += f"; {unreached}"
    claims = [judge("The cost of every method rises with the data.", steady, number)]
    return [*claims, ours_best_everywhere(data), *learned_near_exact(data)]


FIGURE = Figure("5b", "Fig. 5b: data of a task", SETTINGS, METHODS, draw, verdict, trained=(160, 240, 320))
