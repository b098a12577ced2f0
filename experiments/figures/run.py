"""Run a figure: train what is missing, evaluate, store the data, draw, and judge."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from experiments.figures.data import Data
from experiments.figures.evaluate import evaluate_all
from experiments.figures.figure import AS_PRINTED, EXACT_ONLY, SCALES, Figure, as_printed, judged
from experiments.figures.trials import figure_trials, kept_settings
from meqc_marl.errors import InputError
from meqc_marl.files import make_folder, replacing
from meqc_marl.jobs.session import local_ray, quiet
from meqc_marl.jobs.study import TrialRecord, run_study
from meqc_marl.report.progress import show_trials

RESULTS = Path(__file__).parents[1] / "results" / "figures"


@dataclass(frozen=True)
class FigureOptions:
    """Options of every figure."""

    scale: str = "quick"
    """smoke (tests), quick (two cores) or paper (a cluster)."""
    out: Path = RESULTS
    """Folder of data file and picture."""
    work: Path = Path("results/figures")
    """Folder of the training runs; the same command goes on where it was stopped."""
    exact_only: bool = False
    """The exact solvers only, no training."""


def run_figure(figure: Figure, options: FigureOptions) -> Data:
    """Train what is missing, evaluate, store the data, draw, and judge."""
    if options.scale not in SCALES:
        raise InputError(f"scale is '{options.scale}'; it must be one of {', '.join(SCALES)}.")
    scale = SCALES[options.scale]
    settings = kept_settings(figure.settings, scale.settings)
    folder = make_folder(options.out / f"{options.scale}{EXACT_ONLY if options.exact_only else ''}")
    study = {} if options.exact_only else dict(figure_trials(figure, settings, scale))
    started = time.perf_counter()
    records: dict[str, TrialRecord] = {}
    if study:
        quiet()
        with local_ray(), show_trials(len(study)) as report:
            done = run_study(study, options.work / options.scale / figure.name, report, job="figure")
        records = {record.name: record for record in done}
        for record in done:
            if record.error is not None:
                raise InputError(f"trial {record.name} failed: {record.error}; the same command tries it again.")
    content: dict[str, Any] = {
        "figure": figure.name,
        "scale": options.scale,
        "env_steps": 0 if options.exact_only else scale.env_steps,
        **evaluate_all(figure, settings, scale, records),
    }
    data = Data(content)
    if scale.settings is None:
        content["claims"] = judged(figure, content)
        content["variants"] = {}
        for name, overrides in {AS_PRINTED: as_printed(), **figure.variants}.items():
            varied = evaluate_all(figure, [setting.changed(overrides) for setting in settings], scale, {})
            content["variants"][name] = varied | {"claims": judged(figure, varied)}
    with replacing(folder / f"fig{figure.name}.json") as file:
        file.write(json.dumps(content).encode())
    figure.draw(data, folder / f"fig{figure.name}.png")
    console = Console()
    for claim in content.get("claims", ()):
        console.print(f"{claim['verdict']}: {claim['claim']} ({claim['number']})", highlight=False, soft_wrap=True)
    where = folder / f"fig{figure.name}.png"
    console.print(f"picture: {where}, {time.perf_counter() - started:.0f} s", highlight=False, soft_wrap=True)
    return data


def command(figure: Figure) -> None:
    """The command line of a figure."""
    options = tyro.cli(FigureOptions, prog=f"python -m experiments.figures.fig{figure.name}", description=figure.title)
    try:
        run_figure(figure, options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
