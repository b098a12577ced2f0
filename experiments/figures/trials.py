"""The training runs of a figure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from experiments.figures.figure import Figure, Scale, Setting
from experiments.figures.methods import Method
from meqc_marl.jobs.run import Run


def kept_settings(settings: tuple[Setting, ...], count: int | None) -> tuple[Setting, ...]:
    """So many of the settings, from first to last; all if None."""
    if count is None or count >= len(settings):
        return settings
    return tuple(settings[i] for i in np.linspace(0, len(settings) - 1, count).round().astype(int))


def trial_name(setting: Setting, method: Method, seed: int) -> str:
    """Safe as the name of a folder."""
    return re.sub(r"[^\w=.,-]+", "-", f"{setting.name},{method.name},seed={seed}")


def trained_settings(figure: Figure, settings: Sequence[Setting], scale: Scale) -> list[Setting]:
    """The settings in which methods are trained."""
    everywhere = scale.everywhere or figure.trained is None
    return [setting for setting in settings if everywhere or setting.x in (figure.trained or ())]


def figure_trials(figure: Figure, settings: Sequence[Setting], scale: Scale) -> Iterator[tuple[str, Run]]:
    """By the names of their folders."""
    trained = trained_settings(figure, settings, scale)
    for setting in trained:
        for method in figure.methods:
            if method.learner is None or (method.name in figure.fixed and setting is not trained[0]):
                continue
            for seed in range(scale.seeds):
                yield (
                    trial_name(setting, method, seed),
                    Run(
                        scenario=setting.load(method.has_queue),
                        env_steps=scale.env_steps,
                        seed=seed,
                        learner={**scale.learner, **method.learner},
                        labels={"setting": setting.name, "x": setting.x, "method": method.name, "seed": seed},
                    ),
                )
