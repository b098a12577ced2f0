"""The rows of a figure's data file: for each setting and method the exact solver, and the training runs that there are.

All on the same held-out traces, so that everything is paired by trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.figures.figure import Figure, Scale, Setting
from experiments.figures.methods import HYBRID, Method
from experiments.figures.trials import trained_settings, trial_name
from meqc_marl.config import Scenario
from meqc_marl.evaluation.held_out import held_out_traces
from meqc_marl.evaluation.metrics import OracleReference, measure
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.jobs.study import TrialRecord
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import Mode
from meqc_marl.policies import Policy, make_policy
from meqc_marl.policies.learned import load_policy

NUM_MARKS = 50
"""Points of a curve over slots."""
_STORED = ("cost", "latency_s", "energy_j", "fraction", "deadline_missed_feasible", "shortfall")


def evaluate_all(
    figure: Figure,
    settings: Sequence[Setting],
    scale: Scale,
    records: dict[str, TrialRecord],
    step: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Settings and rows of a data file.

    Args:
        figure: Which.
        settings: Those that are evaluated.
        scale: How much is spent on it.
        records: Training runs by name.
        step: Called after each of :func:`num_evaluations`.
    """
    content: dict[str, Any] = {"settings": [], "rows": []}
    trained = trained_settings(figure, settings, scale)
    for setting in settings:
        _evaluate(figure, setting, trained, scale, records, content, step)
    if figure.besides is not None and scale.settings is None:
        content["besides"] = figure.besides(settings)
    return content


def num_evaluations(figure: Figure, settings: Sequence[Setting], scale: Scale, records: dict[str, TrialRecord]) -> int:
    """How many policies :func:`evaluate_all` evaluates, with one more for the optimum of each setting."""
    trained = trained_settings(figure, settings, scale)
    learned = sum(
        len(_learned(figure, setting, method, trained, scale, records))
        for setting in settings
        for method in figure.methods
    )
    return len(settings) * (1 + len(figure.methods)) + learned


def _learned(
    figure: Figure,
    setting: Setting,
    method: Method,
    trained: Sequence[Setting],
    scale: Scale,
    records: dict[str, TrialRecord],
) -> list[TrialRecord]:
    """The training runs of a method that are evaluated in a setting."""
    if setting not in trained:
        return []
    trained_in = trained[0] if method.name in figure.fixed else setting
    names = [trial_name(trained_in, method, seed) for seed in range(scale.seeds)]
    return [records[name] for name in names if name in records]


def _evaluate(
    figure: Figure,
    setting: Setting,
    trained: Sequence[Setting],
    scale: Scale,
    records: dict[str, TrialRecord],
    content: dict[str, Any],
    step: Callable[[], object],
) -> None:
    scenario = setting.load()
    trace = held_out_traces(scenario, scale.traces, scale.slots)
    optimum = constrained_optimum(scenario, trace)
    content["settings"].append(
        {
            "name": setting.name,
            "x": setting.x,
            "optimum": np.round(optimum.mean_cost, 6).tolist(),
            "out_of_reach": float(1.0 - optimum.feasible.mean()),
        }
    )
    oracle = OracleReference.of(rollout(make_policy(HYBRID.exact, scenario), scenario, trace))
    step()
    for method in figure.methods:
        here = setting.load(method.has_queue)
        exact: list[Policy] = [make_policy(method.exact, here)]
        content["rows"].append(_row(setting, method, "exact", exact, here, trace, oracle, figure.over_slots))
        step()
        if found := _learned(figure, setting, method, trained, scale, records):
            policies: list[Policy] = [load_policy(record.policy or "") for record in found]
            row = _row(setting, method, "learned", policies, here, trace, oracle, figure.over_slots)
            row["curve"] = [[[steps, metrics["cost"]] for steps, metrics in record.curve] for record in found]
            content["rows"].append(row)
            for _ in found:
                step()


def _row(
    setting: Setting,
    method: Method,
    kind: str,
    policies: list[Policy],
    scenario: Scenario,
    trace: Trace,
    oracle: OracleReference,
    over_slots: bool,
) -> dict[str, Any]:
    """Cost and its parts for each run and trace, and the mean cost up to each of some slots."""
    row: dict[str, Any] = {"setting": setting.name, "method": method.name, "kind": kind}
    lists: dict[str, list[Any]] = {}
    for policy in policies:
        record = rollout(policy, scenario, trace)
        by_slot = record.cost.mean(-1, dtype=np.float64)
        if over_slots:
            marks = np.unique(np.linspace(1, len(by_slot), min(NUM_MARKS, len(by_slot))).astype(int))
            row["slots"] = marks.tolist()
            running = (np.cumsum(by_slot, 0)[marks - 1] / marks[:, None]).T
            lists.setdefault("running_cost", []).append(np.round(running, 4).tolist())
        metrics = measure(record, scenario, oracle=oracle)
        for name, values in {
            **{name: metrics[name] for name in _STORED},
            "qpu_share": (record.mode == Mode.QPU).mean((0, 2)),
            "deviation": by_slot.std(0),
        }.items():
            lists.setdefault(name, []).append(np.round(values, 6).tolist())
    return row | lists
