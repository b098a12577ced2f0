"""The report of a job as text, so that it can come back through a job's log: no other way in or out is needed.

``python -m meqc_marl.cluster.archive STORAGE NAME...`` prints it; its files are numbers, pictures and weights, nothing
is executed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from collections.abc import Collection
from pathlib import Path

from meqc_marl.errors import InputError
from meqc_marl.files import make_folder, replacing
from meqc_marl.storage import Storage

LARGEST = 2**26
"""Bytes of a report that are unpacked at most."""
_BEGIN, _END = "-----BEGIN REPORT", "-----END REPORT-----"


def pack(files: dict[str, bytes]) -> str:
    """Text of some files, with a checksum."""
    content = json.dumps({name: base64.b64encode(data).decode() for name, data in files.items()}).encode()
    body = base64.encodebytes(zlib.compress(content)).decode()
    return f"{_BEGIN} {hashlib.sha256(content).hexdigest()}-----\n{body}{_END}"


def unpack(log: str, names: Collection[str]) -> dict[str, bytes]:
    """The files in a log that holds such a text; a log may say anything, so it is read like a stranger's.

    Args:
        log: What the job has printed.
        names: The only files that a report of this kind has.

    Raises:
        InputError: If there is none, it is damaged, holds other files, or is larger than :data:`LARGEST`.
    """
    _, begin, rest = log.partition(_BEGIN)
    head, _, tail = rest.partition("\n")
    body, end, _ = tail.partition(_END)
    if not begin or not end:
        raise InputError("the log of the job holds no report.")
    try:
        content = _inflated(base64.b64decode(body))
        if hashlib.sha256(content).hexdigest() != head.strip().strip("-"):
            raise ValueError("its checksum is another")
        files = json.loads(content)
        if not isinstance(files, dict):
            raise ValueError("it holds no files")
        if other := sorted(files.keys() - set(names)):
            raise ValueError(f"it holds {other[0][:40]!r}, which is not of {', '.join(sorted(names))}")
        return {name: base64.b64decode(data, validate=True) for name, data in files.items()}
    except (zlib.error, ValueError, TypeError, RecursionError) as error:  # base64's is a ValueError
        raise InputError(f"the report in the log of the job is damaged: {error}.") from error


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(data, LARGEST)
    if stream.unconsumed_tail or not stream.eof:
        raise ValueError(f"it is cut, or holds more than {LARGEST:,} bytes")
    return content


def save(files: dict[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder and return their paths."""
    for name, data in files.items():
        make_folder((folder / name).parent)
        with replacing(folder / name) as file:
            file.write(data)
    return [folder / name for name in files]


def main(where: str, *names: str) -> int:
    """Print those of a report's files that are in a storage; returns the exit code."""
    storage = Storage.reading(where)
    found = {name: storage.read_named(name) for name in names}
    print(pack({name: data for name, data in found.items() if data is not None}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
