"""A figure as a job: train what is missing, evaluate, store the data, draw, and judge."""

from __future__ import annotations

import importlib
import json
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from experiments.figures.data import Data
from experiments.figures.figure import AS_PRINTED, EXACT_ONLY, FIGURES, SCALES, Figure, as_printed, judged
from experiments.figures.trials import figure_trials, kept_settings
from meqc_marl.errors import InputError, did_you_mean
from meqc_marl.jobs.job import Job, Outcome, Place
from meqc_marl.jobs.protocol import Said, Tell, TrialsProgress
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.sweep import put


def figure_of(name: str) -> Figure:
    """A figure by its name.

    Raises:
        InputError: If there is none.
    """
    if name not in FIGURES:
        raise InputError(f"figure '{name}' is unknown{did_you_mean(name, FIGURES)}")
    found: Figure = importlib.import_module(f"experiments.figures.fig{name}").FIGURE
    return found


class FigureJob(Job):
    """One figure of the paper, with a verdict on each of its claims.

    Attributes:
        name: Such as ``5a``.
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
        return tuple(f"fig{self.name}.{kind}" for kind in ("json", "png", "pdf"))

    def perform(self, place: Place, tell: Tell) -> Outcome:
        """Train, evaluate, draw, judge."""
        from experiments.figures.evaluate import evaluate_all
        from meqc_marl.jobs.study import TrialRecord, run_study

        figure, scale, study = figure_of(self.name), SCALES[self.scale], self.runs()
        settings = kept_settings(figure.settings, scale.settings)
        records: dict[str, TrialRecord] = {}
        if study:

            def report(finished: int, running: int, failed: int) -> None:
                tell(TrialsProgress(finished=finished, running=running, failed=failed, total=len(study)))

            options: dict[str, Any] = {"placement": place.placement, "resume": place.resume, "job": self.kind}
            done = run_study(study, place.storage.uri, report, lease=place.lease, **options)
            records = {record.name: record for record in done}
            failed = [record for record in done if record.error is not None]
            if failed:
                told = f"{len(failed)} of {len(done)} trials failed, such as {failed[0].name}: {failed[0].error}"
                return Outcome((), f"{told}; the same command tries them again.")
        content: dict[str, Any] = {
            "figure": self.name,
            "scale": self.scale,
            "env_steps": 0 if self.exact_only else scale.env_steps,
            **evaluate_all(figure, settings, scale, records),
        }
        if scale.settings is None:
            content["claims"] = judged(figure, content)
            content["variants"] = {}
            for name, overrides in {AS_PRINTED: as_printed(), **figure.variants}.items():
                varied = evaluate_all(figure, [setting.changed(overrides) for setting in settings], scale, {})
                content["variants"][name] = varied | {"claims": judged(figure, varied)}
        for claim in content.get("claims", ()):
            tell(Said(text=f"{claim['verdict']}: {claim['claim']} ({claim['number']})"))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / f"fig{self.name}.json").write_text(json.dumps(content))
            figure.draw(Data(content), folder / f"fig{self.name}.png")
            return Outcome(put(folder, self._files(), place))
