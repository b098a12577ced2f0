"""Virtual queues that hold each device to its long-term offloading fraction (10), and the objective built on them.

All functions work on arrays of any shape. The backlog z and the growth are in units of the offloading fraction, cost in
units of (11).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meqc_marl.config.scenario import Lyapunov
from meqc_marl.nature.presence import of_present

BACKLOG_COLUMN = -1
"""Where the observation shows the backlog: last."""


def growth(config: Lyapunov, fraction: np.ndarray) -> np.ndarray:
    """What a slot with offloading fraction phi adds to the virtual queue (13).

    ``neely``: Delta - phi, so that a stable queue means a mean phi of at least Delta. ``literal``: as printed,
    Delta 1[phi = 0] - phi, under which any slot that offloads at all drains the queue, and (10) is not enforced.
    """
    if config.queue == "neely":
        return np.asarray(config.delta - fraction)
    return np.asarray(np.where(fraction == 0.0, config.delta, 0.0) - fraction)


def next_backlog(backlog: np.ndarray, queue_growth: np.ndarray) -> np.ndarray:
    """The backlog of the next slot, z' = max(0, z + growth) (13)."""
    return np.asarray(np.maximum(0.0, backlog + queue_growth))


def objective(config: Lyapunov, cost: np.ndarray, backlog: np.ndarray, queue_growth: np.ndarray) -> np.ndarray:
    """Drift-plus-penalty of a device in a slot, to be minimised (18): V C + z growth, or -V C + z growth as printed."""
    weight = config.v if config.sign == "corrected" else -config.v
    return np.asarray(weight * cost + backlog * queue_growth)


def reward(
    config: Lyapunov,
    cost: np.ndarray,
    backlog: np.ndarray,
    queue_growth: np.ndarray,
    missed: np.ndarray,
    penalty: float,
) -> np.ndarray:
    """Minus the objective (18), less V times ``penalty`` (in units of cost) where the deadline (12b) was missed."""
    return np.asarray(-objective(config, cost, backlog, queue_growth) - config.v * penalty * missed)


def drift(backlog: np.ndarray, backlog_after: np.ndarray) -> np.ndarray:
    """Change of the quadratic Lyapunov function z^2 / 2 over a slot (14)."""
    return np.asarray((backlog_after**2 - backlog**2) / 2.0)


def drift_bound(config: Lyapunov, num_devices: int = 1) -> float:
    """The constant B of (15): the most the squared growth can add to the drift of ``num_devices`` devices in a slot.

    B = (M / 2) max(Delta, 1 - Delta)^2 for growth Delta - phi. The printed growth lies in {Delta} and [-1, 0), which
    gives M / 2.
    """
    largest = max(config.delta, 1.0 - config.delta) if config.queue == "neely" else 1.0
    return num_devices / 2.0 * largest**2


def scaled_backlog(config: Lyapunov, backlog: np.ndarray) -> np.ndarray:
    """The observation's backlog column, log(1 + z / V), float32: of order one where V C and z compete."""
    return np.log1p(backlog / config.v).astype(np.float32)


class LyapunovStep(NamedTuple):
    """What one slot did to the queues; arrays [E, M]."""

    reward: np.ndarray
    """Shaped reward."""
    objective: np.ndarray
    """Drift-plus-penalty at the backlog before the slot."""
    drift: np.ndarray
    """Change of z^2 / 2."""
    backlog: np.ndarray
    """Backlog after the slot."""


class VirtualQueues:
    """The queues of all devices of all rows; ``backlog`` is float64 [E, M] and starts at zero."""

    def __init__(self, config: Lyapunov, deadline_penalty: float, num_envs: int, num_devices: int) -> None:
        self.config = config
        self.deadline_penalty = deadline_penalty
        self.backlog = np.zeros((num_envs, num_devices))

    def shown(self, present: np.ndarray | None) -> np.ndarray:
        """What is asked of each device now [E, M]: its queue, and nothing of who is not there."""
        return np.asarray(of_present(self.backlog, present))

    def advance(
        self, cost: np.ndarray, fraction: np.ndarray, deadline_missed: np.ndarray, present: np.ndarray | None = None
    ) -> LyapunovStep:
        """Move on by one slot.

        Args:
            cost: Cost of the slot [E, M].
            fraction: Executed offloading fraction [E, M].
            deadline_missed: Bool [E, M].
            present: Whether the device was there, bool [E, M]; None if everybody was. The queue of who was not stays
                as it is, and its objective and reward are 0.

        Returns:
            Reward, objective, drift and the new backlog. The arrays are new: later slots do not change them.
        """
        before, config = self.backlog, self.config
        queue_growth = of_present(growth(config, fraction), present)
        self.backlog = next_backlog(before, queue_growth)
        return LyapunovStep(
            reward(config, cost, before, queue_growth, deadline_missed, self.deadline_penalty),
            objective(config, cost, before, queue_growth),
            drift(before, self.backlog),
            self.backlog,
        )

    def reset(self, rows: np.ndarray | None = None) -> None:
        """Empty all queues, or those of the rows of a bool mask or index array [E]."""
        self.backlog = self.backlog.copy()
        self.backlog[slice(None) if rows is None else rows] = 0.0

    def get_state(self) -> dict[str, Any]:
        """The backlog, for exact resumption."""
        return {"backlog": self.backlog.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`get_state`."""
        self.backlog = np.array(state["backlog"], dtype=np.float64)
