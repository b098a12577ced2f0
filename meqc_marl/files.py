"""Output files that are complete or not there at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from meqc_marl.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file beside ``path`` for writing and put it in its place at the end, if nothing went wrong.

    A link stays a link: the file that it points to is replaced.

    Raises:
        InputError: The file cannot be written; what was there before is untouched.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        raise InputError(f"output file '{path}' is a folder or a device; it must be a regular file.")
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(aside, "xb") as file:  # with the user's umask, unlike the files of tempfile
            yield file
        os.replace(aside, target)
    except OSError as error:
        raise InputError(f"output file '{path}' cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            aside.unlink()


def make_folder(path: str | Path) -> Path:
    """Make a folder and those above it, if they are not there, and return it.

    Raises:
        InputError: If that cannot be done.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return folder


def unwritable(folder: str | Path, error: OSError) -> InputError:
    """The sentence about a folder that cannot be written."""
    return InputError(f"output folder '{folder}' cannot be written: {error.strerror or error}.")


def check_output(path: str | Path) -> None:
    """Refuse a path that cannot be written, before any work is done; what is there stays."""
    with suppress(_NothingWrong), replacing(path):
        raise _NothingWrong


class _NothingWrong(Exception):
    pass
