"""What a second of the server's and of the QPU's time is charged, by how long a task waits there: searched and learned.

``python -m experiments.queues.tolls --learned NAME=RUN --out FOLDER``. The price that a search finds for the joint
optimum, the slope of the value that ``tolled-joint`` learns, and that of the critic in a run's newest checkpoint, each
as the cost that a second more brings all devices together. The other queue is empty. Rules are worked out once and kept
in the folder. A checkpoint is a pickle of RLlib's: only runs of one's own should be given.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.measured import check_kept, keep, kept, named_runs, of_this_kind
from experiments.queues.rules import Changes, queued_with
from meqc_marl.config import Scenario
from meqc_marl.entry.running import run_module
from meqc_marl.env.loads import load_of
from meqc_marl.errors import InputError
from meqc_marl.files import replacing
from meqc_marl.lyapunov import BacklogValue, discount_of
from meqc_marl.policies import make_policy
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.policies.priced import Priced
from meqc_marl.policies.toll.schedules import Schedule
from meqc_marl.report.bars import line_style

RESULT = "tolls.json"
RULES = {"priced-joint": "searched price", "tolled-joint": "learned value of tolled-joint"}
WAITS_S = np.linspace(0.0, 10.0, 41)
PLACES = ("server", "QPU")


def of_schedule(scenario: Scenario, schedule: Schedule) -> list[list[float]]:
    """Cost of a second of the server and of the QPU at WAITS_S there, the other queue empty."""
    others, weight = max(scenario.num_devices - 1, 1) / 2.0, float(np.mean(scenario.devices.lambda_t))
    unit, none = others * weight / scenario.cost.latency_ref_s, np.zeros_like(WAITS_S)
    return [(unit * schedule.at(WAITS_S, none)[0]).tolist(), (unit * schedule.at(none, WAITS_S)[1]).tolist()]


def of_critic(scenario: Scenario, critic: BacklogValue, varied: bool) -> list[list[float]]:
    """The same of a learner's critic; at the scenario's load, if it knows loads."""
    load, none = load_of(scenario) if varied else None, np.zeros_like(WAITS_S)
    tolls = critic.tolls(WAITS_S, none, load)[0], critic.tolls(none, WAITS_S, load)[1]
    return [(scenario.num_devices * np.maximum(each, 0.0)).tolist() for each in tolls]  # credit never pays for work


def critic_of(scenario: Scenario, run: str) -> tuple[BacklogValue, bool]:
    """The critic of the waits in a run's newest checkpoint, and whether it knows loads.

    Raises:
        InputError: There is none.
    """
    for checkpoint in reversed(list_checkpoints(Path(run))):
        state = pickle.loads((checkpoint / "env_runner" / "state.pkl").read_bytes())
        for callback in state["sampling"]["callbacks"]:
            if isinstance(callback, dict) and "value" in callback:
                loads = len(callback["value"].get("corners", [()])[0])  # before there were corners: of one system
                critic = BacklogValue(discount_of(scenario), loads)
                critic.set_state(callback["value"])
                return critic, loads > 0
    raise InputError(f"run '{run}' has no checkpoint with a value of the waits; it must be one of a queued scenario.")


def draw(curves: dict[str, Any], path: Path) -> None:
    """A panel for the server and one for the QPU."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.4), layout="constrained")
    names, rule_of = list(curves), {name: rule for rule, name in RULES.items()}
    for panel, place, number in zip(figure.subplots(1, 2), PLACES, range(2), strict=True):
        for name in names:
            style = line_style(rule_of.get(name, name), [rule_of.get(each, each) for each in names]) | {"markevery": 8}
            panel.plot(WAITS_S, curves[name][number], label=name, **style)
        panel.set(xlabel=f"wait at the {place}, s", ylabel=f"cost charged for a second of the {place}")
        panel.set_ylim(bottom=0.0)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=110)


def table(curves: dict[str, Any], at_s: Sequence[float] = (0.0, 2.0, 5.0, 10.0)) -> str:
    """In Markdown: the tolls at some waits."""
    heads = ["", *(f"{place}, {wait:g} s" for place in PLACES for wait in at_s)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, both in curves.items():
        cells = [f"{np.interp(wait, WAITS_S, curve):.2f}" for curve in both for wait in at_s]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Tolls:
    """Work out, keep, print and draw."""

    out: Path
    """Folder of tolls.json and tolls.png."""
    changes: Changes = ()
    """Change a field of the scenario `queued`; may be repeated."""
    learned: tuple[str, ...] = ()
    """Runs on the same scenario, each as NAME=RUN."""

    def run(self) -> None:
        """Measure."""
        scenario, path = queued_with(self.changes), self.out / RESULT
        check_kept(path)
        critics = {name: critic_of(scenario, run) for name, run in named_runs(self.learned).items()}
        results = kept(path) if path.exists() else {}
        with of_this_kind(f"result '{path}'"):
            if results.get("changes", list(self.changes)) != list(self.changes):
                raise InputError(f"'{path}' is of {results['changes']}; choose another folder.")
            curves = dict(results.get("curves", {}))
        results = {"changes": list(self.changes), "curves": curves}
        for rule, name in RULES.items():
            if name not in curves:
                policy = make_policy(rule, scenario)
                assert isinstance(policy, Priced)
                curves[name] = of_schedule(scenario, policy.schedule)
                keep(results, path)
        curves |= {f"learner's critic ({name})": of_critic(scenario, *critic) for name, critic in critics.items()}
        keep(results, path)
        with of_this_kind(f"result '{path}'"):
            print(table(curves))
        draw(curves, self.out / "tolls.png")


if __name__ == "__main__":
    sys.exit(run_module(Tolls))
