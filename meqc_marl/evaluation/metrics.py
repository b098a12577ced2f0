"""What a rollout is judged by: one number per row for each metric."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meqc_marl.config import Scenario, changes
from meqc_marl.errors import InputError
from meqc_marl.evaluation.optimum import Optimum
from meqc_marl.evaluation.rollout import Rollout
from meqc_marl.nature.presence import check_present, mean_of_present
from meqc_marl.physics.cost import Mode


class Metric(NamedTuple):
    """Unit and meaning of a metric, for reports."""

    unit: str
    meaning: str


METRICS: dict[str, Metric] = {
    "cost": Metric("cost", "mean cost (11) of a device in a slot"),
    "latency_s": Metric("s", "mean latency"),
    "energy_j": Metric("J", "mean energy"),
    "fraction": Metric("", "mean offloading fraction"),
    "fraction_worst": Metric("", "least time-average offloading fraction of a device; (10) asks for Delta"),
    "backlog_mean": Metric("", "virtual queue, mean over slots and devices"),
    "backlog_final": Metric("", "virtual queue after the last slot, mean over devices"),
    "backlog_max": Metric("", "virtual queue, largest of all slots and devices"),
    "shortfall_bound": Metric("", "final backlog over slots, largest of all devices: bounds Delta - mean fraction"),
    "deadline_missed": Metric("share", "device-slots that missed the deadline (12b)"),
    "deadline_missed_feasible": Metric(
        "share", "deadlines missed among the device-slots in which some action meets them"
    ),
    "overruled": Metric(
        "share", "actions that would have missed the deadline and were changed, among the same device-slots"
    ),
    "qpu_rejected": Metric("share", "device-slots that asked for a QPU which did not admit the task (12c)-(12d)"),
    "mode_local": Metric("share", "device-slots computed on the device, where the deadline can be met"),
    "mode_cpu": Metric("share", "whole task on the server's CPU, where the deadline can be met"),
    "mode_qpu": Metric("share", "whole task on the QPU, where the deadline can be met"),
    "mode_cpu_partial": Metric("share", "part of the task on the server's CPU, where the deadline can be met"),
    "mode_qpu_partial": Metric("share", "part of the task on the QPU, where the deadline can be met"),
    "deadline_infeasible": Metric("share", "device-slots in which no action meets the deadline"),
    "objective": Metric("", "drift-plus-penalty (18) of a device in a slot, mean"),
    "cpu_wait_s": Metric("s", "how long a task would have waited at a queued server, mean over the slots"),
    "qpu_wait_s": Metric("s", "the same at a queued QPU"),
    "reward": Metric("", "shaped reward of a device in a slot, mean"),
    "regret": Metric(
        "relative", "reward below the oracle's in the states visited, of V times cost; never negative where it is exact"
    ),
    "gap_to_optimum": Metric("relative", "cost, with the penalty of misses if there is one, above C_opt(Delta)"),
    "gap_to_oracle": Metric("relative", "cost above the oracle's on the same trace"),
    "shortfall": Metric("", "largest Delta - mean fraction among the devices whose oracle reaches Delta, at least 0"),
}


WAITS = ("cpu_wait_s", "qpu_wait_s")
"""Metrics of the queues at the server and the QPU; zeros where nothing is queued."""


class OracleReference(NamedTuple):
    """What a policy is compared with on the same trace."""

    cost: np.ndarray
    """The oracle's mean cost [E]."""
    fraction: np.ndarray
    """Its time-average fraction of each device [E, M]."""

    @classmethod
    def of(cls, record: Rollout) -> OracleReference:
        """From the oracle's rollout."""
        return cls(
            mean_of_present(record.cost, record.present, (0, 2)), mean_of_present(record.fraction, record.present, 0)
        )


