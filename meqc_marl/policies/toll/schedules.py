"""What a second of the server's or the QPU's time is charged, by how long a task would wait there.

A price of 1 is what a second costs half of the other devices, (M - 1) / 2 of them: whoever keeps the server busy for a
second more makes those who come wait a second longer, and that many are taken to come before the queue is empty again.
So a price a on the server adds V (M - 1) / 2 a lambda_t / (latency_ref_s F_tot) to a device's objective for each cycle
sent, with the mean lambda_t of the row, and b on the QPU V (M - 1) / 2 b lambda_t / (latency_ref_s tiles) for each
second of a task on it. What is right depends on the load; too high a price is as bad as none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError
from meqc_marl.nature.presence import mean_of_present
from meqc_marl.physics.load import Pools
from meqc_marl.physics.modes import Mode
from meqc_marl.physics.places import Work
from meqc_marl.physics.queueing import whole_work

_LEAST = 0.01
"""Of the mean lambda_t in a price: where time costs nothing a wait still makes deadlines be missed."""
MOST = 1e6
"""Of a price, a slope or a weight."""


class Schedule(Protocol):
    """Prices of the server's and the QPU's time, in units of the module."""

    def at(self, cpu_wait_s: np.ndarray, qpu_wait_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """At waits of any shape."""
        ...


@dataclass(frozen=True)
class Prices:
    """Constant prices, or prices that rise with the wait: price times (1 + slope wait).

    Attributes:
        cpu, qpu: Prices of the server and of the QPU at an empty queue.
        cpu_slope, qpu_slope: Their relative rise for a second of waiting.
    """

    cpu: float
    qpu: float
    cpu_slope: float = 0.0
    qpu_slope: float = 0.0

    def __post_init__(self) -> None:
        _check(vars(self))

    def at(self, cpu_wait_s: np.ndarray, qpu_wait_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Schedule`."""
        return self.cpu * (1.0 + self.cpu_slope * cpu_wait_s), self.qpu * (1.0 + self.qpu_slope * qpu_wait_s)


@dataclass(frozen=True)
class QueueWeights:
    """Drift-plus-penalty on the queues of the server and the QPU: what is charged is a weight times the wait.

    Half the squares of the waits join the Lyapunov function; the drift of that is the wait times the work that a slot
    adds.

    Attributes:
        cpu, qpu: Weights, in prices for a second of waiting.
    """

    cpu: float
    qpu: float

    def __post_init__(self) -> None:
        _check(vars(self))

    def at(self, cpu_wait_s: np.ndarray, qpu_wait_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Schedule`."""
        return self.cpu * cpu_wait_s, self.qpu * qpu_wait_s


def _check(values: dict[str, float]) -> None:
    for name, value in values.items():
        if not 0.0 <= value <= MOST:  # false for NaN as well
            raise InputError(f"price {name} is {value}; it must be from 0 to {MOST:g}.")


def price_unit(scenario: Scenario, work: Work) -> np.ndarray:
    """Objective that a price of 1 adds for a second of the whole server or QPU [E, 1]."""
    weights = np.broadcast_to(work.latency_weight, work.data_bits.shape)
    weight = mean_of_present(weights, work.present, -1, keepdims=True)
    devices = scenario.num_devices if work.present is None else work.present.sum(-1, keepdims=True)
    others = np.maximum(devices - 1, 1) / 2.0  # a single device is in its own way
    return np.asarray(scenario.lyapunov.v * others * np.maximum(weight, _LEAST / scenario.cost.latency_ref_s))


def toll_of_seconds(scenario: Scenario, work: Work, cpu: np.ndarray, qpu: np.ndarray) -> np.ndarray:
    """Toll on the whole task at each place, by ``Mode`` [3, E, M]; zeros for what is not queued.

    Args:
        scenario: Parameters.
        work: The slot's tasks [E, M].
        cpu, qpu: Objective charged for a second of the whole server and of the whole QPU, broadcastable to [E, M].
    """
    whole = whole_work(scenario, work)
    toll = np.zeros((len(Mode), *work.data_bits.shape))
    toll[Mode.CPU] = cpu * (whole.cpu_cycles / Pools.of(scenario).server_hz)
    toll[Mode.QPU] = qpu * whole.qpu_s
    return toll


def toll_of(scenario: Scenario, work: Work, schedule: Schedule) -> np.ndarray:
    """Toll on the whole task at each place, by ``Mode`` [3, E, M], of tasks behind the queues."""
    none = np.zeros((len(work.data_bits), 1))
    cpu_s, qpu_s = (none if wait is None else wait for wait in (work.cpu_wait_s, work.qpu_wait_s))
    unit = price_unit(scenario, work)
    cpu, qpu = schedule.at(cpu_s, qpu_s)
    return toll_of_seconds(scenario, work, unit * cpu, unit * qpu)
