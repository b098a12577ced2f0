"""What a checkpoint consists of and whose it is: sizes, checksums and the identity of its run, under a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

_BLOCK = 2**20

Files = dict[str, list[Any]]
"""Size in bytes and SHA-256 of each file, by its path below the checkpoint."""


def describe(folder: Path) -> Files:
    """Sizes and checksums of all files below a folder."""
    found: Files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = [path.stat().st_size, digest(file)]
    return found


def digest(file: BinaryIO) -> str:
    """SHA-256 of what can be read from a file."""
    sum_ = hashlib.sha256()
    while block := file.read(_BLOCK):
        sum_.update(block)
    return sum_.hexdigest()


def sealed(content: Mapping[str, Any]) -> bytes:
    """Some content as JSON, with a checksum of itself."""
    text = json.dumps(content, sort_keys=True)
    return json.dumps({"content": json.loads(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


def unsealed(raw: bytes) -> dict[str, Any]:
    """Inverse of :func:`sealed`.

    Raises:
        ValueError: If it is torn or changed.
    """
    try:
        both = json.loads(raw)
        content, told = both["content"], both["sha256"]
        text = json.dumps(content, sort_keys=True)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is torn") from error
    if not isinstance(content, dict) or hashlib.sha256(text.encode()).hexdigest() != told:
        raise ValueError("its checksum is another")
    return content


def plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity as JSON brings it back."""
    return dict(json.loads(json.dumps(identity)))


def first_difference(theirs: Any, ours: Any, name: str = "") -> str | None:
    """Names the first thing in which two identities differ, with both values; None if they are equal."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            below = f"{name}.{key}" if name else key
            if (told := first_difference(theirs.get(key), ours.get(key), below)) is not None:
                return told
        return None
    return None if theirs == ours else f"{name} is {_short(theirs)}, not {_short(ours)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
