"""The sufficient view of a slot: what the best action depends on, and nothing of what is behind it.

What an action costs is a function of its mode and share alone. A device sees it at three shares of each remote place:
the least and the largest that it may choose, and the one between them at which both parts of a parallel task end
together. Between these the cost is linear (``parallel``, ``sequential``), so a policy reads changed gate times, power
laws, references or channels rightly, and both forms of the latency. Costs are measured from that of the task left on
the device, like the learner's reward; with z / V in the last column neither V nor Delta is needed. A signed log is
sign(x) ln(1 + abs(x)), of costs, slopes and z / V alike: a slope and the z / V that it competes with look the same.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from meqc_marl.config.scenario import Cost, Scenario
from meqc_marl.physics.cost import PlaceCosts, blend_energy, blend_latency, middle_share
from meqc_marl.physics.feasible import feasible_fraction
from meqc_marl.physics.modes import FIRST_REMOTE, Mode

SIGNED_LIMIT = 100.0
"""Of signed logs: a cost beyond exp(100) is shown as that."""
_NARROW = 1e-6
"""A part of an interval that is no wider has no slope."""
_AT_ONCE = 8_192
"""Device-slots whose columns are worked out together; what lies between is six times as much, in the cache still."""
_PLACES = ("cpu", "qpu")


def _of_places(*names: str) -> tuple[str, ...]:
    return tuple(f"{place}_{name}" for place in _PLACES for name in names)


_REMOTE = (
    *("allowed", "low", "middle", "high", "position", "cost_low", "cost_middle", "cost_high"),
    *("slope_low", "slope_high", "meets", "first", "last"),
)
"""Of a place, in the order in which it is worked out; the last three only where a miss costs a penalty."""
SUFFICIENT_COLUMNS: tuple[str, ...] = (
    "local_allowed",
    "cpu_allowed",
    "qpu_allowed",
    *_of_places("low", "middle", "high", "position"),
    *_of_places("cost_low", "cost_middle", "cost_high"),
    *_of_places("slope_low", "slope_high"),
    "local_cost",
    "backlog",
)
"""Of a slot with deadlines kept."""
PENALTY_COLUMNS: tuple[str, ...] = (
    *SUFFICIENT_COLUMNS[:-1],
    "local_meets",
    *_of_places("meets", "first", "last"),
    "backlog",
)
"""Where a miss costs a penalty: also which shares meet the deadline."""


def sufficient_view(scenario: Scenario, places: PlaceCosts) -> np.ndarray:
    """Observations of one slot or several where nothing is shared, with an empty backlog column, float32 [..., M, K].

    Args:
        scenario: Its cost section is used.
        places: What each place costs and what may be chosen, [..., M].
    """
    columns = SUFFICIENT_COLUMNS if scenario.cost.deadline == "kept" else PENALTY_COLUMNS
    out = np.zeros((*places.deadline_s.shape, len(columns)), np.float32)
    show_costs(scenario, places, columns, out)
    return out


def show_costs(scenario: Scenario, places: PlaceCosts, columns: tuple[str, ...], out: np.ndarray) -> None:
    """Fill in the columns [..., M, K] of costs and deadlines; others stay as they are.

    Args:
        scenario: Its cost section is used.
        places: What each place costs and what may be chosen, [..., M].
        columns: Names of the K columns; of those of remote places some may be left out.
        out: To fill.
    """
    show_local_costs(scenario, places, columns, out)
    if places.deadline_s.ndim < 3:
        show_remote_costs(scenario, places, columns, out)
        return
    slots = max(1, _AT_ONCE // places.deadline_s[0].size)
    for start in range(0, len(out), slots):
        some = slice(start, start + slots)
        show_remote_costs(scenario, places.slot(some), columns, out[some])


def show_local_costs(scenario: Scenario, places: PlaceCosts, columns: tuple[str, ...], out: np.ndarray) -> None:
    """The same of those columns alone that are about the device itself, which no wait changes."""
    local_s, local_cost = places.latency_s[Mode.LOCAL], places.whole_cost(Mode.LOCAL)
    out[..., columns.index("local_allowed")] = places.choices_under(scenario.cost).allowed[Mode.LOCAL]
    out[..., columns.index("local_cost")] = _signed_log(local_cost)
    if scenario.cost.deadline != "kept":
        out[..., columns.index("local_meets")] = local_s <= places.deadline_s


def show_remote_costs(scenario: Scenario, places: PlaceCosts, columns: tuple[str, ...], out: np.ndarray) -> None:
    """The same of those columns alone that are about the server and the QPU."""
    shown = _of_remote(scenario.cost, places)
    for index, which in _shown_in(columns):
        out[..., index] = shown[which]


@lru_cache
def _shown_in(columns: tuple[str, ...]) -> tuple[tuple[int, tuple[int, int]], ...]:
    """Numbers of the columns about remote places, and what each of them shows of which place."""
    shown = {f"{place}_{name}": (row, at) for row, name in enumerate(_REMOTE) for at, place in enumerate(_PLACES)}
    return tuple((index, shown[name]) for index, name in enumerate(columns) if name in shown)


def _of_remote(cost: Cost, places: PlaceCosts) -> np.ndarray:
    """What is shown of remote places, float32 [N, 2, ..., M]: both at once, for every call of numpy costs its time."""
    choices, form = places.choices_under(cost), cost.latency
    allowed, low, high = (part[FIRST_REMOTE:] for part in (choices.allowed, choices.low, choices.high))
    times = places.latency_s[Mode.LOCAL], places.latency_s[FIRST_REMOTE:], places.once_remote_s()
    energies = places.energy_j[Mode.LOCAL], places.energy_j[FIRST_REMOTE:], places.ack_energy_j
    middle = middle_share(form, low, high, *times)
    shares = np.stack((low, middle, high))
    spent = places.weighted(blend_latency(form, shares, *times), blend_energy(form, shares, *energies))
    more, parts = np.where(allowed, spent - places.whole_cost(Mode.LOCAL), 0.0), shares[1:] - shares[:-1]
    slopes = _ratio(more[1:] - more[:-1], parts)

    shown = np.empty((len(_REMOTE), *allowed.shape), np.float32)
    shown[0], shown[1:4], shown[4] = allowed, shares, _ratio(parts[0], high - low)
    shown[5:10] = _signed_log(np.concatenate((more, slopes)))
    if cost.deadline != "kept":
        first, last = feasible_fraction(form, cost.min_fraction, *times, places.deadline_s)
        meets = (first <= last) & allowed
        shown[10], shown[11], shown[12] = meets, np.where(meets, first, 0.0), np.where(meets, last, 0.0)
    return shown


def _signed_log(value: np.ndarray) -> np.ndarray:
    return np.asarray(np.copysign(np.minimum(np.log1p(np.abs(value)), SIGNED_LIMIT), value))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part of a whole, 0 of one that is next to nothing."""
    return np.asarray(np.where(whole > _NARROW, part / np.maximum(whole, _NARROW), 0.0))
