"""The last slot of a row for people: a table, or a map of the disc, quick enough to be watched."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from meqc_marl.config.quantity import fixed
from meqc_marl.nature.slot import Slot
from meqc_marl.physics.cost import Mode, Outcome

MODE_COLOURS = {Mode.LOCAL: "#333333", Mode.CPU: "#0072B2", Mode.QPU: "#F5C710"}
"""Of every picture that shows modes; from dark to light, so that they differ in grey."""


def slot_table(index: int, slot: Slot, outcome: Outcome | None) -> str:
    """Text table of row 0, a line for each device that is there."""
    distance_m = np.hypot(slot.position_m[0, :, 0], slot.position_m[0, :, 1])
    head = f"{'device':>6} {'away m':>6} {'data MB':>8} {'deadline s':>10} {'qubits':>6}"
    if outcome is not None:
        head += f" {'mode':>5} {'fraction':>8} {'latency s':>9} {'energy J':>9} {'cost':>8}  notes"
    lines = [f"slot {index}", head]
    for m in _there(slot, outcome).tolist():
        line = f"{m:>6} {fixed(distance_m[m], '.1f'):>6}"
        line += (
            f" {fixed(slot.data_bits[0, m] / 8e6, '.1f'):>8} {slot.deadline_s[0, m]:>10.2f} {slot.qubits[0, m]:>6.0f}"
        )
        if outcome is not None:
            notes = "missed" if outcome.deadline_missed[0, m] else ""
            notes += " rejected by QPU" if outcome.qpu_rejected[0, m] else ""
            line += (
                f" {Mode(outcome.mode[0, m]).name:>5} {outcome.fraction[0, m]:>8.3f}"
                f" {fixed(outcome.latency_s[0, m], '.3f'):>9}"
                f" {fixed(outcome.energy_j[0, m], '.3f'):>9} {fixed(outcome.cost[0, m], '.3f'):>8}  {notes.strip()}"
            )
        lines.append(line.rstrip())
    return "\n".join(lines)


_WIDTH, _HEIGHT, _HEAD = 520, 580, 60
"""Pixels of the map, and of its head."""
_FINER = 2
"""Drawn so many times as large and made smaller, for smooth edges."""
_MISSED = "#D55E00"
_RINGS = 4
_MOST_NUMBERED = 30
"""Devices up to which each has its number beside it."""
_NAMES = {Mode.LOCAL: "local", Mode.CPU: "CPU", Mode.QPU: "QPU"}


def draw_disc(radius_m: float, index: int, slot: Slot, outcome: Outcome | None) -> np.ndarray:
    """Map of row 0, uint8 [H, W, 3]: devices round the access point, between rings of distance.

    A device that computes locally is a disc, on the CPU a square, on the QPU a diamond, each larger the more it sends
    away; a cross marks a missed deadline. Before the first slot all are grey discs. Who is not there is not drawn.
    """
    from PIL import ImageDraw

    picture = _background(radius_m).copy()
    pen = ImageDraw.Draw(picture)
    position = slot.position_m[0]
    number = len(position)
    zoom, middle_x, middle_y = _scale(radius_m)
    x, y = middle_x + zoom * position[:, 0], middle_y - zoom * position[:, 1]
    base = float(np.clip(85.0 / np.sqrt(number), 2.5, 7.0)) * _FINER
    mode, share, missed = np.zeros(number, int), np.zeros(number), np.zeros(number, bool)
    if outcome is not None:
        mode, share, missed = outcome.mode[0], outcome.fraction[0], outcome.deadline_missed[0]
    there = _there(slot, outcome)
    for m in there[np.argsort(missed[there], kind="stable")].tolist():  # crosses on top
        colour = "#bbbbbb" if outcome is None else MODE_COLOURS[Mode(mode[m])]
        _mark(pen, int(mode[m]), (x[m], y[m]), base * (0.75 + 0.5 * share[m]), colour)
        if missed[m]:
            _cross(pen, (x[m], y[m]), base * (0.75 + 0.5 * share[m]))
        if number <= _MOST_NUMBERED:
            side = ("ls", 1.6) if x[m] < 0.9 * _WIDTH * _FINER else ("rs", -1.6)
            pen.text((x[m] + side[1] * base, y[m] - base), str(m), fill="#000000", font=_font(10), anchor=side[0])
    _head(pen, index, mode[there], missed[there], outcome is not None)
    return np.asarray(picture.reduce(_FINER))


def _there(slot: Slot, outcome: Outcome | None) -> np.ndarray:
    """Numbers of the devices of row 0 that are there."""
    present = slot.present if outcome is None else outcome.present
    return np.arange(slot.data_bits.shape[-1]) if present is None else np.flatnonzero(present[0])


def _mark(pen: Any, mode: int, at: tuple[float, float], radius: float, colour: str) -> None:
    x, y = at
    line = {"fill": colour, "outline": "#000000", "width": _FINER if radius > 4 * _FINER else 1}
    if mode == Mode.LOCAL:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), **line)
    elif mode == Mode.CPU:
        pen.rectangle((x - radius, y - radius, x + radius, y + radius), **line)
    else:
        tip = 1.35 * radius
        pen.polygon([(x, y - tip), (x + tip, y), (x, y + tip), (x - tip, y)], **line)


def _cross(pen: Any, at: tuple[float, float], radius: float) -> None:
    (x, y), reach = at, radius + 3 * _FINER
    for width, colour in ((3 * _FINER, "#ffffff"), (2 * _FINER - 1, _MISSED)):
        for slope in (-1, 1):
            pen.line((x - reach, y - slope * reach, x + reach, y + slope * reach), fill=colour, width=width)


def _head(pen: Any, index: int, mode: np.ndarray, missed: np.ndarray, is_done: bool) -> None:
    """Slot, and how many devices did what: the legend as well."""
    font, x, y = _font(13), 12.0 * _FINER, 10.0 * _FINER
    told = f"slot {index}" + (f", {int(missed.sum())} of {len(mode)} deadlines missed" if is_done else ", the start")
    pen.text((x, y), told, fill="#000000", font=font)
    y += 32 * _FINER
    for each, name in _NAMES.items():
        _mark(pen, each, (x + 6 * _FINER, y), 5 * _FINER, MODE_COLOURS[each])
        text = f"{name} {int((mode == each).sum())}" if is_done else name
        pen.text((x + 17 * _FINER, y - 8 * _FINER), text, fill="#000000", font=font)
        x += (30 * _FINER) + pen.textlength(text, font=font)
    _mark(pen, Mode.LOCAL, (x + 8 * _FINER, y), 4 * _FINER, "#999999")
    _cross(pen, (x + 8 * _FINER, y), 4 * _FINER)
    pen.text((x + 20 * _FINER, y - 8 * _FINER), "deadline missed; larger: sends more", fill="#000000", font=font)


def _scale(radius_m: float) -> tuple[float, float, float]:
    """Pixels of a metre, and where the access point is."""
    return (_WIDTH / 2 - 12) * _FINER / radius_m, _WIDTH / 2 * _FINER, (_HEAD + _WIDTH / 2) * _FINER


@lru_cache(maxsize=8)
def _background(radius_m: float) -> Any:
    """Rings with their distances, and the access point."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (_WIDTH * _FINER, _HEIGHT * _FINER), "#ffffff")
    pen = ImageDraw.Draw(picture)
    zoom, x, y = _scale(radius_m)
    for ring in range(_RINGS, 0, -1):
        r = zoom * radius_m * ring / _RINGS
        colour = "#555555" if ring == _RINGS else "#cccccc"
        pen.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=_FINER)
        text = f"{radius_m * ring / _RINGS:.3g} m"
        pen.text((x + 3 * _FINER, y - r + 2 * _FINER), text, fill="#555555", font=_font(11))
    size = 8 * _FINER
    pen.polygon([(x, y - size), (x + size, y + size), (x - size, y + size)], fill="#000000")
    return picture


@lru_cache(maxsize=8)
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size * _FINER)
