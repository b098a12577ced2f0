"""Builds the page: facts as JSON, columns as a block, script and style in their places; nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.env.render import MODE_COLOURS
from meqc_marl.evaluation.rollout import Rollout
from meqc_marl.files import replacing
from meqc_marl.nature.presence import mean_of_present
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import Mode
from meqc_marl.report.replay.pack import Pack

ORACLE = "oracle"
"""Name of the policy that costs are held against."""
_SCRIPTS = ("decode.js", "map.js", "charts.js", "player.js")


def replay_page(scenario: Scenario, trace: Trace, records: Mapping[str, Rollout], about: str = "") -> str:
    """The page, as HTML.

    Args:
        scenario: The system.
        trace: Nature, of which the first row is shown.
        records: What each policy did, by its name; the oracle must be among them.
        about: What the trace is, for the heading.
    """
    names = list(records)
    pack = Pack()
    position = trace.position_m[:, 0].astype(np.float64)
    for name, values in (("x", position[..., 0]), ("y", position[..., 1])):
        pack.add(name, values)
    pack.add("deadline", trace.deadline_s[:, 0], log=True)
    pack.add("data", trace.data_bits[:, 0], log=True)
    for number, record in enumerate(records.values()):
        pack.add_codes(f"flags{number}", _flags(record))
        pack.add(f"fraction{number}", record.fraction[:, 0], num_bytes=1)
        for column, values in (("cost", record.cost), ("latency", record.latency_s), ("backlog", record.backlog[1:])):
            pack.add(f"{column}{number}", values[:, 0], log=True)
    lyapunov, queued = scenario.lyapunov, scenario.resources.queued
    title = f"{scenario.name}: {' and '.join(names[:2])} on the same trace"
    facts = {
        "title": title,
        "about": f"{scenario.num_devices} devices, V = {lyapunov.v:g}, Delta = {lyapunov.delta:g}{about}",
        "slots": trace.num_slots,
        "devices": trace.num_devices,
        "radius": float(max(scenario.mobility.radius_m, np.hypot(*position.reshape(-1, 2).T).max())),
        "colours": [MODE_COLOURS[mode] for mode in Mode],
        "policies": names,
        "oracle": names.index(ORACLE),
        "curves": [_curves(record, records[ORACLE], queued) for record in records.values()],
        "queued": queued,
        "columns": pack.about,
    }
    parts = {
        "title": _escaped(title),
        "style": _read("style.css"),
        # "<" would end the script element, or begin a comment in it.
        "facts": json.dumps(facts, allow_nan=False).replace("<", "\\u003c"),
        "blob": pack.text(),
        "script": "\n".join(_read(name) for name in _SCRIPTS),
    }
    page = _read("page.html")
    for name, text in parts.items():
        before, _, after = page.partition("{{" + name + "}}")
        page = before + text + after
    return page


def save_replay(page: str, path: str | Path) -> None:
    """Write the page; the file is complete or, after a crash, untouched."""
    with replacing(path) as file:
        file.write(page.encode())


def _flags(record: Rollout) -> np.ndarray:
    """Executed mode in two bits, then: deadline missed, deadline could be met, QPU refused, not there [T, M]."""
    away = np.zeros_like(record.deadline_missed) if record.present is None else ~record.present
    bits = (record.deadline_missed, record.deadline_feasible, record.qpu_rejected, away)
    return np.asarray(record.mode[:, 0] + sum(bit[:, 0] * (4 << place) for place, bit in enumerate(bits)))


def _curves(record: Rollout, oracle: Rollout, queued: bool) -> dict[str, list[float]]:
    """Over the slots, of a device that is there: cost, its running mean, the sum above the oracle's, queue, share sent.

    Also deadlines missed, and how many devices are there.
    Where anything is queued also how long a task would wait at the server and at the QPU, in s.
    """
    present = None if record.present is None else record.present[:, 0]
    there = np.full(len(record.cost), record.cost.shape[-1]) if present is None else present.sum(-1)

    def mean(values: np.ndarray) -> np.ndarray:
        return mean_of_present(values[:, 0], present, -1)

    cost = mean(record.cost)
    curves: dict[str, Any] = {
        "cost": cost,
        "running": (cost * there).cumsum() / np.maximum(there.cumsum(), 1),
        "excess": (cost - mean(oracle.cost)).cumsum(),
        "backlog": mean(record.backlog[1:]),
        "fraction": mean(record.fraction),
        "missed": record.deadline_missed[:, 0].sum(-1),
        "there": there,
    }
    if queued and record.waits is not None:
        curves["cpu_wait"], curves["qpu_wait"] = record.waits[1:, 0].T
    return {name: [round(float(value), 5) for value in values] for name, values in curves.items()}


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
