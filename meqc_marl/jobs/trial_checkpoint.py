"""Checkpoints of Tune's trials that are whole, tell how far the trial is, and are found without Tune's own state.

Tune writes down now and then which checkpoint of a trial is the newest. Doing so at every checkpoint of every trial, as
its ``num_to_keep`` demands, keeps a large sweep from anything else; doing so less often, a driver that is killed leaves
a state that is behind. So a trial keeps its own checkpoints: it goes on from the one that got farthest, and removes the
others.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs
from ray.tune import Checkpoint
from ray.tune.result import TIME_TOTAL_S, TIMESTEPS_TOTAL, TRAINING_ITERATION

_SEAL = "complete.json"
_METRICS = (TRAINING_ITERATION, TIMESTEPS_TOTAL, TIME_TOTAL_S)

Curve = list[tuple[int, dict[str, float]]]
"""Metrics of each evaluation, with the environment steps at which it was made."""


@dataclass(frozen=True)
class Sealed:
    """A checkpoint that is whole.

    Attributes:
        checkpoint: Where it is.
        metrics: Tune's counters at the time.
        curve: Evaluations up to then.
    """

    checkpoint: Checkpoint
    metrics: dict[str, Any]
    curve: Curve

    @property
    def env_steps(self) -> int:
        """Environment steps trained by then."""
        return int(self.metrics[TIMESTEPS_TOTAL])


def seal(folder: Path, metrics: dict[str, Any], curve: Curve) -> None:
    """Write down what a checkpoint consists of, how far the trial is, and its evaluations."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    kept = {name: metrics[name] for name in _METRICS}
    (folder / _SEAL).write_text(json.dumps({"metrics": kept, "curve": curve, "files": sizes}))


def farthest(filesystem: pyarrow.fs.FileSystem, trial: str) -> Sealed | None:
    """The whole checkpoint in a trial's folder that got farthest; None if there is none.

    Raises:
        OSError: If the storage cannot be read.
    """
    found = (_whole(filesystem, path) for path in _checkpoints(filesystem, trial))
    return max((each for each in found if each is not None), key=lambda each: each.env_steps, default=None)


def last_number(filesystem: pyarrow.fs.FileSystem, trial: str) -> int:
    """The highest number of a checkpoint in a trial's folder, whole or not; -1 if there is none."""
    return max((int(path.rpartition("_")[2]) for path in _checkpoints(filesystem, trial)), default=-1)


def remove_others(kept: Checkpoint) -> None:
    """Remove every checkpoint beside this one."""
    name = Path(kept.path)
    for path in _checkpoints(kept.filesystem, name.parent.as_posix()):
        if Path(path) != name:
            with suppress(FileNotFoundError):  # a lost host's process of the same trial was faster
                kept.filesystem.delete_dir(path)


def _checkpoints(filesystem: pyarrow.fs.FileSystem, trial: str) -> list[str]:
    beside = filesystem.get_file_info(pyarrow.fs.FileSelector(trial, allow_not_found=True))
    return [info.path for info in beside if info.base_name.startswith("checkpoint_")]


def _whole(filesystem: pyarrow.fs.FileSystem, path: str) -> Sealed | None:
    try:
        with filesystem.open_input_file(f"{path}/{_SEAL}") as file:
            sealed = json.loads(file.read())
    except (
        FileNotFoundError,
        ValueError,
    ):  # not there yet, or torn; a storage that fails for now must not pass for that
        return None
    there = filesystem.get_file_info([f"{path}/{name}" for name in sealed["files"]])
    if [info.size for info in there] != list(sealed["files"].values()):
        return None
    curve = [(int(steps), dict(metrics)) for steps, metrics in sealed["curve"]]
    return Sealed(Checkpoint(path=path, filesystem=filesystem), dict(sealed["metrics"]), curve)
