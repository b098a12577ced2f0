"""Many independent jobs, one core each, on whatever cores Ray has; finished ones are kept and not repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from meqc_marl.files import make_folder, replacing
from meqc_marl.jobs.session import local_ray


def run_jobs(jobs: Mapping[Path, Callable[[], dict[str, Any]]]) -> None:
    """Run every job whose file does not exist yet and store what it returns there, as JSON.

    Args:
        jobs: What to run, by the file of its result.
    """
    waiting = {path: job for path, job in jobs.items() if not path.exists()}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("runs", total=len(jobs), completed=len(jobs) - len(waiting))
        if not waiting:
            return
        with local_ray():
            remote = ray.remote(num_cpus=1)(lambda job: job())
            pending = {remote.remote(job): path for path, job in waiting.items()}
            while pending:
                done, _ = ray.wait(list(pending))
                for reference in done:
                    path = pending.pop(reference)
                    result = ray.get(reference)
                    make_folder(path.parent)
                    with replacing(path) as file:
                        file.write(json.dumps(result, indent=1).encode())
                    bar.advance(task)
