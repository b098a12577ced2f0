"""Where a run keeps its checkpoints, and in each of them the policy; in a folder, or in a bucket by URI."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from meqc_marl.errors import InputError

if TYPE_CHECKING:
    from meqc_marl.storage import Storage

POLICY_FOLDER = "policy"
"""Of the policy in a checkpoint."""
CHECKPOINT_PREFIX = "checkpoint_"
"""Begins the name of a checkpoint; its training iteration follows."""
DESCRIPTION, WEIGHTS = "policy.json", "policy.safetensors"
"""The policy's two files."""
LARGEST = {DESCRIPTION: 2**20, WEIGHTS: 2**31}
"""Bytes of each that are read at most."""


def is_checkpoint(name: str) -> bool:
    """Whether a folder's name is that of a checkpoint."""
    return name.startswith(CHECKPOINT_PREFIX) and name.removeprefix(CHECKPOINT_PREFIX).isdecimal()


def list_checkpoints(run_folder: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    found = [path for path in run_folder.glob(f"{CHECKPOINT_PREFIX}*") if path.is_dir() and is_checkpoint(path.name)]
    return sorted(found, key=_number)


@contextmanager
def policy_folder(where: str | Path) -> Iterator[tuple[str, Path]]:
    """The folder of a policy's two files, given a run, a checkpoint or the folder itself.

    Args:
        where: A folder, or a URI (``s3://``, ``gs://``): what is there is brought here for as long as the block runs.

    Yields:
        What is read, as it is shown, and its folder on this machine.

    Raises:
        InputError: If there is no policy, a file of it is larger than :data:`LARGEST`, or a bucket does not answer.
    """
    if "://" in str(where):
        with tempfile.TemporaryDirectory() as here:
            yield _fetch(str(where), Path(here)), Path(here)
        return
    try:
        root = Path(where)
        if checkpoints := list_checkpoints(root):
            root = checkpoints[-1]
        folder = root / POLICY_FOLDER if (root / POLICY_FOLDER).is_dir() else root
        if not os.path.lexists(folder / DESCRIPTION):
            raise _no_policy(str(root), root.exists())
        for name, largest in LARGEST.items():
            if os.path.lexists(folder / name) and not (folder / name).is_file():  # a pipe would be waited for
                raise InputError(f"checkpoint '{root}' is damaged: {name} is no regular file.")
            if (folder / name).is_file():
                _check_size(str(root), name, (folder / name).stat().st_size, largest)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"checkpoint {str(where)[:200]!r} cannot be read: {reason}.") from error
    yield str(root), folder


def files_of(where: str | Path) -> dict[str, Path]:
    """The files that are read of a policy on this machine, by what they are called in sentences.

    None of a bucket's, and none where there is no policy, which whoever loads it tells.
    """
    if "://" in str(where):
        return {}
    with suppress(InputError), policy_folder(where) as (root, folder):
        return {f"{name} of '{root}'": folder / name for name in LARGEST}
    return {}


def _fetch(uri: str, here: Path) -> str:
    """Bring a policy from a bucket and return its checkpoint's name, as it is shown."""
    from meqc_marl.storage import Storage, patiently  # pyarrow: only who has a bucket pays for it

    storage = Storage.reading(uri)
    return patiently(storage.shown, lambda: _fetch_from(storage, here), "read")


def _fetch_from(storage: Storage, here: Path) -> str:
    root = storage.root.rstrip("/")
    there = storage.names(root)
    if checkpoints := [name for name in there if is_checkpoint(name)]:
        root = f"{root}/{max(map(PurePosixPath, checkpoints), key=_number)}"
        there = storage.names(root)
    shown = storage.shown.rstrip("/") + root.removeprefix(storage.root.rstrip("/"))
    folder = f"{root}/{POLICY_FOLDER}" if POLICY_FOLDER in there else root
    sizes = storage.sizes([f"{folder}/{name}" for name in LARGEST])
    if sizes[0] is None:
        raise _no_policy(shown, bool(there))
    for (name, largest), size in zip(LARGEST.items(), sizes, strict=True):
        if size is not None:
            _check_size(shown, name, size, largest)
            (here / name).write_bytes(storage.read(f"{folder}/{name}") or b"")
    return shown


def _number(path: Path | PurePosixPath) -> int:
    return int(path.name.removeprefix(CHECKPOINT_PREFIX))


def _no_policy(root: str, exists: bool) -> InputError:
    what = "has no policy in it" if exists else "does not exist"
    return InputError(f"checkpoint '{root}' {what}; give a checkpoint folder written by 'meqc-marl train'.")


def _check_size(root: str, name: str, size: int, largest: int) -> None:
    if size > largest:
        raise InputError(f"checkpoint '{root}' is damaged: {name} has {size:,} bytes; at most {largest:,} are read.")
