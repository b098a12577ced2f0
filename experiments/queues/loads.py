"""Cost and waits against the load, what myopia costs, and what a second tile or a faster server buys.

``python -m experiments.queues.loads --out FOLDER`` works out one system after another and keeps each in the folder, so
that the same command goes on where it was stopped; then it draws. Every policy is judged on the same traces; prices are
searched and values learned anew for each system, and learned policies (``--learned NAME=RUN``) are as they were
trained. ``no-waiting`` is a bound from below: the same system without waiting, for policies that keep Delta.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.measured import check_draws, first_seeds, keep, kept, learned_policies, of_this_kind
from experiments.queues.rules import Means, means, traces
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.errors import InputError, did_you_mean, shown
from meqc_marl.evaluation.joint_bounds import joint_bounds
from meqc_marl.files import check_folder, make_folder, replacing
from meqc_marl.policies import make_policy
from meqc_marl.report.bars import line_style

POLICIES = ("joint-oracle", "selfish", "priced-joint", "tolled-joint", "queue-drift", "priced-selfish")
SYSTEMS: dict[str, tuple[str, tuple[float, ...]]] = {
    "server, GHz": ("resources.server_hz", (8e9, 10e9, 12e9, 15e9, 20e9)),
    "slot, s": ("slot_s", (4.0, 5.0, 6.0, 8.0)),
    "tiles": ("resources.qpu_tiles", (1, 2, 3)),
    "devices, a task each a slot": ("num_devices", (10, 12, 15, 18)),
}
"""Axis: field and values; everything else is the preset ``queued``, whose pools do not grow with the devices."""
BOUND = "no-waiting"
EVERY = (*POLICIES, BOUND)
_SCALE = {"server, GHz": 1e9}


def system(field: str, value: float) -> list[str]:
    """What makes the system of the preset; nothing where it is the preset's own."""
    changed = load_scenario("queued", [f"{field}={value!r}"])
    return [] if changed == load_scenario("queued") else [f"{field}={value!r}"]


def point(changes: list[str], policies: tuple[str, ...], folder: Path, rows: int, slots: int) -> dict[str, Means]:
    """Means of all policies on one system; what the folder holds is not worked out again."""
    path = folder / ("_".join(changes) or "queued").replace("=", "-").replace(".", "-")
    path = path.with_suffix(".json")
    content = kept(path) if path.exists() else {}
    settings = {"traces": rows, "slots": slots, "changes": changes}
    if content.get("settings", settings) != settings:
        raise InputError(f"'{path}' was measured with {content['settings']}; choose another folder.")
    found: dict[str, list[float]] = content.get("means", {})
    if not isinstance(found, dict):
        raise InputError(f"result '{path}' is damaged; it must hold means by the names of rules.")
    scenario = load_scenario("queued", changes)
    for name in policies:
        if name not in found:
            found[name] = list(_measured(scenario, name, rows, slots))
            keep({"settings": settings, "means": found}, path)
            print(f"{', '.join(changes) or 'queued'}: {name} {found[name][1]:.2f}", flush=True)
    with of_this_kind(f"result '{path}'"):
        return {name: Means(*map(float, found[name])) for name in policies}


def _measured(scenario: Scenario, name: str, rows: int, slots: int) -> Means:
    trace = traces(scenario, False, first_seeds(rows), slots)
    if name == BOUND:
        least = float(np.mean(joint_bounds(scenario, trace).lower))
        return Means(least, least, 0.0, scenario.lyapunov.delta, 0.0, 0.0)
    return means(make_policy(name, scenario), scenario, trace)


def price_of_myopia(found: dict[str, Means]) -> float:
    """How much dearer the exact optimum of every slot is than the same with prices on work."""
    return found["joint-oracle"].charged / found["priced-joint"].charged - 1.0


