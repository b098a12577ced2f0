"""The best schedule of a kind for a scenario, by search on training traces.

A level that all prices share is tried on a grid, 0 among it, then the simplex of Nelder and Mead (Computer Journal 7,
308, 1965) moves each price by itself, in logarithms. What is minimised is the mean cost with penalties over the last
three quarters of the slots, and a thousand for each whole share by which the mean share is further below Delta than
:data:`LEEWAY`. The traces are the same for all, so that the search is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize

from meqc_marl.config import Scenario
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.policies.joint.calibration import part_of
from meqc_marl.policies.toll.schedules import Prices, QueueWeights, Schedule
from meqc_marl.policies.toll.training import TRAINING_SEED, Begin, Decide, training_slots

Kind = Literal["constant", "rising", "weights"]
LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Prices tried before the simplex; weights are a quarter of them."""
LEEWAY = 0.01
_SLOPE = 0.3
"""Of rising prices, at the start."""
_STEP = 0.4
"""Of the first simplex, in logarithms."""
_SHORT = 1e3
"""Added for a whole share that is missing."""
QUICK = (2, 200, 30)
"""Traces, slots and schedules of the search that a policy makes for itself."""
_FOUND: dict[tuple[str, Callable[[Scenario, Schedule], Decide], Kind], Schedule] = {}
"""What policies of this process found for themselves."""


@dataclass(frozen=True)
class Found:
    """The best schedule and how it was found.

    Attributes:
        schedule: To be announced.
        score: Mean cost with penalties on the training traces.
        tried: Every schedule with its score, in their order.
    """

    schedule: Schedule
    score: float
    tried: tuple[tuple[Schedule, float], ...]


def search(
    scenario: Scenario,
    rule: Callable[[Schedule], Decide],
    kind: Kind,
    trace: Trace,
    evaluations: int,
    on_trial: Callable[[], object] | None = None,
) -> Found:
    """Find a schedule.

    Args:
        scenario: The system; if nothing is queued there, the schedule is 0 without a search.
        rule: Makes the rule that decides under a schedule.
        kind: Two constant prices, two prices with a slope each, or two weights of the queues.
        trace: Of training.
        evaluations: Schedules to try, at most; the grid is tried in any case.
        on_trial: Called after each, to show progress.
    """
    queued = [scenario.resources.server == "queued", scenario.resources.qpu == "queued"]
    read = _Reader(kind, queued)
    tried: list[tuple[Schedule, float]] = []

    def score(schedule: Schedule) -> float:
        value = mean_charged(scenario, trace, rule(schedule))
        tried.append((schedule, value))
        if on_trial is not None:
            on_trial()
        return value

    score(read.nothing)
    if any(queued):
        levels = [read.begin(level) for level in LEVELS]
        values = [score(read.schedule(vector)) for vector in levels]
        begin = levels[int(np.argmin(values))]
        simplex = np.stack([begin, *(begin + _STEP * row for row in np.eye(len(begin)))])
        if (more := evaluations - len(tried)) > len(begin):
            options: Any = {"maxfev": more, "initial_simplex": simplex, "xatol": 0.01, "fatol": 1e-4}
            minimize(lambda vector: score(read.schedule(vector)), begin, method="Nelder-Mead", options=options)  # type: ignore[call-overload]
    best, value = min(tried, key=lambda each: each[1])
    return Found(best, value, tuple(tried))


def mean_charged(scenario: Scenario, trace: Trace, decide: Decide) -> float:
    """Mean cost with penalties over the last three quarters of a trace; more where the mean share falls short."""
    slots = list(training_slots(scenario, trace, decide))[trace.num_slots // 4 :]
    charged, share = (float(np.mean([getattr(slot, name) for slot in slots])) for name in ("charged", "fraction"))
    return charged + _SHORT * max(0.0, scenario.lyapunov.delta - LEEWAY - share)


def quick_search(
    scenario: Scenario, rule: Callable[[Scenario, Schedule], Decide], kind: Kind, begin: Begin | None = None
) -> Schedule:
    """A search of some seconds on a few traces, of the first devices of a large system; once in a process.

    Args:
        scenario: The system.
        rule: Makes the rule that decides under a schedule.
        kind: Of the schedule.
        begin: Shows how far it is.
    """
    key = scenario.model_dump_json(), rule, kind
    if key not in _FOUND:
        _FOUND[key] = _quick(scenario, rule, kind, begin)
    return _FOUND[key]


def _quick(whole: Scenario, rule: Callable[[Scenario, Schedule], Decide], kind: Kind, begin: Begin | None) -> Schedule:
    part, _ = part_of(whole)
    if not whole.resources.queued:
        return _Reader(kind, [False, False]).nothing
    rows, slots, evaluations = QUICK
    trace = training_trace(part, rows, min(slots, part.horizon))
    step = None if begin is None else begin("prices", evaluations, "schedules")
    return search(part, lambda schedule: rule(part, schedule), kind, trace, evaluations, step).schedule


def training_trace(scenario: Scenario, rows: int, slots: int) -> Trace:
    """Traces for a search."""
    return generate_trace(scenario, range(TRAINING_SEED, TRAINING_SEED + rows), num_slots=slots)


class _Reader:
    """Schedules of a kind as vectors of logarithms, without what belongs to no queue."""

    def __init__(self, kind: Kind, queued: Sequence[bool]) -> None:
        self._kind = kind
        self._active = np.array([*queued, *queued] if kind == "rising" else queued)

    @property
    def nothing(self) -> Schedule:
        """No toll."""
        return self._made(np.zeros(len(self._active)))

    def begin(self, level: float) -> np.ndarray:
        """The vector of a common level."""
        values = [level / 4.0] * 2 if self._kind == "weights" else [level] * 2
        return np.log(np.array([*values, _SLOPE, _SLOPE][: len(self._active)])[self._active])

    def schedule(self, vector: np.ndarray) -> Schedule:
        """The schedule of a vector."""
        values = np.zeros(len(self._active))
        values[self._active] = np.exp(np.clip(vector, -12.0, 12.0))
        return self._made(values)

    def _made(self, values: np.ndarray) -> Schedule:
        numbers = [float(value) for value in values]
        return QueueWeights(*numbers) if self._kind == "weights" else Prices(*numbers)