def measure(
    record: Rollout, scenario: Scenario, optimum: Optimum | None = None, oracle: OracleReference | None = None
) -> dict[str, np.ndarray]:
    """Compute all metrics of a rollout.

    Args:
        record: The rollout.
        scenario: Its scenario.
        optimum: For ``gap_to_optimum``, over the same trace.
        oracle: The oracle's results on the same trace, for ``gap_to_oracle`` and ``shortfall``.

    Returns:
        Arrays [E] by name of :data:`METRICS`; gaps and regrets only where their reference is given. Where devices come
        and go, of the device-slots in which one is there, and of the devices that ever are.
    """
    present = record.present
    if present is not None:
        check_present("the trace", present)
    ever = None if present is None else np.asarray(present.any(0))
    slots = len(record.cost) if present is None else np.maximum(present.sum(0), 1)

    def average(values: np.ndarray) -> np.ndarray:
        return mean_of_present(values, present, (0, 2))

    def of_device(values: np.ndarray, otherwise: float) -> np.ndarray:
        """Values [E, M], with another in the place of those who are never there."""
        return values if ever is None else np.where(ever, values, otherwise)

    def share(chosen: np.ndarray) -> np.ndarray:
        return average(chosen & record.deadline_feasible)

    cpu, qpu, whole = record.mode == Mode.CPU, record.mode == Mode.QPU, record.fraction >= 1.0
    feasible_share = average(record.deadline_feasible)
    cost, sent = average(record.cost), mean_of_present(record.fraction, present, 0)
    final = record.backlog[-1]
    waits = np.zeros((2, len(cost))) if record.waits is None else record.waits[:-1].mean(0).T
    metrics = {
        "cost": cost,
        "latency_s": average(record.latency_s),
        "energy_j": average(record.energy_j),
        "fraction": average(record.fraction),
        "fraction_worst": of_device(sent, np.inf).min(-1),
        "backlog_mean": average(record.backlog[1:]),
        "backlog_final": mean_of_present(final, ever, -1),
        "backlog_max": record.backlog.max((0, 2)),
        "shortfall_bound": (final / slots).max(-1),
        "deadline_missed": average(record.deadline_missed),
        "deadline_missed_feasible": share(record.deadline_missed) / np.maximum(feasible_share, 1e-300),
        "overruled": share(record.overruled) / np.maximum(feasible_share, 1e-300),
        "qpu_rejected": average(record.qpu_rejected),
        "mode_local": share(record.mode == Mode.LOCAL),
        "mode_cpu": share(cpu & whole),
        "mode_qpu": share(qpu & whole),
        "mode_cpu_partial": share(cpu & ~whole),
        "mode_qpu_partial": share(qpu & ~whole),
        "deadline_infeasible": 1.0 - feasible_share,
        "objective": average(record.objective),
        "reward": average(record.reward),
        **dict(zip(WAITS, waits, strict=True)),
    }
    if record.regret is not None:
        metrics["regret"] = average(record.regret) / (scenario.lyapunov.v * cost)
    if optimum is not None:
        charged = cost + scenario.cost.miss_penalty * metrics["deadline_missed"]
        metrics["gap_to_optimum"] = charged / optimum.mean_cost - 1.0
    if oracle is not None:
        metrics["gap_to_oracle"] = cost / oracle.cost - 1.0
        delta = scenario.lyapunov.delta
        short = of_device(np.maximum(delta - sent, 0.0), 0.0)
        metrics["shortfall"] = np.where(oracle.fraction >= delta, short, 0.0).max(-1)
    _check_finite(metrics, scenario)
    return metrics


def _check_finite(metrics: dict[str, np.ndarray], scenario: Scenario) -> None:
    """A number that is none must not pass as a result."""
    for name, values in metrics.items():
        if not np.isfinite(values).all():
            changed = ", ".join(changes(Scenario(), scenario)[:5]) or "none"
            raise InputError(
                f"scenario '{scenario.name}': the metric {name} is {values[~np.isfinite(values)][0]}; it must be a "
                f"finite number (fields other than the defaults: {changed})."
            )