def draw(results: dict[str, dict[float, dict[str, Means]]], path: Path) -> None:
    """For each axis: cost with penalties, waits at the server and the QPU together, and the price of myopia."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(results), 9.0), layout="constrained")
    panels = figure.subplots(3, len(results), squeeze=False)
    names = list(next(iter(next(iter(results.values())).values())))
    for column, (axis, points) in zip(panels.T, results.items(), strict=True):
        at = [value / _SCALE.get(axis, 1.0) for value in points]
        for name in names:
            style = line_style(name, names)
            if name == BOUND:
                style |= {"color": "#666666", "marker": "none", "linestyle": ":"}
            of = [found[name] for found in points.values()]
            column[0].plot(at, [each.charged for each in of], label=name, **style)
            if name != BOUND:
                column[1].plot(at, [each.cpu_wait_s + each.qpu_wait_s for each in of], label=name, **style)
        myopia = [100 * price_of_myopia(found) for found in points.values()]
        column[2].plot(at, myopia, color="black", marker="o")
        titles = ("cost and penalty of misses", "wait at server and QPU, s", "price of myopia, %")
        for panel, title in zip(column, titles, strict=True):
            panel.set(xlabel=axis, ylabel=title, xticks=at)
            panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=8)
    for panel in panels[1]:
        panel.set_ylim(bottom=0.0)
    for panel in panels[2]:
        panel.axhline(0.0, color="black", linewidth=0.8)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=110)


def table(results: dict[str, dict[float, dict[str, Means]]]) -> str:
    """In Markdown: cost with penalties of all, waits, and the price of myopia."""
    names = list(next(iter(next(iter(results.values())).values())))
    heads = ("system", *names, "waits, s", "price of myopia")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for axis, points in results.items():
        for value, found in points.items():
            waits = (f"{found[name].cpu_wait_s + found[name].qpu_wait_s:.1f}" for name in names if name != BOUND)
            cells = [f"{axis} {value / _SCALE.get(axis, 1.0):g}", *(f"{found[name].charged:.2f}" for name in names)]
            lines.append(f"| {' | '.join(cells)} | {', '.join(waits)} | {100 * price_of_myopia(found):+.1f} % |")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Loads:
    """Work out what is missing, print and draw."""

    out: Path
    """Folder of a file for each system, and of the picture."""
    axes: tuple[str, ...] = tuple(SYSTEMS)
    """What is varied."""
    policies: tuple[str, ...] = EVERY
    """Rules, and the bound, beside the two that the price of myopia is of."""
    learned: tuple[str, ...] = ()
    """Trained policies, each as NAME=RUN."""
    num_traces: int = 2
    """Traces of each system."""
    num_slots: int = 200
    """Slots of a trace."""

    def run(self) -> None:
        """Measure."""
        check_draws(self.num_slots, self.num_traces)
        for option, given, known in (("axes", self.axes, tuple(SYSTEMS)), ("policies", self.policies, EVERY)):
            if not given:
                raise InputError(f"{option}: none is given; known are {', '.join(known)}.")
            for name in given:
                if name not in known:
                    raise InputError(f"{option}: {shown(name)} is not known{did_you_mean(name, known)}")
        check_folder(self.out)
        learned = learned_policies(self.learned)
        policies = tuple(dict.fromkeys(("joint-oracle", "priced-joint", *self.policies)))
        make_folder(self.out)
        results: dict[str, dict[float, dict[str, Means]]] = {}
        for axis in dict.fromkeys(self.axes):
            field, values = SYSTEMS[axis]
            results[axis] = {
                value: point(system(field, value), policies, self.out, self.num_traces, self.num_slots)
                for value in values
            }
        for axis, points in results.items():
            for value, found in points.items():
                scenario = load_scenario("queued", system(SYSTEMS[axis][0], value))
                trace = traces(scenario, False, first_seeds(self.num_traces), self.num_slots)
                found |= {f"learned ({name})": means(policy, scenario, trace) for name, policy in learned.items()}
        print(table(results))
        draw(results, self.out / "loads.png")


if __name__ == "__main__":
    sys.exit(run_module(Loads))
