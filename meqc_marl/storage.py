"""Where a study is kept: a folder, also one on NFS, or a bucket by its URI (``s3://``, ``gs://``)."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.fs

from meqc_marl.errors import InputError
from meqc_marl.files import json_object, make_folder, replacing, system_words
from meqc_marl.uris import check_place, redacted

_PATIENCE_S = 20.0
_ROOM_BYTES = 2**20


@dataclass(frozen=True)
class Storage:
    """A folder or bucket; files in it are whole or not there.

    Attributes:
        uri: As the user names it; an absolute path if it is a folder.
        filesystem: Through which it is read and written.
        root: The place in the file system.
    """

    uri: str
    filesystem: Any
    root: str

    @classmethod
    def open(cls, where: str | Path) -> Storage:
        """Open a place and check that it can be written.

        Raises:
            InputError: If it is not known or cannot be written, told after at most 20 seconds.
        """
        text = str(where)
        check_place(text)
        storage = cls.reading(make_folder(where) if "://" not in text else text)
        patiently(text, storage._probe)
        return storage

    @classmethod
    def reading(cls, where: str | Path) -> Storage:
        """The same of a place that is only read.

        Raises:
            InputError: If it is not known, or does not answer within 20 seconds.
        """
        text = str(where)
        check_place(text)
        if "://" in text:
            return cls(text, *patiently(text, lambda: _from_uri(text)))
        folder = str(Path(where).resolve())
        return cls(folder, pyarrow.fs.LocalFileSystem(), folder)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine's."""
        return isinstance(self.filesystem, pyarrow.fs.LocalFileSystem)

    @property
    def shown(self) -> str:
        """Its name for people and logs: a URI without what is behind the place."""
        return redacted(self.uri)

    def uri_of(self, name: str) -> str:
        """The path or URI of something in it, as Ray takes it."""
        place, mark, query = self.uri.partition("?") if "://" in self.uri else (self.uri, "", "")
        return f"{place.rstrip('/')}/{name}{mark}{query}"

    def name_of(self, path: str) -> str:
        """The name of something in it, by its path in the file system."""
        return path.removeprefix(self.root.rstrip("/")).lstrip("/")

    def read(self, path: str) -> bytes | None:
        """The content of a file, by its path in the file system; None if there is none."""
        return read_file(self.filesystem, path)

    def read_named(self, name: str) -> bytes | None:
        """The content of a file in it; None if there is none.

        Raises:
            InputError: If the storage cannot be read.
        """
        try:
            return self.read(f"{self.root.rstrip('/')}/{name}")
        except (OSError, pyarrow.ArrowException) as error:
            raise _unusable(self.uri, error, "read") from error

    def read_object(self, name: str) -> dict[str, Any] | None:
        """The JSON object in a file in it; None if there is none.

        Raises:
            InputError: If the file is damaged.
        """
        content = self.read_named(name)
        return None if content is None else json_object(content, f"{name} in '{self.shown}'")

    def names(self, path: str) -> list[str]:
        """Names of what is in a folder, by its path in the file system; none if it is not there."""
        there = self.filesystem.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True))
        return [info.base_name for info in there]

    def sizes(self, paths: list[str]) -> list[int | None]:
        """Bytes of files, by their paths in the file system; None for what is not one."""
        return [info.size if info.is_file else None for info in self.filesystem.get_file_info(paths)]

    def write(self, name: str, content: bytes) -> None:
        """Write a file; an object of a bucket is whole or not there by itself.

        Raises:
            InputError: If it cannot be written.
        """
        if self.is_local:
            path = Path(self.root, name)
            make_folder(path.parent)
            with replacing(path) as file:
                file.write(content)
            return
        try:
            with self.filesystem.open_output_stream(f"{self.root}/{name}") as stream:
                stream.write(content)
        except (OSError, pyarrow.ArrowException) as error:
            raise _unusable(self.uri, error) from error

    def check_room(self) -> None:
        """See that it takes a mebibyte more.

        Raises:
            InputError: If it does not.
        """
        try:
            patiently(self.uri, lambda: self._probe(_ROOM_BYTES))
        except InputError as error:
            reason = str(error).rpartition(" cannot be written: ")[2].rstrip(".")
            raise InputError(
                f"storage '{self.shown}' takes no more: {reason}; with room the same command goes on."
            ) from error

    def _probe(self, size: int = 0) -> None:
        name = f".writable-{secrets.token_hex(4)}"
        self.write(name, bytes(size))
        self.filesystem.delete_file(f"{self.root}/{name}")


def read_file(filesystem: Any, path: str) -> bytes | None:
    """The content of a file of a file system; None if there is none."""
    if isinstance(filesystem, pyarrow.fs.LocalFileSystem) and os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"'{path}' cannot be read: it must be a regular file.")  # a pipe would be waited for
    try:
        with filesystem.open_input_file(path) as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None


def _from_uri(uri: str) -> Any:
    return pyarrow.fs.FileSystem.from_uri(uri)


def patiently(uri: str, work: Callable[[], Any], what: str = "written") -> Any:
    """Do what may wait for a network for ever, and give up in time.

    Args:
        uri: Of the storage, for the sentence.
        work: What is done.
        what: What it is done for, ``written`` or ``read``.

    Raises:
        InputError: If it fails, or has not ended within 20 seconds.
    """
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except (OSError, ValueError, pyarrow.ArrowException, InputError) as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    if not outcome:
        raise InputError(f"storage '{redacted(uri)}' does not answer within {_PATIENCE_S:.0f} s.")
    value, error = outcome[0]
    if isinstance(error, InputError):
        raise error
    if error is not None:
        raise _unusable(uri, error, what) from error
    return value


def _unusable(uri: str, error: BaseException, what: str = "written") -> InputError:
    return InputError(f"storage '{redacted(uri)}' cannot be {what}: {_reason(error)}.")


def unwritten(uri: str, error: BaseException) -> InputError:
    """What to tell of a storage that fails while it is written."""
    return _unusable(uri, error)


def unreadable(uri: str, error: BaseException) -> InputError:
    """What to tell of a storage that fails while it is read."""
    return InputError(f"storage '{redacted(uri)}' cannot be read: {_reason(error)}; the same command goes on.")


def _reason(error: BaseException) -> str:
    return redacted(system_words(error))
