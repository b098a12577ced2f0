"""A grid of V and Delta: what was learned beside the exact oracle, C_opt and the bounds of theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.evaluation.metrics import measure
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.evaluation.statistics import Estimate, interquartile_mean
from meqc_marl.lyapunov import drift_bound
from meqc_marl.nature.trace import Trace
from meqc_marl.policies import make_policy
from meqc_marl.policies.base import Progress

_SLACKS = (0.02, 0.05, 0.1, 0.15, 0.2)


@dataclass(frozen=True)
class GridPoint:
    """One V and Delta.

    Attributes:
        v, delta: Where.
        learned: Interquartile mean over seeds of each metric, with a 95 % interval or each seed's value; empty if no
            seed has finished.
        oracle: The exact oracle's metrics on the same traces.
        optimum: C_opt(Delta).
        feasible: Whether every device can reach Delta on these traces.
        cost_bound: C_opt + (B + C_add) / V, C_add being the learner's mean regret per slot; infinite where the theory
            gives none: Delta out of reach, or formulas as printed.
        backlog_bound: Least of (B + C_add + V (C_opt(Delta + slack) - C_opt(0))) / slack over slacks that can be
            reached; infinite if none can.
    """

    v: float
    delta: float
    learned: dict[str, Estimate]
    oracle: dict[str, float]
    optimum: float
    feasible: bool
    cost_bound: float
    backlog_bound: float


def grid_points(
    scenario: Scenario,
    trace: Trace,
    records: Sequence[tuple[float, float, dict[str, float]]],
    progress: Progress | None = None,
) -> list[GridPoint]:
    """Put the trials of a sweep beside the exact oracle.

    Args:
        scenario: The system; its V and Delta do not count.
        trace: The traces on which the trials were evaluated.
        records: V, Delta and metrics of every trial that finished.
        progress: To show how far it is.
    """
    deltas = sorted({delta for _, delta, _ in records})
    wanted = sorted({delta + slack for delta in deltas for slack in (0.0, *_SLACKS) if delta + slack <= 1.0} | {0.0})
    step = progress("C_opt", len(wanted), "Deltas") if progress else None
    optima = {}
    for delta in wanted:
        optima[delta] = constrained_optimum(scenario, trace, delta)
        if step is not None:
            step()
    unconstrained = optima[0.0].overall_cost
    steps = {
        delta: [
            (slack, optima[delta + slack].overall_cost)
            for slack in _SLACKS
            if delta + slack <= 1.0 and optima[delta + slack].feasible.all()
        ]
        for delta in deltas
    }
    points = []
    at = sorted({(v, delta) for v, delta, _ in records})
    step = progress("oracle", len(at), "points") if progress else None
    for v, delta in at:
        here = load_scenario(scenario, [f"lyapunov.v={v!r}", f"lyapunov.delta={delta!r}"])
        record = rollout(make_policy("oracle", here), here, trace)
        oracle = {name: float(value.mean()) for name, value in measure(record, here).items()}
        seeds = [metrics for at_v, at_delta, metrics in records if (at_v, at_delta) == (v, delta) and metrics]
        names = seeds[0] if seeds else ()
        learned = {name: interquartile_mean(np.array([metrics[name] for metrics in seeds])) for name in names}
        regret = v * learned["cost"].value * max(0.0, learned["regret"].value) if learned else 0.0
        allowance = drift_bound(here.lyapunov) + regret
        optimum = optima[delta].overall_cost
        reachable = bool(optima[delta].feasible.all())
        # The theory is that of the corrected problem, and of policies that meet the constraint.
        bounded = reachable and (here.lyapunov.sign, here.lyapunov.queue) == ("corrected", "neely")
        least = min(unconstrained, learned["cost"].value) if learned else unconstrained
        bounds = [(allowance + v * (cost - least)) / slack for slack, cost in steps[delta] if bounded]
        if step is not None:
            step()
        points.append(
            GridPoint(
                v=v,
                delta=delta,
                learned=learned,
                oracle=oracle,
                optimum=optimum,
                feasible=reachable,
                cost_bound=optimum + allowance / v if bounded else np.inf,
                backlog_bound=min(bounds, default=np.inf),
            )
        )
    return points


def grid_json(points: Sequence[GridPoint]) -> list[dict[str, Any]]:
    """Plain numbers; what is infinite or unknown is None."""

    def plain(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return [
        {
            "v": point.v,
            "delta": point.delta,
            "feasible": point.feasible,
            "optimum": point.optimum,
            "cost_bound": plain(point.cost_bound),
            "backlog_bound": plain(point.backlog_bound),
            "oracle": point.oracle,
            "learned": {
                name: estimate.numbers() | {"points": list(estimate.points)} for name, estimate in point.learned.items()
            },
        }
        for point in points
    ]


def points_of(content: Sequence[dict[str, Any]]) -> list[GridPoint]:
    """The points that :func:`grid_json` has written.

    Raises:
        AttributeError, KeyError, TypeError: If the content is something else.
    """

    def number(value: float | None, unknown: float) -> float:
        return unknown if value is None else float(value)

    return [
        GridPoint(
            v=float(point["v"]),
            delta=float(point["delta"]),
            learned={name: Estimate.of_numbers(numbers) for name, numbers in point["learned"].items()},
            oracle={name: float(value) for name, value in point["oracle"].items()},
            optimum=float(point["optimum"]),
            feasible=bool(point["feasible"]),
            cost_bound=number(point["cost_bound"], np.inf),
            backlog_bound=number(point["backlog_bound"], np.inf),
        )
        for point in content
    ]
