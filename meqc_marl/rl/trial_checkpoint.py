"""Checkpoints of Tune's trials that can be trusted: whole, and found again when Tune's own state is behind.

Tune writes down now and then which checkpoint of a trial is the newest, and removes older ones at once. A driver that
is killed in between leaves a state that names a checkpoint which is gone, while a newer one is there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.fs
from ray.tune import Checkpoint
from ray.tune.result import TIME_TOTAL_S, TIMESTEPS_TOTAL, TRAINING_ITERATION

_SEAL = "complete.json"
_METRICS = (TRAINING_ITERATION, TIMESTEPS_TOTAL, TIME_TOTAL_S)


def seal(folder: Path, metrics: dict[str, Any]) -> None:
    """Write down what a checkpoint consists of, and how far the trial is."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    kept = {name: metrics[name] for name in _METRICS if name in metrics}
    (folder / _SEAL).write_text(json.dumps({"metrics": kept, "files": sizes}))


def progress(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """How far a trial was at a checkpoint; None if the checkpoint is not there or not whole."""
    filesystem, path = checkpoint.filesystem, checkpoint.path
    try:
        with filesystem.open_input_file(f"{path}/{_SEAL}") as file:
            sealed = json.loads(file.read())
    except (OSError, ValueError):
        return None
    there = filesystem.get_file_info([f"{path}/{name}" for name in sealed["files"]])
    if [info.size for info in there] != list(sealed["files"].values()):
        return None
    return dict(sealed["metrics"])


def newest(named: Checkpoint) -> Checkpoint | None:
    """The checkpoint itself if it is whole, else the newest whole one beside it; None if there is none."""
    if progress(named) is not None:
        return named
    trial = named.path.rstrip("/").rpartition("/")[0]
    beside = named.filesystem.get_file_info(pyarrow.fs.FileSelector(trial, allow_not_found=True))
    names = sorted((info.path for info in beside if info.base_name.startswith("checkpoint_")), reverse=True)
    found = (Checkpoint(path=path, filesystem=named.filesystem) for path in names)
    return next((checkpoint for checkpoint in found if progress(checkpoint) is not None), None)
