"""The sufficient view of a slot: what the best action depends on, and nothing of what is behind it.

What an action costs is a function of its mode and share alone. A device sees it at three shares of each remote place:
the least and the largest that it may choose, and the one between them at which both parts of a parallel task end
together. Between these the cost is linear (``parallel``, ``sequential``), so a policy reads changed gate times, power
laws, references or channels rightly, and both forms of the latency. Costs are measured from that of the task left on
the device, like the learner's reward; with z / V in the last column neither V nor Delta is needed. A signed log is
sign(x) ln(1 + abs(x)), of costs, slopes and z / V alike: a slope and the z / V that it competes with look the same.
"""

from __future__ import annotations

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.physics.cost import PlaceCosts, middle_share
from meqc_marl.physics.modes import REMOTE, Mode

SIGNED_LIMIT = 100.0
"""No signed log of a finite number leaves [-SIGNED_LIMIT, SIGNED_LIMIT] by far."""
_NARROW = 1e-6
"""A part of an interval that is no wider has no slope."""


def _of_places(*names: str) -> tuple[str, ...]:
    return tuple(f"{place}_{name}" for place in ("cpu", "qpu") for name in names)


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
    """Fill in the columns [..., M, K] of costs and deadlines, as far as they are among these; others stay as they are.

    Args:
        scenario: Its cost section is used.
        places: What each place costs and what may be chosen, [..., M].
        columns: Names of the K columns.
        out: To fill.
    """
    shown = _of_costs(scenario, places)
    for index, name in enumerate(columns):
        if name in shown:
            out[..., index] = shown[name]


def _of_costs(scenario: Scenario, places: PlaceCosts) -> dict[str, np.ndarray]:
    cost, choices = scenario.cost, places.choices_under(scenario.cost)
    local_cost = places.whole_cost(Mode.LOCAL)
    columns = {"local_allowed": choices.allowed[Mode.LOCAL], "local_cost": _signed_log(local_cost)}
    for name, mode in zip(("cpu", "qpu"), REMOTE, strict=True):
        allowed, low, high = choices.allowed[mode], choices.low[mode], choices.high[mode]
        times = places.latency_s[Mode.LOCAL], places.latency_s[mode], places.once_s(mode)
        middle = middle_share(cost.latency, low, high, *times)
        shares = (low, middle, high)
        more = [np.where(allowed, places.cost_of(cost.latency, mode, share) - local_cost, 0.0) for share in shares]
        columns |= {
            f"{name}_allowed": allowed,
            f"{name}_low": low,
            f"{name}_middle": middle,
            f"{name}_high": high,
            f"{name}_position": _ratio(middle - low, high - low),
            f"{name}_cost_low": _signed_log(more[0]),
            f"{name}_cost_middle": _signed_log(more[1]),
            f"{name}_cost_high": _signed_log(more[2]),
            f"{name}_slope_low": _signed_log(_ratio(more[1] - more[0], middle - low)),
            f"{name}_slope_high": _signed_log(_ratio(more[2] - more[1], high - middle)),
        }
    if cost.deadline != "kept":
        columns |= _what_meets_the_deadline(scenario, places)
    return columns


def _what_meets_the_deadline(scenario: Scenario, places: PlaceCosts) -> dict[str, np.ndarray]:
    columns = {"local_meets": places.latency_s[Mode.LOCAL] <= places.deadline_s}
    for name, mode in zip(("cpu", "qpu"), REMOTE, strict=True):
        first, last = places.feasible(scenario.cost, mode)
        meets = (first <= last) & places.admits(mode)
        columns |= {
            f"{name}_meets": meets,
            f"{name}_first": np.where(meets, first, 0.0),
            f"{name}_last": np.where(meets, last, 0.0),
        }
    return columns


def _signed_log(value: np.ndarray) -> np.ndarray:
    return np.asarray(np.copysign(np.log1p(np.abs(value)), value))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part of a whole, 0 of one that is next to nothing."""
    return np.asarray(np.where(whole > _NARROW, part / np.maximum(whole, _NARROW), 0.0))
