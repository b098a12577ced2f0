"""Running means of what is logged of the system while a learner samples, with the definitions of the evaluation."""

from __future__ import annotations

import numpy as np

from meqc_marl.lyapunov import LyapunovStep
from meqc_marl.nature.presence import mean_of_present
from meqc_marl.physics.cost import Mode, Outcome

_FEASIBLE = "deadline_feasible"
_OF_SLOTS = ("users_cpu", "users_qpu", "devices_present", "cpu_wait_s", "qpu_wait_s")
"""Means over slots, where the others are over device-slots in which the device is there."""


class Tally:
    """Sums over the slots of a fragment.

    Attributes:
        num_slots: Summed so far.
        backlog_max: Largest virtual queue of a device.
        wait_max: Longest wait at the server or the QPU, in s.
    """

    def __init__(self) -> None:
        self.num_slots = 0
        self.backlog_max = self.wait_max = 0.0
        self._totals: dict[str, float] = {}
        self._there = 0.0

    def add(self, outcome: Outcome, step: LyapunovStep, v: float | np.ndarray) -> None:
        """A slot [E, M] and what it did to the virtual queues, at a V."""
        feasible, whole = outcome.deadline_feasible, outcome.fraction >= 1.0
        cpu, qpu = outcome.mode == Mode.CPU, outcome.mode == Mode.QPU
        there = 1.0 if outcome.present is None else float(outcome.present.mean())
        for name, value in {
            "cost": outcome.cost,
            "latency_s": outcome.latency_s,
            "energy_j": outcome.energy_j,
            "fraction_mean": outcome.fraction,
            "backlog_mean": step.backlog,
            "drift": step.drift,
            "penalty": v * outcome.cost,
            "objective": step.objective,
            _FEASIBLE: feasible,
            "deadline_miss_share": outcome.deadline_missed & feasible,
            "overruled_share": outcome.overruled & feasible,
            "users_cpu": cpu.sum(-1),
            "users_qpu": qpu.sum(-1),
            "qpu_rejected_share": outcome.qpu_rejected,
            "mode_local": (outcome.mode == Mode.LOCAL) & feasible,
            "mode_cpu": cpu & whole & feasible,
            "mode_qpu": qpu & whole & feasible,
            "mode_cpu_partial": cpu & ~whole & feasible,
            "mode_qpu_partial": qpu & ~whole & feasible,
        }.items():
            if name in _OF_SLOTS or outcome.present is None:
                self._sum(name, float(value.mean()))
            else:
                self._sum(name, there * float(mean_of_present(value, outcome.present, (0, 1))))
        if outcome.present is not None:
            self._sum("devices_present", float(outcome.present.sum(-1).mean()))
        self.backlog_max = max(self.backlog_max, float(step.backlog.max()))
        self.num_slots += 1
        self._there += there

    def add_waits(self, cpu_s: np.ndarray, qpu_s: np.ndarray) -> None:
        """Waits that a slot left to the next [E]."""
        for name, value in (("cpu_wait_s", cpu_s), ("qpu_wait_s", qpu_s)):
            self._sum(name, float(value.mean()))
            self.wait_max = max(self.wait_max, float(value.max()))

    def _sum(self, name: str, value: float) -> None:
        self._totals[name] = self._totals.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """By name; misses and what was overruled of the device-slots whose deadline can be met."""
        there = max(self._there, 1e-300)
        means = {name: total / (self.num_slots if name in _OF_SLOTS else there) for name, total in self._totals.items()}
        feasible = max(means.pop(_FEASIBLE), 1e-300)
        for name in ("deadline_miss_share", "overruled_share"):
            means[name] /= feasible
        return means
