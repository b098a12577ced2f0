"""One learned policy over twelve loads, beside prices that are searched for each of them.

``python -m experiments.queues.one_policy --learned NAME=RUN --out FOLDER``. The twelve are chosen beforehand: servers
of 10, 15 and 20 GHz, each with four slots and Deltas. With slots of 2 s and 10 GHz no price reaches Delta = 0.5 (mean
share stays near 0.4), so slots of 2 s stand with Delta = 0 only. Means over the last three quarters of held-out traces
that each load draws itself. What rules reach is kept in the folder and not worked out again; learned policies always
are.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from experiments.measured import (
    REFERENCE_SEEDS,
    check_draws,
    check_kept,
    keep,
    kept,
    learned_policies,
    made_on,
    of_this_kind,
)
from experiments.queues.rules import SLOTS, Means, means, traces
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.errors import InputError
from meqc_marl.files import replacing
from meqc_marl.policies import make_policy
from meqc_marl.policies.priced import Priced

RESULT = "one_policy.json"
MYOPIC, PRICED = "joint-oracle", "priced-joint"
SERVERS_HZ = (10e9, 15e9, 20e9)
SLOTS_AND_DELTAS = ((2.0, 0.0), (4.0, 0.0), (4.0, 0.5), (6.0, 0.5))
LOADS = tuple((server, slot, delta) for server, (slot, delta) in product(SERVERS_HZ, SLOTS_AND_DELTAS))
"""Server in Hz, slot in s, Delta."""
TRAINED_ON = ("resources.server_hz=10e9,20e9", "slot_s=2,6", "lyapunov.delta=0,0.5")
"""What ``meqc-marl train --vary`` is given."""


def changes(load: tuple[float, float, float]) -> list[str]:
    """What makes the load of the preset ``queued``."""
    server, slot, delta = load
    return [f"resources.server_hz={server!r}", f"slot_s={slot!r}", f"lyapunov.delta={delta!r}"]


def label(load: tuple[float, float, float]) -> str:
    """For tables and axes."""
    server, slot, delta = load
    return f"{server / 1e9:g} GHz, {slot:g} s, {delta:g}"


def rules(scenario: Scenario, num_slots: int) -> dict[str, Any]:
    """Means of the exact optimum of every slot and of that with prices searched for the load, and the prices."""
    trace = traces(scenario, own_nature=True, slots=num_slots)
    priced = make_policy(PRICED, scenario)
    assert isinstance(priced, Priced)
    found: dict[str, Any] = {"prices": vars(priced.schedule)}
    return found | {
        each.name: means(each, scenario, trace)._asdict() for each in (make_policy(MYOPIC, scenario), priced)
    }


def over(found: dict[str, Any], name: str, other: str) -> float:
    """How much dearer a policy is than another, penalties included, in %."""
    return float(100 * (found[name]["charged"] / found[other]["charged"] - 1))


def table(results: dict[str, Any]) -> str:
    """In Markdown: every load, and the mean and the largest difference of each learned policy."""
    names = [name for name in next(iter(results["loads"].values())) if name not in ("prices", MYOPIC, PRICED)]
    heads = ["server, slot, Delta", "prices", "myopic", "priced"]
    heads += [f"{name}: C + penalty, over priced, mean phi (priced), misses, waits" for name in names]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for where, found in results["loads"].items():
        price, priced = found["prices"], found[PRICED]
        cells = [where, f"{price['cpu']:.2f}, {price['qpu']:.2f}"]
        cells += [f"{found[MYOPIC]['charged']:.2f} ({over(found, MYOPIC, PRICED):+.1f} %)", f"{priced['charged']:.2f}"]
        for name in names:
            one = Means(**found[name])
            told = (f"{one.charged:.2f}", f"{over(found, name, PRICED):+.1f} %")
            share = f"{one.fraction:.3f} ({priced['fraction']:.3f})"
            cells.append(
                ", ".join((*told, share, f"{100 * one.missed:.1f} %", f"{one.cpu_wait_s + one.qpu_wait_s:.1f} s"))
            )
        lines.append("| " + " | ".join(cells) + " |")
    for name in names:
        more = [over(found, name, PRICED) for found in results["loads"].values()]
        lines.append(f"\n{name}: over the prices searched for each load {sum(more) / len(more):+.1f} % in the mean, ")
        lines[-1] += f"{max(more):+.1f} % at most."
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Cost with penalties over that of the prices searched for each load, by load."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    panel = figure.subplots()
    loads = results["loads"]
    names = [name for name in next(iter(loads.values())) if name not in ("prices", PRICED)]
    for number, name in enumerate(names):
        at = [place + 0.8 * (number + 0.5) / len(names) - 0.4 for place in range(len(loads))]
        more = [over(found, name, PRICED) for found in loads.values()]
        shade: dict[str, Any] = {"color": "#0072B2"} if name == MYOPIC else {"color": "#E69F00", "hatch": "//" * number}
        panel.bar(at, more, 0.8 / len(names), edgecolor="black", label=name, **shade)
    panel.axhline(0.0, color="black", linewidth=0.8)
    panel.axhline(2.0, color="black", linewidth=0.8, linestyle=":")
    every = [over(found, name, PRICED) for found in loads.values() for name in names]
    ticks = (-5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100)
    panel.set_yscale("symlog", linthresh=2.0)
    panel.set_yticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    panel.set_ylim(min(0.0, 1.2 * min(every)), max(2.5, 1.3 * max(every)))
    panel.set_xticks(range(len(loads)), list(loads), rotation=40, ha="right")
    panel.set(xlabel="server, slot, Delta", ylabel="cost and penalties over searched prices, %")
    panel.legend()
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=110)


@dataclass(frozen=True, kw_only=True)
class OnePolicy:
    """Measure, keep the numbers, print the table, draw."""

    out: Path
    """Folder of one_policy.json and the picture."""
    learned: tuple[str, ...] = ()
    """Policies trained over loads, each as NAME=RUN."""
    num_slots: int = SLOTS
    """Slots of a trace."""

    def run(self) -> None:
        """Measure."""
        check_draws(self.num_slots)
        path = self.out / RESULT
        check_kept(path)
        results = kept(path) if path.exists() else {"loads": {}}
        if results.get("num_slots", self.num_slots) != self.num_slots:
            raise InputError(f"'{path}' was measured on {results['num_slots']} slots; choose another folder.")
        results |= made_on(self.num_slots, REFERENCE_SEEDS)
        learned = learned_policies(self.learned)
        for load in LOADS:
            with of_this_kind(f"result '{path}'"):
                found = results["loads"].setdefault(label(load), {})
            scenario = load_scenario("queued", changes(load))
            if MYOPIC not in found:
                found |= rules(scenario, self.num_slots)
            trace = traces(scenario, own_nature=True, slots=self.num_slots)
            for name, policy in learned.items():
                found[f"learned ({name})"] = means(policy, scenario, trace)._asdict()
            keep(results, path)
            print(label(load), flush=True)
        with of_this_kind(f"result '{path}'"):
            print(table(results))
        draw(results, self.out / "one_policy.png")


if __name__ == "__main__":
    sys.exit(run_module(OnePolicy))
