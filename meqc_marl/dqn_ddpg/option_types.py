"""Types of the learner's parameters: numbers within bounds, and schedules of them. No Ray and no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema


def _scheduled(low: float, high: float) -> Callable[[Any], Any]:
    """A validator of numbers and schedules ``[[env_steps, number], ...]`` with numbers between two ends."""

    def check(value: Any) -> Any:
        points = value if isinstance(value, list | tuple) else [[0, value]]
        pairs = all(isinstance(p, list | tuple) and len(p) == 2 and all(map(_is_number, p)) for p in points)
        rising = bool(points) and pairs and points[0][0] == 0 and all(a[0] < b[0] for a, b in pairwise(points))
        if not rising or not all(low <= level <= high for _, level in points):
            raise ValueError("not allowed")
        return value

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _FARTHEST


def _schedule_type(high: float) -> tuple[AfterValidator, WithJsonSchema]:
    return AfterValidator(_scheduled(0.0, high)), WithJsonSchema({"type": "schedule", "minimum": 0, "maximum": high})


_FARTHEST = 1e18  # steps of a schedule: neither NaN nor infinite
MOST = 1_000_000_000  # larger numbers overflow float32 in a loss, or count what no run lives to see
MOST_WEIGHTS = 100_000_000  # of a head's hidden layers: 2 GB with target network, gradients and Adam's moments
Number = Annotated[float, Field(strict=True, ge=0, le=MOST)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Discount = Annotated[float, Field(strict=True, ge=0, lt=1)]
Positive = Annotated[float, Field(strict=True, gt=0, le=MOST)]
Count = Annotated[int, Field(strict=True, ge=1, le=MOST)]
Index = Annotated[int, Field(strict=True, ge=0)]
Steps = Annotated[int, Field(strict=True, ge=0, le=MOST)]
Switch = Annotated[bool, Field(strict=True)]
_rate, _rate_schema = _schedule_type(1e9)
_share, _share_schema = _schedule_type(1.0)
Schedule = Annotated[Any, _rate, _rate_schema]
ShareSchedule = Annotated[Any, _share, _share_schema]
