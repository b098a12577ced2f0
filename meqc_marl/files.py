"""Files that are complete or not there at all, and files that are read only as far as they may go."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from meqc_marl.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file beside ``path`` for writing and put it in its place at the end, if nothing went wrong.

    A link stays a link: the file that it points to is replaced. Its permissions stay; a new file has the user's own.

    Raises:
        InputError: The file cannot be written; what was there before is untouched.
    """
    aside = None
    try:
        target = os.path.realpath(path)
        if _kind(target) not in (None, stat.S_IFREG):
            raise InputError(f"output file '{path}' is a folder or a device; it must be a regular file.")
        aside = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.part")
        with open(aside, "xb") as file:  # with the user's umask, unlike the files of tempfile
            if os.path.exists(target):
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(target).st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power loss may leave the new name and nothing behind it
        os.replace(aside, target)
        sync_folder(Path(target).parent, below=False)
    except InputError:
        raise
    except Exception as error:
        if (reason := _reason(error)) is None:
            raise
        raise InputError(f"output file '{path}' cannot be written: {reason}.") from error
    finally:
        if aside is not None:
            with suppress(OSError):
                os.unlink(aside)


def _kind(target: str) -> int | None:
    """Kind of a file as ``stat`` tells it; None where there is none yet but may be one.

    Raises:
        OSError: Nothing can be there: too long a name, a loop of links, a file in the place of a folder.
    """
    try:
        return stat.S_IFMT(os.stat(target).st_mode)
    except FileNotFoundError:
        return None


def system_words(error: BaseException) -> str:
    """What the system says, in one line without a full stop; pyarrow puts words of its own around it."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    found = re.search(r"\[errno (\d+)\]", text)
    return os.strerror(int(found[1])) if found else text.rstrip(".")


def _reason(error: BaseException | None) -> str | None:
    """Why a file cannot be written, if that is what an error says.

    Libraries wrap the system's error, or raise one of their own from it, or while they clean up after it.
    """
    if isinstance(error, OSError):
        return system_words(error)
    if isinstance(error, ValueError) and "null" in str(error):
        return "its name has a null character"
    for _ in range(10):
        if error is None:
            break
        for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS):
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
                return os.strerror(number)
        if "PytorchStreamWriter" in str(error) or "inline_container" in str(error):
            return "a part of it could not be written, as on a full disk"  # torch keeps the reason to itself
        error = error.__cause__ or error.__context__
    return None


def read_bytes(path: str | Path, what: str, most: int) -> bytes:
    """Read a whole file that must not be larger than ``most`` bytes.

    Args:
        path: A regular file.
        what: Names it in the sentence, as in ``trace 'mine.npz'``.
        most: Bytes.

    Raises:
        InputError: It is not there, is no regular file, is too large or cannot be read.
    """
    with open_regular(path, what, most) as file:
        try:
            return file.read(most + 1)[:most]
        except OSError as error:
            raise InputError(f"{what} cannot be read: {error.strerror or error}.") from error


def read_text(path: str | Path, what: str, most: int) -> str:
    """Read a whole file of UTF-8; see :func:`read_bytes`."""
    try:
        return read_bytes(path, what, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{what} is not text; it must be in UTF-8.") from None


def json_object(content: bytes, what: str) -> dict[str, Any]:
    """An object of JSON, each of whose keys is there once.

    Raises:
        InputError: It is none, named by ``what``.
    """
    try:
        found = json.loads(content, object_pairs_hook=each_once)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{what} is damaged; it must be an object of JSON.")
    return found


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Pairs of a JSON object as a mapping.

    Raises:
        ValueError: If a key is there twice.
    """
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def open_regular(path: str | Path, what: str, most: int) -> BinaryIO:
    """Open a regular file for reading; a pipe or a device, which may never end or never begin, is refused.

    Raises:
        InputError: See :func:`read_bytes`.
    """
    try:
        # Without O_NONBLOCK opening a pipe waits for somebody to write into it.
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror or error}.") from error
    except ValueError:
        raise InputError(f"{what} cannot be read: its name has a null character.") from None
    file = os.fdopen(opened, "rb") if stat.S_ISREG((status := os.fstat(opened)).st_mode) else None
    if file is None:
        os.close(opened)
        reason = os.strerror(errno.EISDIR) if stat.S_ISDIR(status.st_mode) else "it must be a regular file"
        raise InputError(f"{what} cannot be read: {reason}.")
    if status.st_size > most:
        file.close()
        raise InputError(f"{what} has {status.st_size:,} bytes; at most {most:,} are allowed.")
    return file


def sync_folder(folder: Path, below: bool = True) -> None:
    """Have a folder's entries, and with ``below`` all files and folders in it, on the disk and not in memory only.

    Raises:
        OSError: If something could not be written after all.
    """
    paths = [*folder.rglob("*"), folder] if below else [folder]
    for path in paths:
        if path.is_symlink():
            continue
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems do not sync folders
                raise
        finally:
            os.close(opened)


@contextmanager
def telling_what_cannot_be_written(what: str) -> Iterator[None]:
    """Tell a disk that is full or fails in one sentence, whichever library meets it.

    Args:
        what: With its path, such as ``checkpoint 'run/checkpoint_000001'``.

    Raises:
        InputError: If a file could not be written; other errors are raised as they are.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if (reason := _reason(error)) is None:
            raise
        raise InputError(f"{what} cannot be written: {reason}.") from error


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
    except ValueError:
        raise InputError(f"output folder '{path}' cannot be written: its name has a null character.") from None
    return folder


def unwritable(folder: str | Path, error: Exception) -> InputError:
    """The sentence about a folder that cannot be written."""
    return InputError(f"output folder '{folder}' cannot be written: {getattr(error, 'strerror', None) or error}.")


def check_folder(path: str | Path) -> None:
    """Refuse a folder that cannot be made or written, as far as that can be told without making it.

    Raises:
        InputError: If something else is in its place or above it, or the user may not write there.
    """
    folder = Path(path)
    try:
        if "\0" in str(folder):
            raise ValueError("its name has a zero byte in it")
        if any(len(os.fsencode(part)) > 255 for part in folder.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        above = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from error


def check_output(path: str | Path) -> None:
    """Refuse a path that cannot be written, before any work is done; what is there stays."""
    with suppress(_NothingWrong), replacing(path):
        raise _NothingWrong


def check_outputs(outputs: Mapping[str, str | Path | None], inputs: Mapping[str, str | Path | None]) -> None:
    """Refuse outputs that cannot be written, or that are one file, or that would replace what is read.

    Args:
        outputs: Files to write, by the option that names them; None for none.
        inputs: Files to read alike.
    """
    taken = {_identity(path): option for option, path in inputs.items() if path is not None}
    for option, path in outputs.items():
        if path is not None:
            check_output(path)
            if (other := taken.setdefault(_identity(path), option)) != option:
                raise InputError(f"{option} is '{path}', the same file as {other}; they must be different files.")


def _identity(path: str | Path) -> object:
    """The same for two names of one file, if it is there."""
    try:
        status = os.stat(path)
        return status.st_dev, status.st_ino
    except (OSError, ValueError):
        return os.path.realpath(os.fspath(path).replace("\0", ""))


class _NothingWrong(Exception):
    pass
