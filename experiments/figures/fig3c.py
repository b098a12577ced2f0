"""Figure 3c: our method against CPU or QPU only, continuous or discrete, and random, over training."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.claims import learned_near_exact, ranking
from experiments.figures.data import Claim, Data
from experiments.figures.draw import draw_over_training
from experiments.figures.figure import Figure, Setting
from experiments.figures.methods import METHODS

SETTINGS = (Setting("static", 0.0, "static"),)


def draw(data: Data, path: Path) -> None:
    """A curve for each method."""
    draw_over_training(data, path, FIGURE.title, [("static", method.name, method.name) for method in METHODS])


def verdict(data: Data) -> list[Claim]:
    """Ours best, random worst, continuous before discrete."""
    return [*ranking(data, "static"), *learned_near_exact(data)]


FIGURE = Figure("3c", "Fig. 3c: methods in the static scenario", SETTINGS, METHODS, draw, verdict)
