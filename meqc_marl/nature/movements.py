"""Movements of vehicles from SUMO's floating-car data (FCD), as positions of devices slot by slot."""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from meqc_marl.errors import InputError, shown
from meqc_marl.files import open_regular
from meqc_marl.nature.trace import MAX_DEVICE_SLOTS

_MAX_BYTES = 20_000_000_000
_MAX_POINTS = 20_000_000
"""Places of vehicles in a file: 160 bytes each while it is read."""


_AT_ONCE_S = 1e-6
"""A slot so near a time step begins with it."""
Way = tuple[list[int], list[tuple[float, float]]]
"""Numbers of the time steps in which somebody is there, and the places."""


class Movements(NamedTuple):
    """Who moves, and where they are.

    Attributes:
        names: In order of appearance.
        position: In the file's coordinates [T, M, 2]; 0 of who is not there.
        present: Bool [T, M]; None if everybody is there all the time.
    """

    names: list[str]
    position: np.ndarray
    present: np.ndarray | None = None


def read_fcd(
    path: str | Path,
    slot_s: float,
    begin_s: float | None = None,
    num_slots: int | None = None,
    come_and_go: bool = False,
) -> Movements:
    """Vehicles and persons of an FCD file that are there in every slot, and where they are.

    Between two time steps of the file the way is straight. Who comes later or leaves earlier is left out, or is there
    for a while: in the slots between two time steps on end, or at one, that tell of them.

    Args:
        path: XML as SUMO's ``--fcd-output`` writes it, also gzipped (``.gz``).
        slot_s: Duration of a slot.
        begin_s: Time of slot 0; the first time step by default.
        num_slots: T; up to the last time step by default.
        come_and_go: Also take those who are there in some slots only.

    Raises:
        InputError: Unreadable, too large, or nobody is there all the time, or at all.
    """
    what = f"movements '{path}'"
    with open_regular(path, what, _MAX_BYTES) as file:
        stream: Any = gzip.GzipFile(fileobj=file) if str(path).endswith(".gz") else file
        try:
            times, ways = _steps(what, stream)
        except (ElementTree.ParseError, EOFError, OSError, zlib.error) as error:
            raise InputError(f"{what} is no FCD file: {shown(str(error).rstrip('.'))[1:-1]}.") from None
    if not times:
        raise InputError(f"{what} has no time steps; it must be an FCD file of SUMO.")
    when = np.array(times)
    begin = when[0] if begin_s is None else begin_s
    most = int(np.floor((when[-1] - begin) / slot_s * (1.0 + 1e-12))) + 1
    slots = most if num_slots is None else num_slots
    if begin < when[0] or slots > most or slots < 1:
        raise InputError(
            f"{what} is from {when[0]:g} to {when[-1]:g} s; {max(slots, 0)} slots of {slot_s:g} s from {begin:g} s on "
            "do not lie within that."
        )
    at = begin + slot_s * np.arange(slots)
    if come_and_go:
        return _while_there(what, ways, when, at)
    first = int(np.searchsorted(when, at[0], "right")) - 1
    last = min(int(np.searchsorted(when, at[-1], "left")), len(when) - 1)
    names, places = [], []
    for name, (steps, points) in ways.items():
        index = np.array(steps)
        here = (index >= first) & (index <= last)
        if here.sum() == last - first + 1:
            known = np.array(points)[here]
            names.append(name)
            places.append(np.stack([np.interp(at, when[index[here]], known[:, axis]) for axis in (0, 1)], -1))
    if not names:
        raise InputError(
            f"{what} has nobody who is there from {at[0]:g} to {at[-1]:g} s without a break; take fewer slots, another "
            "beginning, or all who come and go (--come-and-go)."
        )
    return Movements(names, np.stack(places, 1))


def _while_there(what: str, ways: dict[str, Way], when: np.ndarray, at: np.ndarray) -> Movements:
    """Everybody who is there in some slot."""
    before = np.maximum(np.searchsorted(when, at + _AT_ONCE_S, "right") - 1, 0)
    after = np.minimum(np.searchsorted(when, at - _AT_ONCE_S, "left"), len(when) - 1)
    told: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, (steps, points) in ways.items():
        index, known = np.array(steps), np.array(points)
        there = np.zeros(len(when), bool)
        there[index] = True
        present = there[before] & there[after]
        if present.any():
            place = np.stack([np.interp(at, when[index], known[:, axis]) for axis in (0, 1)], -1)
            told[name] = (np.where(present[:, None], place, 0.0), present)
        if len(told) * len(at) > MAX_DEVICE_SLOTS:
            raise InputError(
                f"{what}: more than {len(told) - 1:,} devices in {len(at):,} slots are more than {MAX_DEVICE_SLOTS:,} "
                "places; take fewer slots."
            )
    if not told:
        raise InputError(f"{what} has nobody who is there in a slot from {at[0]:g} to {at[-1]:g} s.")
    places, present = (np.stack(each, 1) for each in zip(*told.values(), strict=True))
    return Movements(list(told), places, present)


def _steps(what: str, stream: Any) -> tuple[list[float], dict[str, Way]]:
    """Times, and of everybody the numbers of the time steps and the places in them."""
    times: list[float] = []
    ways: dict[str, Way] = defaultdict(lambda: ([], []))
    points, root = 0, None
    for event, element in ElementTree.iterparse(stream, ("start", "end")):
        if root is None:
            root = element
            if element.tag != "fcd-export":
                raise InputError(f"{what} begins with <{shown(element.tag)[1:-1]}>; it must begin with <fcd-export>.")
        if event == "start" or element.tag != "timestep":
            continue
        time_s = _number(what, len(times), element, "time")
        if times and time_s <= times[-1]:
            raise InputError(f"{what}, time step {len(times) + 1}: {time_s:g} s does not follow {times[-1]:g} s.")
        for one in element:
            if one.tag not in ("vehicle", "person"):
                continue
            points += 1
            steps, places = ways[str(one.get("id"))]
            if steps and steps[-1] == len(times):
                raise InputError(f"{what}, time step {len(times) + 1}: {shown(one.get('id'))} is there twice.")
            steps.append(len(times))
            places.append((_number(what, len(times), one, "x"), _number(what, len(times), one, "y")))
        if points > _MAX_POINTS:
            raise InputError(f"{what} has more than {_MAX_POINTS:,} places; cut it into shorter files.")
        times.append(time_s)
        root.clear()  # what has been read takes no more memory
    return times, dict(ways)


def _number(what: str, step: int, element: ElementTree.Element, name: str) -> float:
    text = element.get(name)
    try:
        value = float(text) if text is not None else np.nan
    except ValueError:
        value = np.nan
    if not abs(value) <= 1e9:
        raise InputError(
            f"{what}, time step {step + 1}: {name} of <{shown(element.tag)[1:-1]}> is {shown(text)}; "
            "it must be a number."
        )
    return value
