"""Movements as ways between points: BonnMotion's and ns-2's, as positions of devices slot by slot."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from meqc_marl.errors import InputError, shown
from meqc_marl.files import open_regular
from meqc_marl.nature.movements import Movements, read_fcd

_MAX_BYTES = 1_000_000_000
"""Of the text, unpacked."""
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_PLACE = re.compile(rf"\$node_\((\d+)\)\s+set\s+([XYZ])_\s+{_NUMBER}\s*")
_COURSE = re.compile(rf'\$ns_\s+at\s+{_NUMBER}\s+"\$node_\((\d+)\)\s+setdest\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}"\s*')

Way = tuple[list[float], list[float], list[float]]
"""Times, x and y of the points of a way, in order."""


def read_movements(
    path: str | Path,
    slot_s: float,
    begin_s: float | None = None,
    num_slots: int | None = None,
    come_and_go: bool = False,
) -> Movements:
    """Movements in the format that the file's name tells, gzipped if it ends in ``.gz`` as well.

    ``.xml``: SUMO's floating-car data, see :func:`~meqc_marl.nature.movements.read_fcd`; ``.movements``: BonnMotion;
    ``.ns_movements`` and ``.tcl``: ns-2. In the last two everybody is there all the time; who has arrived stays.

    Args:
        path: The file.
        slot_s: Duration of a slot.
        begin_s: Time of slot 0; of BonnMotion and ns-2 0 by default.
        num_slots: T; up to the last arrival by default.
        come_and_go: Also take those of an FCD file who are there in some slots only.

    Raises:
        InputError: The file cannot be read or does not hold what its name says.
    """
    name = str(path).removesuffix(".gz")
    if name.endswith(".xml"):
        return read_fcd(path, slot_s, begin_s, num_slots, come_and_go)
    what = f"movements '{path}'"
    if come_and_go:
        raise InputError(f"{what}: of BonnMotion's and ns-2's nodes none comes or goes; leave come-and-go out.")
    if name.endswith(".movements"):
        ways = _bonnmotion(what, path)
    elif name.endswith((".ns_movements", ".tcl")):
        ways = _ns2(what, path)
    else:
        raise InputError(f"{what} must end in .xml, .movements, .ns_movements or .tcl, and .gz if it is packed.")
    if not ways:
        raise InputError(f"{what} has no nodes; it must have one at least.")
    begin = 0.0 if begin_s is None else begin_s
    last = max(times[-1] for times, _, _ in ways.values())
    slots = int(np.floor(max(last - begin, 0.0) / slot_s * (1.0 + 1e-12))) + 1 if num_slots is None else num_slots
    if begin < 0.0 or not 1 <= slots * len(ways) <= 30_000_000:
        raise InputError(f"{what}: {slots:,} slots from {begin:g} s on are asked for; begin at 0 or later, take fewer.")
    at = begin + slot_s * np.arange(slots)
    places = [np.stack([np.interp(at, times, x), np.interp(at, times, y)], -1) for times, x, y in ways.values()]
    return Movements(list(ways), np.stack(places, 1))


def _lines(what: str, path: str | Path) -> Iterator[tuple[int, str]]:
    """Lines with something in them, and their numbers."""
    with open_regular(path, what, _MAX_BYTES) as file:
        stream: Any = gzip.GzipFile(fileobj=file) if str(path).endswith(".gz") else file
        try:
            content = stream.read(_MAX_BYTES + 1)
            text = content.decode()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError):
            raise InputError(f"{what} cannot be read: it is damaged or no text.") from None
    if len(content) > _MAX_BYTES:
        raise InputError(f"{what} unpacks to more than {_MAX_BYTES:,} bytes; cut it into shorter files.")
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _bonnmotion(what: str, path: str | Path) -> dict[str, Way]:
    """A line for each node: time, x and y of every point of its way."""
    ways: dict[str, Way] = {}
    for number, line in _lines(what, path):
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            values = []
        times = values[::3]
        sound = values and len(values) % 3 == 0 and all(abs(value) <= 1e9 for value in values)
        if not sound or any(after < before for before, after in pairwise(times)):
            raise InputError(
                f"{what}, line {number}: {shown(line)} is not allowed; it must be numbers in threes, time, x and y, "
                "the times in order."
            )
        ways[str(len(ways))] = (times, values[1::3], values[2::3])
    return ways


def _ns2(what: str, path: str | Path) -> dict[str, Way]:
    """First places, and courses: from a time on to a point at a speed, until the point or the next course."""
    start: dict[str, dict[str, float]] = {}
    courses: list[tuple[float, int, str, float, float, float]] = []
    for number, line in _lines(what, path):
        if first := _PLACE.fullmatch(line.strip()):
            start.setdefault(first[1], {})[first[2]] = float(first[3])
        elif course := _COURSE.fullmatch(line.strip()):
            time_s, x, y, speed = (float(course[index]) for index in (1, 3, 4, 5))
            courses.append((time_s, number, course[2], x, y, speed))
        else:
            raise InputError(
                f"{what}, line {number}: {shown(line.strip())} is not allowed; it must set X_, Y_ or Z_ of a node or "
                "say at what time setdest is called."
            )
    for name, place in start.items():
        if not {"X", "Y"} <= set(place):
            raise InputError(f"{what}: node {name} lacks X_ or Y_; it must have both.")
    ways: dict[str, Way] = {name: ([0.0], [place["X"]], [place["Y"]]) for name, place in start.items()}
    for time_s, number, name, x, y, speed in sorted(courses):
        if name not in ways or time_s < 0.0 or speed < 0.0 or not all(abs(v) <= 1e9 for v in (time_s, x, y, speed)):
            raise InputError(
                f"{what}, line {number}: the node must have a first place, and time and speed must be at least 0."
            )
        _turn(ways[name], time_s, x, y, speed)
    return ways


def _turn(way: Way, time_s: float, x: float, y: float, speed: float) -> None:
    """From a time on, at most the way's last arrival or later, on to a point at a speed."""
    times, xs, ys = way
    here = float(np.interp(time_s, times[-2:], xs[-2:])), float(np.interp(time_s, times[-2:], ys[-2:]))
    if times[-1] > time_s:  # the course before is left half-way
        for part in way:
            part.pop()
    distance = float(np.hypot(x - here[0], y - here[1]))
    for when, at in ((time_s, here), (time_s + distance / speed, (x, y)) if speed > 0.0 else (time_s, here)):
        times.append(when)
        xs.append(at[0])
        ys.append(at[1])
