"""The exact joint optimum of a slot with pooled resources: the best pair of counts, and who goes where.

Given how many devices use the server CPU and the QPU, what each device can make of each place is closed form
(:mod:`~meqc_marl.policies.joint.place_values`), and who goes where is a transportation problem with three places
(:mod:`~meqc_marl.policies.joint.transport`). No value falls as the counts grow, so *at most* so many may stand for
*exactly*, and a box of pairs is bounded from below by the values at its lower corner with the capacities of its upper
one.

The least over all pairs is not unimodal. Boxes are split, the one of the least bound first, until none is below the
best assignment found (proven), or until the budget is spent: then the best found stands beside the least bound left.
Small rows are simply enumerated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.physics.load import Load, count
from meqc_marl.physics.places import Work, price
from meqc_marl.policies.joint.place_values import PlaceValues, place_values
from meqc_marl.policies.joint.transport import ROUNDS, assign, prices

_CHUNK_ELEMENTS = 16_384
"""Devices times pairs priced at once: few enough to stay in the cache."""
_ENUMERATED = 20
"""Devices up to which all pairs are priced at once."""
_SPLIT_AT_ONCE = 24
"""Boxes split between two looks at the best bound."""
_PRECISION = 1e-11
"""Relative difference between two totals that is rounding."""


@dataclass(frozen=True)
class JointOptimum:
    """The best joint decision of each row of a slot.

    Attributes:
        mode: ``Mode`` of every device, int8 [E, M].
        fraction: Share sent away [E, M].
        value: Total objective with penalty [E].
        bound: No decision totals less [E].
    """

    mode: np.ndarray
    fraction: np.ndarray
    value: np.ndarray
    bound: np.ndarray

    @property
    def proven(self) -> np.ndarray:
        """Whether nothing is better: value and bound are equal but for rounding, bool [E]."""
        return np.asarray(self.value - self.bound <= 1e-9 * (np.abs(self.value) + 1.0))


def joint_optimum(
    scenario: Scenario,
    work: Work,
    backlog: np.ndarray,
    budget: int | None = None,
    starts: int = 1,
    toll: np.ndarray | None = None,
) -> JointOptimum:
    """Minimise the sum over the devices of V C + z growth + V penalty [missed], and any toll, in every row.

    Args:
        scenario: Parameters.
        work: The slot's tasks [E, M].
        backlog: Virtual queues z [E, M].
        budget: Devices times boxes to price at most for a row; None: as many as the proof takes.
        starts: Of the pattern search that finds a good assignment before the proof begins, 1 to 3.
        toll: Charged for the whole task sent to each place, by ``Mode`` [3, E, M]; part of value and bound.
    """
    rows, devices = work.data_bits.shape
    if devices <= _ENUMERATED:
        found = _enumerate(RowValues(scenario, work, backlog, toll))
    else:
        found = [_Search(scenario, work, backlog, row, toll).run(budget, starts) for row in range(rows)]
    mode = np.stack([one.mode for one in found])
    cpu, qpu = count(mode)
    places = price(scenario, work, Load.of_counts(cpu[:, None], qpu[:, None]))
    best = place_values(scenario, places, backlog, toll).fraction
    fraction = np.take_along_axis(best, mode[None].astype(np.intp), 0)[0]
    value, bound = np.array([one.value for one in found]), np.array([one.bound for one in found])
    return JointOptimum(mode, fraction, value, bound)


@dataclass
class _Found:
    """The best assignment of a row so far."""

    mode: np.ndarray
    value: float = np.inf
    bound: float = -np.inf


class RowValues:
    """What each place is worth to each device of some rows, for any pairs of counts."""

    def __init__(self, scenario: Scenario, work: Work, backlog: np.ndarray, toll: np.ndarray | None = None) -> None:
        self._scenario, self._work, self._backlog, self._toll = scenario, work, backlog, toll
        self.rows, self.devices = backlog.shape

    def at(self, row: np.ndarray, cpu: np.ndarray, qpu: np.ndarray) -> PlaceValues:
        """Values by ``Mode`` [3, N, M] of N pairs of counts, each of one row."""
        places = price(self._scenario, self._work.rows(row), Load.of_counts(cpu[:, None], qpu[:, None]), False)
        return place_values(
            self._scenario, places, self._backlog[row], None if self._toll is None else self._toll[:, row]
        )

    def bounds(
        self,
        row: np.ndarray,
        low: tuple[np.ndarray, np.ndarray],
        high: tuple[np.ndarray, np.ndarray],
        begin: np.ndarray | None = None,
        rounds: int = ROUNDS,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Best dual bound [N] of boxes of pairs, both corners included, and its prices [2, N]."""
        bound, price_of = np.empty(len(row)), np.empty((2, len(row)))
        step = max(1, _CHUNK_ELEMENTS // self.devices)
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            value = self.at(row[part], low[0][part], low[1][part]).value
            dual = prices(value, high[0][part], high[1][part], None if begin is None else begin[:, part], rounds)
            bound[part], price_of[0, part], price_of[1, part] = dual.bound, dual.cpu, dual.qpu
        return bound, price_of

    def improve(self, found: _Found, row: int, cpu: int, qpu: int, price_cpu: float, price_qpu: float) -> None:
        """Look at the best assignment within two counts, at the values of how many really go where."""
        one = np.array([row])
        value = self.at(one, np.array([cpu]), np.array([qpu])).value[:, 0]
        mode = assign(value, cpu, qpu, price_cpu, price_qpu)
        numbers = count(mode)
        if any(number != limit for number, limit in zip(numbers, (cpu, qpu), strict=True)):
            value = self.at(one, *(np.array([number]) for number in numbers)).value[:, 0]
        total = float(np.take_along_axis(value, mode[None].astype(np.intp), 0).sum())
        if total < found.value:
            found.mode, found.value = mode, total

    def table(self, cpu: np.ndarray, qpu: np.ndarray) -> np.ndarray:
        """Values [E, P, 3, M] of P pairs of counts in every row."""
        rows = self.rows
        found = np.empty((rows * len(cpu), 3, self.devices))
        row, every = np.repeat(np.arange(rows), len(cpu)), (np.tile(cpu, rows), np.tile(qpu, rows))
        step = max(1, _CHUNK_ELEMENTS // self.devices)
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            found[part] = self.at(row[part], every[0][part], every[1][part]).value.swapaxes(0, 1)
        return found.reshape(rows, len(cpu), 3, self.devices)


def all_pairs(devices: int) -> tuple[np.ndarray, np.ndarray]:
    """All counts n_c and n_q that add up to at most so many."""
    cpu, qpu = np.divmod(np.arange((devices + 1) ** 2), devices + 1)
    return cpu[cpu + qpu <= devices], qpu[cpu + qpu <= devices]


def _enumerate(values: RowValues) -> list[_Found]:
    """All pairs of counts of all rows at once."""
    rows, devices = values.rows, values.devices
    cpu, qpu = all_pairs(devices)
    row = np.repeat(np.arange(rows), len(cpu))
    every = (np.tile(cpu, rows), np.tile(qpu, rows))
    bound, price_of = (array.reshape(*array.shape[:-1], rows, -1) for array in values.bounds(row, every, every))
    results = []
    for index in range(rows):
        found = _Found(np.zeros(devices, np.int8))
        for pair in np.argsort(bound[index], kind="stable"):
            if bound[index, pair] >= found.value - _PRECISION * (abs(found.value) + 1.0):
                break
            values.improve(found, index, int(cpu[pair]), int(qpu[pair]), *map(float, price_of[:, index, pair]))
        found.bound = min(found.value, float(bound[index].min()))
        results.append(found)
    return results


class _Search:
    """Pattern search, then branch and bound, for one row."""

    def __init__(
        self, scenario: Scenario, work: Work, backlog: np.ndarray, row: int, toll: np.ndarray | None = None
    ) -> None:
        one = np.array([row])
        self.values = RowValues(scenario, work.rows(one), backlog[one], None if toll is None else toll[:, one])
        self.devices = backlog.shape[-1]
        self.found = _Found(np.zeros(self.devices, np.int8))
        self.spent = 0

    def run(self, budget: int | None, starts: int) -> _Found:
        """Find the best assignment, and prove it as far as the budget goes."""
        third = self.devices // 3
        for start in ((third, third), (self.devices // 6, third), (third, self.devices // 6))[:starts]:
            self._descend(start)
        self._prove(np.inf if budget is None else budget)
        return self.found

    def _bounds(
        self, low: np.ndarray, high: np.ndarray, begin: np.ndarray | None = None, rounds: int = ROUNDS
    ) -> tuple[np.ndarray, np.ndarray]:
        self.spent += len(low) * self.devices
        row = np.zeros(len(low), np.intp)
        return self.values.bounds(row, (low[:, 0], low[:, 1]), (high[:, 0], high[:, 1]), begin, rounds)

    def _descend(self, start: tuple[int, int]) -> None:
        """From a pair of counts to better ones around it, in steps that are halved where none is better."""
        here, value = np.array(start), np.inf
        best_prices = (0.0, 0.0)
        step = max(1, self.devices // 8)
        known: set[tuple[int, int]] = set()
        while step:
            around = [here + step * np.array((a, b)) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            tried = np.array(
                [pair for pair in around if pair.min() >= 0 and pair.sum() <= self.devices and tuple(pair) not in known]
            ).reshape(-1, 2)
            moved = False
            if len(tried):
                bound, price_of = self._bounds(tried, tried)
                known.update((int(cpu), int(qpu)) for cpu, qpu in tried)
                best = int(bound.argmin())
                if bound[best] < value:
                    moved = step > 1 or not np.array_equal(tried[best], here)
                    here, value = tried[best], float(bound[best])
                    best_prices = (float(price_of[0, best]), float(price_of[1, best]))
            if not moved or step > 1:
                step //= 2
        self.values.improve(self.found, 0, int(here[0]), int(here[1]), *best_prices)

    def _prove(self, budget: float) -> None:
        """Split boxes, the least bound first, until all are above the best found."""
        width = 1 << max(0, (self.devices // 6).bit_length() - 1)
        corners = np.arange(0, self.devices + 1, width)
        low = np.stack([grid.ravel() for grid in np.meshgrid(corners, corners, indexing="ij")], -1)
        low = low[low.sum(-1) <= self.devices]
        high = np.minimum(low + width - 1, self.devices)
        bound, price_of = self._bounds(low, high)
        while True:
            limit = self.found.value - _PRECISION * (abs(self.found.value) + 1.0)
            kept = bound < limit
            low, high, bound, price_of = low[kept], high[kept], bound[kept], price_of[:, kept]
            if not len(low) or self.spent >= budget:
                break
            first = np.argsort(bound, kind="stable")[:_SPLIT_AT_ONCE]
            single = (low[first] == high[first]).all(-1)
            if single[0]:
                self._settle(low[first[0]], price_of[:, first[0]])
                first = first[:1]  # done with
                parts = (low[:0], high[:0], first[:0])
            else:
                first = first[~single]
                parts = _quarters(low[first], high[first], self.devices)
            begin_price = price_of[:, first][:, parts[2]] if len(parts[0]) else None
            rest = np.delete(np.arange(len(low)), first)
            low, high, bound, price_of = low[rest], high[rest], bound[rest], price_of[:, rest]
            if len(parts[0]):
                # Half a box has nearly the prices of the whole.
                new_bound, new_price = self._bounds(parts[0], parts[1], begin_price, 1)
                low, high = np.concatenate([low, parts[0]]), np.concatenate([high, parts[1]])
                bound, price_of = np.concatenate([bound, new_bound]), np.concatenate([price_of, new_price], -1)
        self.found.bound = min(self.found.value, float(bound.min())) if len(bound) else self.found.value

    def _settle(self, pair: np.ndarray, price_of: np.ndarray) -> None:
        self.values.improve(self.found, 0, int(pair[0]), int(pair[1]), float(price_of[0]), float(price_of[1]))


def _quarters(low: np.ndarray, high: np.ndarray, devices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two or four halves of each box that hold a pair of at most ``devices`` in all."""
    middle = (low + high) // 2
    ends = [(low, middle), (middle + 1, high)]
    lows, highs = [], []
    for a in range(2):
        for b in range(2):
            lows.append(np.stack([ends[a][0][:, 0], ends[b][0][:, 1]], -1))
            highs.append(np.stack([ends[a][1][:, 0], ends[b][1][:, 1]], -1))
    below, above = np.concatenate(lows), np.concatenate(highs)
    kept = (below <= above).all(-1) & (below.sum(-1) <= devices)
    return below[kept], above[kept], np.tile(np.arange(len(low)), 4)[kept]
