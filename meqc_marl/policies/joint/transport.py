"""Who goes where, at least total value, when two of three places hold only so many: exact, with prices as a proof.

A transportation problem with the places LOCAL (no limit), CPU and QPU. Its linear relaxation is integral, so the least
total equals the largest dual bound: sum over devices of min(L, C + c_price, Q + q_price) less the prices times the
capacities. That bound is a concave, piecewise linear function of two prices that is maximal where none of three lines
(each price alone, both together) leads upwards (L-natural concavity: Murota, Discrete Convex Analysis, 2003); the best
point of a line is an order statistic of the devices.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from meqc_marl.physics.cost import Mode

ROUNDS = 60
"""Of the three lines; some five are enough, and a bound that is not the best yet is still a bound."""
_TIE = 1e-12
"""Relative gain below which a move is rounding."""


class Prices(NamedTuple):
    """Dual solution of N problems, arrays [N]."""

    cpu: np.ndarray
    qpu: np.ndarray
    bound: np.ndarray
    """No assignment within the capacities totals less."""


def prices(
    value: np.ndarray, cpu: np.ndarray, qpu: np.ndarray, begin: np.ndarray | None = None, rounds: int = ROUNDS
) -> Prices:
    """The best dual bounds.

    Args:
        value: Of every device at every place, by ``Mode`` [3, N, M]; infinite where it may not go.
        cpu, qpu: Capacities, integers from 0 to M [N].
        begin: Prices to begin with [2, N]; zeros if None.
        rounds: Of the three lines, at most: with few, and good prices to begin with, the bounds are nearly the best.
    """
    local, at_cpu, at_qpu = value
    num = len(local)
    result = Prices(np.zeros(num), np.zeros(num), np.full(num, -np.inf))
    live = np.arange(num)
    price_q = np.zeros((num, 1)) if begin is None else begin[1][:, None]
    for _ in range(rounds):
        away = np.minimum(local, at_qpu + price_q)
        price_c = np.maximum(_ranked(away - at_cpu, cpu), 0.0)
        away = np.minimum(local, at_cpu + price_c)
        price_q = np.maximum(_ranked(away - at_qpu, qpu), 0.0)
        sent = np.minimum(at_cpu + price_c, at_qpu + price_q)
        both = np.maximum(_ranked(local - sent, cpu + qpu), -np.minimum(price_c, price_q))
        price_c, price_q = price_c + both, price_q + both
        bound = np.minimum(local, sent + both).sum(-1) - price_c[:, 0] * cpu - price_q[:, 0] * qpu
        risen = bound > result.bound[live] + _TIE * (np.abs(bound) + 1.0)
        result.cpu[live[risen]], result.qpu[live[risen]] = price_c[risen, 0], price_q[risen, 0]
        result.bound[live[risen]] = bound[risen]
        if not risen.any():
            break
        if risen.sum() < 0.7 * len(live):
            live, cpu, qpu = live[risen], cpu[risen], qpu[risen]
            local, at_cpu, at_qpu = local[risen], at_cpu[risen], at_qpu[risen]
            price_c, price_q = price_c[risen], price_q[risen]
    return result


def _ranked(advantage: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """The price at which only ``capacity`` devices still gain [N, 1]; minus infinity if all may go."""
    devices = advantage.shape[-1]
    ordered = np.sort(advantage, -1)
    rank = devices - 1 - capacity
    chosen = ordered[np.arange(len(rank)), np.maximum(rank, 0)][:, None]
    return np.where(rank[:, None] >= 0, chosen, -np.inf)


def assign(value: np.ndarray, cpu: int, qpu: int, price_cpu: float = 0.0, price_qpu: float = 0.0) -> np.ndarray:
    """The assignment of least total within the capacities.

    From the best reply to the prices, units move along shortest paths between the three places until none is over its
    capacity and no path or cycle gains: then it is optimal, whatever the prices were.

    Args:
        value: Of one problem, by ``Mode`` [3, M].
        cpu, qpu: Capacities.
        price_cpu, price_qpu: Of :func:`prices`; good ones leave next to nothing to move.

    Returns:
        ``Mode`` of each device, int8 [M].
    """
    devices = value.shape[-1]
    priced = value + np.array([0.0, price_cpu, price_qpu])[:, None]
    mode = priced.argmin(0)
    limit = (devices, cpu, qpu)
    number = np.bincount(mode, minlength=3)
    finite = value[np.isfinite(value)]
    tie = _TIE * (float(np.abs(finite).max()) + 1.0)
    for _ in range(20 * devices + 20):
        over = next((place for place in (Mode.CPU, Mode.QPU) if number[place] > limit[place]), None)
        gain, path = _best_move(value, mode, number, limit, over)
        if over is None and gain >= -tie:
            break
        devices_moved = [_cheapest(value, mode, one, other)[0] for one, other in pairwise(path)]
        for device, target in zip(devices_moved, path[1:], strict=True):
            number[mode[device]] -= 1
            number[target] += 1
            mode[device] = target
    return mode.astype(np.int8)


def _cheapest(value: np.ndarray, mode: np.ndarray, one: int, other: int) -> tuple[int, float]:
    """The device of one place that costs least to move to another, and what it costs."""
    there = np.flatnonzero(mode == one)
    if not len(there):
        return -1, np.inf
    change = value[other, there] - value[one, there]
    best = int(change.argmin())
    return int(there[best]), float(change[best])


def _best_move(
    value: np.ndarray, mode: np.ndarray, number: np.ndarray, limit: tuple[int, int, int], over: int | None
) -> tuple[float, tuple[int, ...]]:
    """The cheapest path from the place over its capacity to one with room; or, with none over, path or cycle."""
    arc = {
        (one, other): _cheapest(value, mode, one, other)[1] for one in range(3) for other in range(3) if one != other
    }
    best: tuple[float, tuple[int, ...]] = (np.inf, ())
    for path in _PATHS if over is not None else _PATHS + _CYCLES:
        start, end = path[0], path[-1]
        if over is not None and start != over:
            continue
        if start != end and number[end] >= limit[end]:
            continue
        total = sum(arc[step] for step in pairwise(path))
        if total < best[0]:
            best = (total, path)
    return best


_PATHS = [(a, b) for a in range(3) for b in range(3) if a != b] + [
    (a, 3 - a - b, b) for a in range(3) for b in range(3) if a != b
]
_CYCLES = [(0, 1, 0), (0, 2, 0), (1, 2, 1), (0, 1, 2, 0), (0, 2, 1, 0)]
