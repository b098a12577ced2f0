"""What a figure of the paper is: settings (a scenario and a name for it), methods, and how much is spent on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.figures.data import Claim, Data
from experiments.figures.methods import Method
from meqc_marl.config import Scenario, changes, load_scenario
from meqc_marl.registry import KINDS


@dataclass(frozen=True)
class Scale:
    """How much is spent on a figure.

    Attributes:
        env_steps: Budget of a training run.
        seeds: Training runs of a method in a setting.
        traces, slots: Held-out traces; no slots means the scenario's horizon.
        settings: Settings kept, from first to last; all if None.
        everywhere: Train in every setting, and not only where the figure says that it matters most.
        learner: Parameters of the learner.
    """

    env_steps: int
    seeds: int
    traces: int
    slots: int | None = None
    settings: int | None = None
    everywhere: bool = True
    learner: dict[str, Any] = field(default_factory=dict)


#: smoke: for tests. quick: two cores. paper: a cluster; 500 epochs of 500 slots, 3 layers of 512.
SCALES: dict[str, Scale] = {
    "smoke": Scale(env_steps=480, seeds=1, traces=2, slots=30, settings=2, learner={"hidden": [16, 16]}),
    "quick": Scale(env_steps=8_000, seeds=2, traces=10, everywhere=False),
    "paper": Scale(env_steps=250_000, seeds=10, traces=20, learner={"hidden": [512, 512, 512]}),
}
FIGURES = KINDS["figures"].built_in
"""Names of all; each has a module ``fig<name>``."""
EXACT_ONLY = "-exact"
"""Ends the name of the folder of data without training, which does not replace data with it."""
AS_PRINTED = "as printed"
"""Variant with every formula as the paper prints it."""


@dataclass(frozen=True)
class Setting:
    """A point of a figure's horizontal axis, or a curve.

    Attributes:
        name: For the legend and the data file.
        x: Position on the axis.
        scenario: Preset.
        overrides: Changed fields.
    """

    name: str
    x: float
    scenario: str = "paper"
    overrides: tuple[str, ...] = ()

    def load(self, has_queue: bool = True) -> Scenario:
        """The scenario; without a queue Delta is 0, and the virtual queues stay empty."""
        return load_scenario(self.scenario, [*self.overrides, *(() if has_queue else ("lyapunov.delta=0.0",))])

    def changed(self, overrides: Sequence[str]) -> Setting:
        """The same point with more fields changed."""
        return replace(self, overrides=(*overrides, *self.overrides))


@dataclass(frozen=True)
class Figure:
    """One figure of the paper.

    Attributes:
        name: Such as ``5a``.
        title: Of the picture.
        settings: Scenarios.
        methods: Methods shown.
        over_slots: The data file holds the cost up to each of some slots.
        fixed: Names of methods on which the settings have no bearing: they are trained in one of them only.
        trained: Positions of the settings in which methods are trained where a scale does not train everywhere; all
            if None.
        variants: Other systems in which the exact solvers' part is judged as well: name and changed fields.
        draw: Draws the data.
        verdict: Judges the paper's claims from the data.
        besides: What a verdict needs beside the rows, made from the settings; under ``besides`` in the data file.
    """

    name: str
    title: str
    settings: tuple[Setting, ...]
    methods: tuple[Method, ...]
    draw: Callable[[Data, Path], None]
    verdict: Callable[[Data], list[Claim]]
    fixed: tuple[str, ...] = ()
    trained: tuple[float, ...] | None = None
    variants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    over_slots: bool = False
    besides: Callable[[Sequence[Setting]], dict[str, Any]] | None = None


def as_printed() -> tuple[str, ...]:
    """What the preset ``paper-literal`` changes, as overrides of a setting."""
    found = changes(load_scenario("paper"), load_scenario("paper-literal"))
    return tuple(change for change in found if not change.startswith("name="))


def judged(figure: Figure, content: dict[str, Any]) -> list[dict[str, str]]:
    """The verdicts on a data file's rows, as it stores them."""
    return [vars(claim) for claim in figure.verdict(Data(content))]
