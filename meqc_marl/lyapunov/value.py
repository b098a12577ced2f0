"""What unfinished work costs later slots: a value of a row's waits, learned from what happens, and the credit it gives.

Where servers queue, who sends work makes everybody wait later. Which work a slot leaves is known exactly; what it costs
is not. A critic of the shared state learns it: the value of the two waits over the latest slots
(:mod:`meqc_marl.lyapunov.temporal_difference`). A device is then paid, beside what it adds to the slot's total, the
discounted difference of the values of what the slot left and of what it would have left without what the device sent: a
counterfactual again, so that whoever raises it raises the total by as much. In the mean it is a toll: minus the slope
of the value.

What the devices gain in a slot scatters from row to row by their equipment, and that has nothing to do with waits. So
every episode of every row has a constant of its own in the fit, and the mean backlog of the virtual queues has a
coefficient; the credit looks at the waits alone. With a discount of 1 the value is that of the average reward.

What a wait costs depends on the load. Where that varies from row to row, every coefficient is interpolated between
those of the corners of what the rows are told of it, and all rows are fitted together
(:mod:`meqc_marl.lyapunov.loads`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.lyapunov.loads import Corners, spread
from meqc_marl.lyapunov.temporal_difference import fit_value, quadratic

USUAL_DISCOUNT = 0.9
"""Where anything queues and the scenario says nothing: a busy period lasts a few slots."""
_WINDOW, _REFIT = 24_000, 800
"""Slots of a row that the value is fitted to, and new ones between two fits."""
_AS_MANY_WITH_LOADS = 4
"""Times as many of both where the load varies: each corner of it has coefficients of its own to learn."""
_TEN_SECONDS = 10.0
_RIDGE = 1e-5
"""Of the slots fitted to, on features of order one."""
_COLUMNS = ("episode", "cpu_s", "qpu_s", "queue", "gain", "next_cpu_s", "next_qpu_s", "next_queue")


def discount_of(scenario: Scenario) -> float:
    """Of what the present slot leaves to later ones: as the scenario says, 0 where nothing queues."""
    if not scenario.resources.queued:
        return 0.0
    given = scenario.lyapunov.discount
    return USUAL_DISCOUNT if given is None else given


def features(cpu_s: np.ndarray, qpu_s: np.ndarray) -> np.ndarray:
    """All quadratic terms of the two waits, in tens of seconds, [..., 5]; no constant, which no difference has."""
    return quadratic(cpu_s / _TEN_SECONDS, qpu_s / _TEN_SECONDS)


class BacklogValue:
    """A value v of the waits at the server and at the QPU, for a device and in units of cost, and the credit of it.

    Args:
        discount: Of the next slot.
        num_loads: Numbers K that are told of each row's load; 0 where all rows are of one system.

    Attributes:
        weights: Of :func:`features` at each corner of the loads that were seen, [C, 5], one corner without loads; zeros
            before the first fit.
        corners: Those.
    """

    def __init__(self, discount: float, num_loads: int = 0) -> None:
        self.discount, self._num_loads = discount, num_loads
        self.corners = Corners.none(num_loads)
        self.weights = np.zeros((1, 5))
        times = _AS_MANY_WITH_LOADS if num_loads else 1
        self._refit = times * _REFIT
        self._slots = np.zeros((times * _WINDOW, len(_COLUMNS) + num_loads))
        self._added = self._fitted = 0
        self._num_episodes = 0
        self._rows: dict[int, np.ndarray] = {}
        """Of each group of rows, what it began its slot with: episode, waits and queue [4, E]."""

    def begin(self, group: int = 0) -> None:
        """A group of rows starts an episode, with empty queues."""
        self._rows.pop(group, None)

    def weights_at(self, load: np.ndarray | None = None) -> np.ndarray:
        """Of :func:`features`, at a load [..., K]: [..., 5]; [5] where no load is told."""
        return np.asarray(self.weights[0] if load is None else self.corners.shares(load) @ self.weights)

    def value(self, cpu_s: np.ndarray, qpu_s: np.ndarray, load: np.ndarray | None = None) -> np.ndarray:
        """v less that of empty queues, for a device [...]; at most 0 in a system where waiting costs."""
        seen = features(cpu_s, qpu_s)
        return np.asarray(seen @ self.weights[0] if load is None else (seen * self.weights_at(load)).sum(-1))

    def credit(
        self,
        waits: tuple[np.ndarray, np.ndarray],
        without: tuple[np.ndarray, np.ndarray],
        load: np.ndarray | None = None,
    ) -> np.ndarray:
        """What the work that each device sent costs all of them later, in units of cost [E, M]; never above 0.

        Args:
            waits: That the slot left, in s [E].
            without: The same without what one device sent [E, M].
            load: Of the rows [E, K], where it varies.
        """
        left = self.value(*waits, load)[..., None]
        less = self.value(*without, None if load is None else load[:, None])
        devices = less.shape[-1]
        # More work never helps: a fit that says so says it of states that it has not seen.
        return np.asarray(self.discount * devices * np.minimum(left - less, 0.0))

    def tolls(
        self, cpu_s: np.ndarray, qpu_s: np.ndarray, load: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a second more of either wait costs a device later, in units of cost [...]: the slope of the value."""
        cpu, qpu = cpu_s / _TEN_SECONDS, qpu_s / _TEN_SECONDS
        a, b, aa, ab, bb = np.moveaxis(-self.discount / _TEN_SECONDS * self.weights_at(load), -1, 0)
        return np.asarray(a + 2 * aa * cpu + ab * qpu), np.asarray(b + ab * cpu + 2 * bb * qpu)

    def observe(
        self,
        gain: np.ndarray,
        queue: np.ndarray,
        waits: tuple[np.ndarray, np.ndarray],
        group: int = 0,
        load: np.ndarray | None = None,
    ) -> None:
        """Learn from a slot of a group of rows.

        Args:
            gain: What a device gained in the mean over staying local, in units of cost [E].
            queue: Mean backlog of the virtual queues after the slot, in units of V [E].
            waits: That the slot left, in s [E].
            group: Which rows: they start their episodes together.
            load: Of the rows [E, K], where it varies.
        """
        if group not in self._rows:
            episodes = self._num_episodes + np.arange(len(gain), dtype=np.float64)
            self._num_episodes += len(gain)
            self._rows[group] = np.stack([episodes, *np.zeros((3, len(gain)))])
        before, after = self._rows[group], np.stack([*waits, queue])
        of_load = np.zeros((0, len(gain))) if load is None else load.T
        self._slots[(self._added + np.arange(len(gain))) % len(self._slots)] = np.vstack(
            [before, gain, after, of_load]
        ).T
        self._added += len(gain)
        self._rows[group] = np.vstack([before[:1], after])
        if self._added - self._fitted >= self._refit:
            self._fitted = self._added
            slots = self._slots[: self._added]
            self.corners = Corners.of(slots[:, len(_COLUMNS) :])
            self.weights = self._fit(slots)

    def _fit(self, slots: np.ndarray) -> np.ndarray:
        """Weights of :func:`features` at the corners; those of the mean virtual queue, of any sign, are left out."""
        episode, cpu_s, qpu_s, queue, gain, next_cpu_s, next_qpu_s, next_queue = slots.T[: len(_COLUMNS)]
        shares = self.corners.shares(slots[:, len(_COLUMNS) :])
        now, then = (
            np.concatenate([spread(features(*waits), shares), spread(backlog[:, None] / _TEN_SECONDS, shares)], -1)
            for waits, backlog in (((cpu_s, qpu_s), queue), ((next_cpu_s, next_qpu_s), next_queue))
        )
        fitted = fit_value(now, then, -gain, self.discount, episode, free=self.corners.number, ridge=_RIDGE)
        return -fitted[: -self.corners.number].reshape(self.corners.number, 5)

    def get_state(self) -> dict[str, Any]:
        """All of it, for exact resumption."""
        return {
            "weights": self.weights.copy(),
            "corners": [self.corners.low.copy(), self.corners.width.copy()],
            "slots": self._slots[: self._added].copy(),
            "counts": [self._added, self._fitted, self._num_episodes],
            "rows": {group: values.copy() for group, values in self._rows.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`get_state`."""
        self.weights = np.array(state["weights"], np.float64).reshape(-1, 5)
        none = Corners.none(self._num_loads)  # of a run that began before there were corners
        low_and_width = state.get("corners", (none.low, none.width))
        self.corners = Corners(*(np.array(each, np.float64) for each in low_and_width))
        self._slots = np.zeros_like(self._slots)
        self._slots[: len(state["slots"])] = state["slots"]
        self._added, self._fitted, self._num_episodes = map(int, state["counts"])
        self._rows = {group: np.array(values, np.float64) for group, values in state["rows"].items()}
