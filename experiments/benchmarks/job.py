"""A benchmark of the learner as a job: train what is missing, evaluate every policy, tell the table.

``quality``, ``ablation`` and ``cooperation`` train on this system; ``platform`` and ``public`` are public tasks. A
result is a file of its own in the storage (``paper-v1-100.json``), so finished ones are not repeated.
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from pydantic import Field

from experiments.benchmarks.remote import perform_missing
from meqc_marl.errors import InputError, did_you_mean
from meqc_marl.jobs.job import Job, Outcome, Place
from meqc_marl.jobs.protocol import Said, Tell
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.sweep import put

BENCHMARKS = {
    "quality": "experiments.benchmarks.quality",
    "ablation": "experiments.benchmarks.ablation",
    "cooperation": "experiments.cooperation.learned",
    "platform": "experiments.benchmarks.platform",
    "public": "experiments.benchmarks.public",
}
"""Modules by name, each with SEEDS, ENV_STEPS, ``runs`` or ``cases``, and ``table``."""


def module_of(name: str) -> ModuleType:
    """The module of a benchmark.

    Raises:
        InputError: If there is none of this name, or a package that it needs is missing.
    """
    if name not in BENCHMARKS:
        raise InputError(f"benchmark '{name}' is unknown{did_you_mean(name, BENCHMARKS)}")
    return importlib.import_module(BENCHMARKS[name])


class BenchmarkJob(Job):
    """Runs of a benchmark, evaluated.

    Attributes:
        name: Of the benchmark.
        seeds: Training seeds of every setting.
        env_steps: Budget of a run.
    """

    kind: ClassVar[str] = "benchmark"

    name: str
    seeds: int = Field(ge=1)
    env_steps: int = Field(ge=1)

    def common(self) -> dict[str, Any]:
        """All but the number of seeds."""
        return self.model_dump(mode="json", exclude={"seeds"})

    def runs(self) -> dict[str, Run]:
        """What is trained on this system; the runs of a public benchmark are its own."""
        module = module_of(self.name)
        return module.runs(self.seeds, self.env_steps) if hasattr(module, "runs") else {}

    def reports(self, name: str) -> bool:
        """The table, the picture, and a file for each result."""
        module = module_of(self.name)
        results = module.runs(self.seeds, 1) if hasattr(module, "runs") else module.names(self.seeds)
        return name in (f"{self.name}.md", "learning_curves.png") or name.removesuffix(".json") in results

    def perform(self, place: Place, tell: Tell) -> Outcome:
        """Train and evaluate what has no result yet."""
        module, study = module_of(self.name), self.runs()
        failed = self._train(place, tell, study) if study else {}
        if study:
            from experiments.benchmarks.learner_runs import evaluations

            work = evaluations({name: run for name, run in study.items() if name not in failed}, module.DEVICES, place)
        else:
            work = module.cases(self.seeds, self.env_steps)
        perform_missing(work, place, tell)
        results = {name: place.storage.read_object(f"{name}.json") or {} for name in work}
        table = module.table(results)
        tell(Said(text=table))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / f"{self.name}.md").write_text(table + "\n")
            if hasattr(module, "draw"):
                module.draw(results, folder / "learning_curves.png")
            names = put(folder, (f"{self.name}.md", "learning_curves.png"), place)
        failure = f"{len(failed)} of {len(study)} runs failed; the same command tries them again." if failed else None
        return Outcome((*names, *(f"{name}.json" for name in results)), failure)

    def _train(self, place: Place, tell: Tell, study: dict[str, Run]) -> dict[str, str]:
        """The runs of this system; errors of those that failed."""
        from meqc_marl.jobs.study import run_study

        options: dict[str, Any] = {"placement": place.placement, "resume": place.resume, "job": self.kind}
        records = run_study(study, place.storage.uri, tell, lease=place.lease, **options)
        failed = {record.name: record.error for record in records if record.error is not None}
        for name, error in failed.items():
            tell(Said(text=f"failed: {name}: {error}"))
        return failed
