"""The best that a device can make of each place, given what it gets there: closed forms for all three latency forms.

A device's part of the slot's objective is V C + z growth + V penalty [missed], with the deadline penalty of the
scenario, so every slot has an optimum. But for the miss it is convex in the share sent away. So the best share is the
unconstrained one, missing the deadline if need be, or that share clipped to the interval that meets the deadline.

Whoever sends work may be charged a toll for it: linear in the share, whatever others do, so that all this still holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.lyapunov import growth, objective
from meqc_marl.physics.cost import Mode, PlaceCosts
from meqc_marl.physics.feasible import deadline_missed

REMOTE = (Mode.CPU, Mode.QPU)


class PlaceValues(NamedTuple):
    """Least objective with penalty at each place, and how; arrays by ``Mode`` [3, ..., M]."""

    value: np.ndarray
    """Infinite at a QPU that does not take the task, and for who is not there; its queue must be shown as 0."""
    fraction: np.ndarray
    """Share sent away; 0 for LOCAL."""


def place_values(
    scenario: Scenario, places: PlaceCosts, backlog: np.ndarray, toll: np.ndarray | None = None
) -> PlaceValues:
    """Solve every place of every device.

    Args:
        scenario: Cost and Lyapunov sections are used; the sign of the objective must be the corrected one.
        places: What each place costs under some load [..., M].
        backlog: Virtual queues z, broadcastable to it.
        toll: Added to the objective for the whole task sent to each place, and in proportion for a share, by ``Mode``
            [3, ..., M]; at least 0; None for none.
    """
    config, penalty = scenario.lyapunov, scenario.lyapunov.v * scenario.cost.miss_penalty
    local_s = places.latency_s[Mode.LOCAL]
    value, fraction = np.empty((3, *local_s.shape)), np.zeros((3, *local_s.shape))
    none = growth(config, np.zeros(()))
    value[Mode.LOCAL] = objective(config, places.whole_cost(Mode.LOCAL), backlog, none)
    value[Mode.LOCAL] += penalty * deadline_missed(local_s, places.deadline_s)
    for mode in REMOTE:
        low, high = places.unpenalised(scenario.cost, mode)
        possible = low <= high
        charged = 0.0 if toll is None else toll[mode]
        free = _free_share(scenario, places, mode, backlog - charged)
        held = np.where(possible, np.clip(free, low, high), free)
        free_value = _value(scenario, places, mode, free, backlog) + charged * free
        free_value += penalty * ((held != free) | ~possible)
        held_value = np.where(possible, _value(scenario, places, mode, held, backlog) + charged * held, np.inf)
        better = free_value < held_value
        value[mode] = np.where(better, free_value, held_value)
        fraction[mode] = np.where(better, free, held)
    value[Mode.QPU][~places.qpu_admitted] = np.inf
    if places.present is not None:  # who is not there sends nothing
        value[Mode.CPU][~places.present] = np.inf
    return PlaceValues(value, fraction)


def _value(scenario: Scenario, places: PlaceCosts, mode: Mode, share: np.ndarray, backlog: np.ndarray) -> np.ndarray:
    cost = places.cost_of(scenario.cost.latency, mode, share)
    return objective(scenario.lyapunov, cost, backlog, growth(scenario.lyapunov, share))


def _free_share(scenario: Scenario, places: PlaceCosts, mode: Mode, backlog: np.ndarray) -> np.ndarray:
    """The share in [min_fraction, 1] of least objective, deadline apart, by the signs of its slopes.

    ``backlog`` is z less the toll: both are slopes.
    """
    form, v, least = scenario.cost.latency, scenario.lyapunov.v, scenario.cost.min_fraction
    if form == "literal":
        # V ((1 - phi)^2 A + phi^2 B + phi K) - z phi
        local, remote = places.whole_cost(Mode.LOCAL), places.whole_cost(mode)
        slope = places.weighted(places.once_s(mode), places.ack_energy_j) - backlog / v
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = (2.0 * local - slope) / (2.0 * (local + remote))
        # Without curvature the slope decides; without either any share is as good as another.
        inner = np.where(np.isnan(inner), np.where(slope > 0.0, least, 1.0), inner)
        return np.asarray(np.clip(inner, least, 1.0))
    energy = v * places.energy_weight * (places.energy_j[mode] - places.energy_j[Mode.LOCAL]) - backlog
    local_s, remote_s = places.latency_s[Mode.LOCAL], places.latency_s[mode]
    weight = v * places.latency_weight
    if form == "sequential":
        return np.where(energy + weight * (remote_s - local_s) > 0.0, least, 1.0)
    # Parallel: falling with the local part before the kink, rising with the remote one after it.
    after = np.where(energy + weight * remote_s > 0.0, np.clip(places.kink(mode), least, 1.0), 1.0)
    return np.where(energy - weight * local_s > 0.0, least, after)
