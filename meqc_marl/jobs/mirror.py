"""The folder of a run that is kept in a bucket: brought here to begin with, sent there with every checkpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow
import pyarrow.fs

from meqc_marl.jobs.checkpoint import MANIFEST
from meqc_marl.jobs.run_folder import DIVERGED_FILE, RUN_FILE, SCENARIO_FILE, WARM_START
from meqc_marl.policies.folders import is_checkpoint, list_checkpoints
from meqc_marl.storage import Storage, unreadable, unwritten

_TENSORBOARD = "tensorboard"


@contextmanager
def folder_of(storage: Storage) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder of this machine's for what a storage holds, and what sends there whatever is new in it.

    A storage that is a folder is that folder itself, on whichever machines share it. In a bucket a checkpoint is whole
    when its manifest is there, which is sent last; those that are not here any more are removed there.

    Raises:
        InputError: If the bucket cannot be read or written.
    """
    if storage.is_local:
        yield Path(storage.root), lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="meqc-marl-") as scratch:
        folder = Path(scratch)
        try:
            _bring(storage, folder)
        except (OSError, pyarrow.ArrowException) as error:
            raise unreadable(storage.uri, error) from error
        sent: dict[str, tuple[int, int]] = {}

        def send() -> None:
            try:
                _send(storage, folder, sent)
            except (OSError, pyarrow.ArrowException) as error:
                raise unwritten(storage.uri, error) from error

        yield folder, send


def _bring(storage: Storage, folder: Path) -> None:
    root = storage.root.rstrip("/")
    for name in (RUN_FILE, SCENARIO_FILE, DIVERGED_FILE):
        if (content := storage.read(f"{root}/{name}")) is not None:
            (folder / name).write_bytes(content)
    there = storage.names(root)
    whole = [name for name in there if is_checkpoint(name) and _is_whole(storage, f"{root}/{name}")]
    for name in [*whole, *({WARM_START, _TENSORBOARD} & set(there))]:
        (folder / name).mkdir()  # Arrow makes folders only below it
        pyarrow.fs.copy_files(
            f"{root}/{name}",
            str(folder / name),
            source_filesystem=storage.filesystem,
            destination_filesystem=pyarrow.fs.LocalFileSystem(),
        )


def _is_whole(storage: Storage, checkpoint: str) -> bool:
    """Whether its manifest is there; that all files are as it says is seen when they are here."""
    return storage.read(f"{checkpoint}/{MANIFEST}") is not None


def _send(storage: Storage, folder: Path, sent: dict[str, tuple[int, int]]) -> None:
    kept = {checkpoint.name for checkpoint in list_checkpoints(folder)}
    files = [path for path in folder.rglob("*") if path.is_file() and not _is_aside(path.relative_to(folder))]
    for path in sorted(files, key=lambda path: path.name == MANIFEST):
        name, stat = path.relative_to(folder).as_posix(), path.stat()
        if sent.get(name) != (stat.st_size, stat.st_mtime_ns):
            with storage.filesystem.open_output_stream(f"{storage.root}/{name}") as stream:
                stream.write(path.read_bytes())
            sent[name] = stat.st_size, stat.st_mtime_ns
    for name in storage.names(storage.root):
        if name == DIVERGED_FILE and not (folder / name).exists():  # another run has begun
            storage.filesystem.delete_file(f"{storage.root}/{name}")
        if is_checkpoint(name) and name not in kept:
            manifest = f"{storage.root}/{name}/{MANIFEST}"
            if storage.read(manifest) is not None:
                storage.filesystem.delete_file(manifest)  # first: from here on it is none
            storage.filesystem.delete_dir(f"{storage.root}/{name}")


def _is_aside(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
