"""A figure as a job: train what is missing, evaluate, store the data, draw, and judge."""

from __future__ import annotations

import importlib
import json
import re
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

from experiments.figures.data import Data
from experiments.figures.figure import AS_PRINTED, EXACT_ONLY, FIGURES, SCALES, Figure, as_printed, judged
from experiments.figures.methods import METHODS
from experiments.figures.trials import figure_trials, kept_settings
from meqc_marl.errors import InputError, did_you_mean, shown
from meqc_marl.jobs.job import Job, Outcome, Place
from meqc_marl.jobs.protocol import Said, Tell
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.sweep import put
from meqc_marl.jobs.work_progress import telling
from meqc_marl.registry import NoSuchPartError, find, is_place


def figure_of(name: str) -> Figure:
    """A figure by its name: the paper's, an entry point of ``meqc_marl.figures``, or ``module:function``.

    Raises:
        InputError: If there is none, or what is found is none.
    """
    if name in FIGURES:
        found: Figure = importlib.import_module(f"experiments.figures.fig{name}").FIGURE
        return found
    if not is_place(name) and name not in entry_points(group="meqc_marl.figures").names:
        raise InputError(f"figure {shown(name)} is unknown{did_you_mean(name, FIGURES)}")
    try:
        made = find("figures", name)()
    except NoSuchPartError as error:
        raise InputError(f"figure {shown(name)} cannot be used: {error}.") from None
    if not isinstance(made, Figure):
        raise InputError(f"figure {shown(name)} makes {shown(made)}; it must make a Figure.")
    if re.fullmatch(r"[\w-]{1,50}", made.name) is None or made.name in FIGURES:
        raise InputError(
            f"figure {shown(name)} is called {shown(made.name)}; its name must be of letters, digits, _ and -, and not "
            "that of one of the paper's."
        )
    if not made.settings or not made.methods or any(method not in METHODS for method in made.methods):
        known = ", ".join(method.name for method in METHODS)
        raise InputError(
            f"figure {shown(name)} must have settings, and methods of experiments.figures.methods: {known}."
        )
    return made


class FigureJob(Job):
    """One figure of the paper, with a verdict on each of its claims.

    Attributes:
        name: Such as ``5a``, or that of a figure that a user brings.
        scale: How much is spent on it, of ``SCALES``.
        exact_only: The exact solvers only, no training.
    """

    kind: ClassVar[str] = "figure"

    name: str
    scale: str = "quick"
    exact_only: bool = False

    @property
    def folder(self) -> str:
        """Name of the folder for what is made at this scale; data without training does not replace data with it."""
        return f"{self.scale}{EXACT_ONLY if self.exact_only else ''}"

    @property
    def needs_ray(self) -> bool:
        """Only to train."""
        return not self.exact_only

    def check(self) -> None:
        """See that there are such a figure and such a scale."""
        figure_of(self.name)
        if self.scale not in SCALES:
            raise InputError(f"scale is '{self.scale}'; it must be one of {', '.join(SCALES)}.")
        super().check()

    def runs(self) -> dict[str, Run]:
        """What is trained."""
        scale, figure = SCALES[self.scale], figure_of(self.name)
        return (
            {}
            if self.exact_only
            else dict(figure_trials(figure, kept_settings(figure.settings, scale.settings), scale))
        )

    def reports(self, name: str) -> bool:
        """Data and pictures."""
        return name in self._files()

    def _files(self) -> tuple[str, ...]:
        return tuple(f"fig{figure_of(self.name).name}.{kind}" for kind in ("json", "png", "pdf"))

    def perform(self, place: Place, tell: Tell) -> Outcome:
        """Train, evaluate, draw, judge."""
        from experiments.figures.evaluate import evaluate_all, num_evaluations
        from meqc_marl.jobs.study import TrialRecord, run_study

        figure, scale, study = figure_of(self.name), SCALES[self.scale], self.runs()
        settings = kept_settings(figure.settings, scale.settings)
        records: dict[str, TrialRecord] = {}
        if study:
            options: dict[str, Any] = {"placement": place.placement, "resume": place.resume, "job": self.kind}
            done = run_study(study, place.storage.uri, tell, lease=place.lease, **options)
            records = {record.name: record for record in done}
            failed = [record for record in done if record.error is not None]
            if failed:
                told = f"{len(failed)} of {len(done)} trials failed, such as {failed[0].name}: {failed[0].error}"
                return Outcome((), f"{told}; the same command tries them again.")
        variants = {AS_PRINTED: as_printed(), **figure.variants} if scale.settings is None else {}
        work = num_evaluations(figure, settings, scale, records)
        work += len(variants) * num_evaluations(figure, settings, scale, {})
        step = telling(tell)(f"evaluation of figure {self.name}", work, "policies")
        content: dict[str, Any] = {
            "figure": figure.name,
            "scale": self.scale,
            "env_steps": 0 if self.exact_only else scale.env_steps,
            **evaluate_all(figure, settings, scale, records, step),
        }
        if scale.settings is None:
            content["claims"] = judged(figure, content)
            content["variants"] = {}
            for name, overrides in variants.items():
                varied = evaluate_all(figure, [setting.changed(overrides) for setting in settings], scale, {}, step)
                content["variants"][name] = varied | {"claims": judged(figure, varied)}
        for claim in content.get("claims", ()):
            tell(Said(text=f"{claim['verdict']}: {claim['claim']} ({claim['number']})"))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / f"fig{figure.name}.json").write_text(json.dumps(content))
            figure.draw(Data(content), folder / f"fig{figure.name}.png")
            return Outcome(put(folder, self._files(), place))
