"""Prices of anarchy and ignorance by number of devices and by how scarce the pools are, as a table and as curves.

``python -m experiments.cooperation.scarcity --out FOLDER`` works out one system after another and keeps each in the
folder, so that the same command goes on where it was stopped; then it draws. Queues start empty.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.measured import check_draws, check_kept, first_seeds, keep, kept, of_this_kind
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.errors import InputError, shown
from meqc_marl.evaluation.rollout import Rollout, rollout
from meqc_marl.files import replacing
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.load import Pools
from meqc_marl.policies import make_policy
from meqc_marl.report.bars import line_style

RULES = ("joint-oracle", "team-best-response", "selfish", "oblivious")
RESULT, PICTURE = "scarcity.json", "scarcity.png"
_ONE_TRACE = 200
_STYLES = (*RULES, "greedy", "random", "local-only")


def scaled(devices: int, pools: float) -> Scenario:
    """The preset with so many devices, and pools so many times as large as its own."""
    scenario = load_scenario("pooled", [f"num_devices={devices}"])
    own = Pools.of(scenario)
    return load_scenario(
        scenario,
        [
            f"resources.band_hz={own.band_hz * pools!r}",
            f"resources.server_hz={own.server_hz * pools!r}",
            f"resources.qpu_tiles={max(1, round(own.tiles * pools))}",
        ],
    )


def charged(scenario: Scenario, record: Rollout) -> float:
    """Mean cost with the penalty of misses."""
    return float((record.cost + scenario.cost.miss_penalty * record.deadline_missed).mean())


def point(devices: int, pools: float, num_traces: int, num_slots: int) -> dict[str, float]:
    """Cost with penalties of the joint optimum, of the others as multiples of it, and the optimum's misses in per cent.

    The reference of more than 200 devices is the best found, not proven.
    """
    scenario = scaled(devices, pools)
    trace = generate_trace(scenario, first_seeds(num_traces), num_slots=num_slots)
    records = {name: rollout(make_policy(name, scenario), scenario, trace) for name in RULES}
    cost = {name: charged(scenario, record) for name, record in records.items()}
    best = cost.pop("joint-oracle")
    missed = 100 * float(np.mean(records["joint-oracle"].deadline_missed))
    return {"joint-oracle": best, "missed": missed} | {name: each / best for name, each in cost.items()}


def table(results: dict[str, Any]) -> str:
    """In Markdown."""
    heads = "devices | pools | C + penalty, joint optimum | team best response | anarchy | ignorance | misses, joint"
    lines = [f"| {heads} |", "|---" * 7 + "|"]
    for found in results["points"].values():
        times = " | ".join(f"{found[name]:.3f}" for name in RULES[1:])
        size = f"{found['devices']:,} | {found['pools']:g}"
        lines.append(f"| {size} | {found['joint-oracle']:.2f} | {times} | {found['missed']:.1f} % |")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Both prices by how scarce the pools are, a line for each number of devices."""
    from matplotlib.figure import Figure

    points = list(results["points"].values())
    numbers = sorted({found["devices"] for found in points})
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    titles = ("price of anarchy: selfish / joint optimum", "price of ignorance: oblivious / joint optimum")
    for panel, name, title in zip(figure.subplots(1, 2), RULES[2:], titles, strict=True):
        for index, devices in enumerate(numbers):
            line = sorted((found["pools"], found[name]) for found in points if found["devices"] == devices)
            style = line_style(_STYLES[index % len(_STYLES)], _STYLES)
            panel.plot(*zip(*line, strict=True), label=f"{devices:,} devices", **style)
        panel.set_xscale("log", base=2)
        panel.set_xticks(sorted({found["pools"] for found in points}), minor=False)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set(xlabel="pools, as a multiple of the preset's", ylabel=title)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=110)


@dataclass(frozen=True, kw_only=True)
class Scarcity:
    """Work out what is missing, print a table in Markdown, draw."""

    out: Path
    """Folder of scarcity.json and scarcity.png."""
    devices: tuple[int, ...] = (5, 15, 50, 200, 1_000)
    """Numbers of devices."""
    pools: tuple[float, ...] = (0.5, 1.0, 2.0)
    """How many times as large as the preset's own the pools are."""
    num_traces: int = 2
    """Traces of each system; one from 200 devices on."""
    num_slots: int = 60
    """Slots of a trace."""

    def run(self) -> None:
        """Measure."""
        check_draws(self.num_slots, self.num_traces)
        for pools in self.pools:
            if not 1e-3 <= pools <= 1e3:
                raise InputError(f"pools: {shown(pools)} is not allowed; it must be from 0.001 to 1,000.")
        for devices, pools in product(self.devices, self.pools):
            scaled(devices, pools)
        path = self.out / RESULT
        check_kept(path)
        results = kept(path) if path.exists() else {"points": {}}
        for devices, pools in product(self.devices, self.pools):
            self._point(devices, pools, results, path)
        with of_this_kind(f"result '{path}'"):
            print(table(results))
        draw(results, self.out / PICTURE)

    def _point(self, devices: int, pools: float, results: dict[str, Any], path: Path) -> None:
        """Work a point out and keep it, if the results lack it."""
        traces = self.num_traces if devices < _ONE_TRACE else 1
        settings = {"devices": devices, "pools": pools, "slots": self.num_slots, "traces": traces}
        with of_this_kind(f"result '{path}'"):
            known = results["points"].get(name := f"{devices}-{pools:g}", settings)
            if not settings.items() <= known.items():
                raise InputError(f"'{path}' holds {devices} devices of other traces; choose another folder.")
        if known == settings:
            results["points"][name] = settings | point(devices, pools, traces, self.num_slots)
            keep(results, path)


if __name__ == "__main__":
    sys.exit(run_module(Scarcity))
