"""What the access point broadcasts before a slot: how many devices used the server CPU and the QPU in the last one.

With ``resources.broadcast = counts`` a device sees, before the columns of queues and the backlog, how much each pool
was used: the devices that shared it, in units of what one alone leases in the paper. A use x is shown as ln(1 + x), at
most :data:`LIMIT`. Pools grow with the devices, so a policy reads fifteen and a thousand alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.env.waiting import with_queues
from meqc_marl.errors import InputError, shown
from meqc_marl.physics.load import Pools, count

USE_COLUMNS = ("band_use", "cpu_use", "qpu_use")
"""Of the band, the server CPU and the QPU; 0 of what is leased, and before the first slot of an episode."""
LIMIT = 10.0
"""Of ln(1 + x): twenty thousand on a pool for one."""

Counts = tuple[np.ndarray, np.ndarray]
"""Devices of each row that used the server CPU and the QPU, n_c and n_q [E]."""


def with_told(scenario: Scenario, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Names of a view's columns, with those of use and of queues before the last as the scenario has them."""
    if scenario.resources.broadcast == "counts":
        columns = (*columns[:-1], *USE_COLUMNS, columns[-1])
    return with_queues(scenario, columns)


def use(scenario: Scenario, counts: Counts) -> np.ndarray:
    """How much band, server and QPU were used [3, E]: n B / B_tot, n_c f_core / F_tot and n_q / tiles."""
    resources, pools = scenario.resources, Pools.of(scenario)
    cpu, qpu = counts
    used = {
        "band": (cpu + qpu) * (scenario.channel.bandwidth_hz / pools.band_hz),
        "server": cpu * (resources.core_hz / pools.server_hz),
        "qpu": qpu / pools.tiles,
    }
    return np.stack([each if getattr(resources, name) != "leased" else 0.0 * each for name, each in used.items()])


def nobody(rows: int) -> Counts:
    """The counts before the first slot."""
    return np.zeros(rows, np.intp), np.zeros(rows, np.intp)


class Broadcast:
    """The last slot's counts in the rows of a simulator; without effect where the scenario has no broadcast.

    Args:
        scenario: Parameters.
        columns: Of its observation.
        rows: E.

    Attributes:
        counts: Zeros before the first slot of an episode.
    """

    counts: Counts

    def __init__(self, scenario: Scenario, columns: tuple[str, ...], rows: int) -> None:
        self._scenario, self._rows = scenario, rows
        self._column = columns.index(USE_COLUMNS[0]) if USE_COLUMNS[0] in columns else None
        self.begin()

    @property
    def is_on(self) -> bool:
        """Whether the scenario has one."""
        return self._column is not None

    def begin(self, counts: Counts | None = None) -> None:
        """Start an episode, or go on in one with the counts of its last slot."""
        self.counts = nobody(self._rows) if counts is None else counts

    def hear(self, mode: np.ndarray) -> None:
        """Count a slot's executed modes [E, M]."""
        if self._column is not None:
            self.counts = count(mode)

    def shown_in(self, observation: np.ndarray) -> np.ndarray:
        """Observations [E, M, K] with the use filled in, a copy: a slot that is shown again may follow another."""
        if self._column is None:
            return observation
        observation = observation.copy()
        shown_as = np.minimum(np.log1p(use(self._scenario, self.counts)), LIMIT)
        observation[..., self._column : self._column + len(USE_COLUMNS)] = shown_as.T[:, None]
        return observation

    def get_state(self) -> dict[str, Any]:
        """The counts, for the simulator's state; nothing without a broadcast."""
        return {} if self._column is None else {"counts": [each.tolist() for each in self.counts]}

    def read(self, state: Mapping[str, Any]) -> Counts | None:
        """The counts in a simulator's state, checked.

        Raises:
            InputError: If there are none, or they are not those of so many rows and devices.
        """
        if self._column is None:
            return None
        try:
            both = np.asarray(state.get("counts"))
        except ValueError:
            both = np.empty(0)
        good = both.shape == (2, self._rows) and both.dtype.kind in "iu" and both.min() >= 0
        if not good or both.sum(0).max() > self._scenario.num_devices:
            raise InputError(
                f"counts of the state is {shown(state.get('counts'))}; it must be two lists of {self._rows} integer(s) "
                "of at least 0, the devices at the server CPU and at the QPU, in each row at most "
                f"{self._scenario.num_devices} in all."
            )
        cpu, qpu = both.astype(np.intp)
        return cpu, qpu
