"""What a second of the server's and of the QPU's time is charged, by how long a task waits there: searched and learned.

``python -m experiments.queues.tolls --learned NAME=RUN --out FOLDER``. The price that a search finds for the joint
optimum, the slope of the value that ``tolled-joint`` learns, and that of the critic in a run's newest checkpoint, each
as the cost that a second more brings all devices together. The other queue is empty. Rules are worked out once and kept
in the folder. A checkpoint is a pickle of RLlib's: only runs of one's own should be given.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.measured import keep
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.env.loads import load_of
from meqc_marl.errors import InputError
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
                loads = callback["value"]["weights"].size // 5 - 1
                critic = BacklogValue(discount_of(scenario), loads)
                critic.set_state(callback["value"])
                return critic, loads > 0
    raise InputError(f"run '{run}' has no checkpoint with a value of the waits; it must be one of a queued scenario.")


def draw(curves: dict[str, Any], path: Path) -> None:
    """A panel for the server and one for the QPU."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.4), layout="constrained")
    names = list(curves)
    for panel, place, number in zip(figure.subplots(1, 2), PLACES, range(2), strict=True):
        for name in names:
            style = line_style(name, names) | {"markevery": 8}
            panel.plot(WAITS_S, curves[name][number], label=name, **style)
        panel.set(xlabel=f"wait at the {place}, s", ylabel=f"cost charged for a second of the {place}")
        panel.set_ylim(bottom=0.0)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def table(curves: dict[str, Any], at_s: Sequence[float] = (0.0, 2.0, 5.0, 10.0)) -> str:
    """In Markdown: the tolls at some waits."""
    heads = ["", *(f"{place}, {wait:g} s" for place in PLACES for wait in at_s)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, both in curves.items():
        cells = [f"{np.interp(wait, WAITS_S, curve):.2f}" for curve in both for wait in at_s]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Work out, keep, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="FIELD=VALUE")
    parser.add_argument("--learned", nargs="*", default=[], metavar="NAME=RUN", help="runs on the same scenario")
    parser.add_argument("--out", type=Path, required=True, help=f"folder of {RESULT}")
    options = parser.parse_args()
    scenario, path = load_scenario("queued", options.changes), options.out / RESULT
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if results.get("changes", options.changes) != options.changes:
        raise InputError(f"'{path}' is of {results['changes']}; choose another folder.")
    results.setdefault("curves", {})
    results["changes"] = options.changes
    for rule, name in RULES.items():
        if name not in results["curves"]:
            policy = make_policy(rule, scenario)
            assert isinstance(policy, Priced)
            results["curves"][name] = of_schedule(scenario, policy.schedule)
            keep(results, path)
    for one in options.learned:
        name, equals, run = one.partition("=")
        if not equals:
            raise InputError(f"learned is '{one}'; it must be NAME=RUN.")
        results["curves"][f"learner's critic ({name})"] = of_critic(scenario, *critic_of(scenario, run))
    keep(results, path)
    print(table(results["curves"]))
    draw(results["curves"], options.out / "tolls.png")


if __name__ == "__main__":
    main()
