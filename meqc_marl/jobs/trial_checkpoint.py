"""Checkpoints of Tune's trials that are whole, tell how far the trial is, and are found without Tune's own state.

Tune writes down now and then which checkpoint of a trial is the newest. Doing so at every checkpoint of every trial, as
its ``num_to_keep`` demands, keeps a large sweep from anything else; doing so less often, a driver that is killed leaves
a state that is behind. So a trial keeps its own checkpoints: it goes on from the one that got farthest, and removes the
others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs
from ray.tune import Checkpoint
from ray.tune.result import TIME_TOTAL_S, TIMESTEPS_TOTAL, TRAINING_ITERATION

from meqc_marl.errors import InputError
from meqc_marl.files import sync_folder
from meqc_marl.jobs.manifest import Files, describe, digest, first_difference, plain, sealed, unsealed
from meqc_marl.jobs.run import completed

_SEAL = "complete.json"
_logger = logging.getLogger(__name__)
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
        files: Size and SHA-256 of each file.
        belongs_to: What tells its trial from others.
    """

    checkpoint: Checkpoint
    metrics: dict[str, Any]
    curve: Curve
    files: Files
    belongs_to: dict[str, Any]

    @property
    def env_steps(self) -> int:
        """Environment steps trained by then."""
        return int(self.metrics[TIMESTEPS_TOTAL])

    def check_belongs_to(self, identity: Mapping[str, Any]) -> None:
        """See that it is of this trial.

        Raises:
            InputError: If it is of another.
        """
        mine = plain(identity)
        other = first_difference(completed(self.belongs_to, mine), mine)
        if other is not None:
            raise InputError(f"checkpoint '{self.checkpoint.path}' is of another trial ({other}).")


def seal(folder: Path, metrics: dict[str, Any], curve: Curve, belongs_to: Mapping[str, Any] | None = None) -> None:
    """Write down what a checkpoint consists of, whose it is, how far the trial is, and its evaluations."""
    kept = {name: metrics[name] for name in _METRICS}
    content = {"metrics": kept, "curve": curve, "files": describe(folder), "belongs_to": plain(belongs_to or {})}
    (folder / _SEAL).write_bytes(sealed(content))


def farthest(filesystem: pyarrow.fs.FileSystem, trial: str) -> Sealed | None:
    """The whole checkpoint in a trial's folder that got farthest, by the sizes of its files; None if there is none.

    Raises:
        OSError: If the storage cannot be read.
    """
    return next(iter(_all_whole(filesystem, trial)), None)


def farthest_sound(
    filesystem: pyarrow.fs.FileSystem, trial: str, belongs_to: Mapping[str, Any] | None = None
) -> Sealed | None:
    """The same, to go on from: all of it is read, and one that was changed is passed over with a warning.

    Raises:
        InputError: If the farthest belongs to another trial.
        OSError: If the storage cannot be read.
    """
    for found in _all_whole(filesystem, trial):
        if (changed := changed_file(found)) is not None:
            _logger.warning(
                "%s is damaged (%s has another checksum); it is passed over", found.checkpoint.path, changed
            )
            continue
        found.check_belongs_to(belongs_to or {})
        return found
    return None


def _all_whole(filesystem: pyarrow.fs.FileSystem, trial: str) -> list[Sealed]:
    found = (_whole(filesystem, path) for path in _checkpoints(filesystem, trial))
    return sorted((each for each in found if each is not None), key=lambda each: each.env_steps, reverse=True)


def changed_file(found: Sealed, folder: str = "") -> str | None:
    """The first file of a checkpoint, or of a folder in it, whose content is another than was written; None if all are.

    Raises:
        OSError: If the storage cannot be read.
    """
    for name, (_, sha256) in found.files.items():
        if name.startswith(folder):
            with found.checkpoint.filesystem.open_input_file(f"{found.checkpoint.path}/{name}") as file:
                if digest(file) != sha256:
                    return name
    return None


def last_number(filesystem: pyarrow.fs.FileSystem, trial: str) -> int:
    """The highest number of a checkpoint in a trial's folder, whole or not; -1 if there is none."""
    return max((int(path.rpartition("_")[2]) for path in _checkpoints(filesystem, trial)), default=-1)


def remove_others(kept: Checkpoint) -> None:
    """Remove every checkpoint beside this one, when it is on the disk."""
    name = Path(kept.path)
    if isinstance(kept.filesystem, pyarrow.fs.LocalFileSystem):
        sync_folder(name)
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
            content = unsealed(file.read())
    except (FileNotFoundError, ValueError):  # not there, or torn; a storage that fails for now must not pass for that
        return None
    files: Files = content["files"]
    there = filesystem.get_file_info([f"{path}/{name}" for name in files])
    if [info.size for info in there] != [size for size, _ in files.values()]:
        return None
    curve = [(int(steps), dict(metrics)) for steps, metrics in content["curve"]]
    checkpoint = Checkpoint(path=path, filesystem=filesystem)
    return Sealed(checkpoint, dict(content["metrics"]), curve, files, content["belongs_to"])
