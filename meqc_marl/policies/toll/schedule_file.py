"""Schedules in a file: written by whoever searched them, read by whoever uses them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError, did_you_mean, shown
from meqc_marl.files import read_text
from meqc_marl.policies.priced import priced_joint, priced_selfish, queue_drift
from meqc_marl.policies.toll.schedules import Prices, QueueWeights, Schedule

ANNOUNCED = {"priced-joint": priced_joint, "priced-selfish": priced_selfish, "queue-drift": queue_drift}
"""Policies that take a schedule from a file."""
_MOST_BYTES = 1_000_000
_KINDS: dict[str, type[Prices] | type[QueueWeights]] = {
    name: QueueWeights if name == "queue-drift" else Prices for name in ANNOUNCED
}


def schedules_json(scenario: Scenario, schedules: Mapping[str, Schedule]) -> dict[str, Any]:
    """What the file holds: the scenario that they were found for, and the numbers of each policy."""
    return {
        "scenario": scenario.model_dump(mode="json"),
        "prices": {name: dict(vars(schedule)) for name, schedule in schedules.items()},
    }


def read_schedules(path: Path) -> tuple[dict[str, Schedule], Scenario]:
    """The schedule of each policy in a file, and the scenario that they were found for.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    text = read_text(path, f"prices '{path}'", _MOST_BYTES)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"prices '{path}' is no JSON ({error}).") from None
    prices = content.get("prices") if isinstance(content, dict) else None
    if not isinstance(prices, dict) or not prices:
        raise InputError(f"prices '{path}' must hold prices by policy, as `meqc-marl prices --out` writes them.")
    try:
        scenario = Scenario.model_validate(content.get("scenario"))
    except ValueError:
        raise InputError(f"prices '{path}' must hold the scenario that the prices were found for.") from None
    return {name: _read(path, name, numbers) for name, numbers in prices.items()}, scenario


def _read(path: Path, name: str, numbers: Any) -> Schedule:
    if name not in _KINDS:
        raise InputError(f"prices '{path}' holds policy {shown(name)}, which takes none{did_you_mean(name, _KINDS)}")
    kind = _KINDS[name]
    fields = list(kind.__dataclass_fields__)
    numeric = isinstance(numbers, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in numbers.values()
    )
    if not numeric or not {"cpu", "qpu"} <= set(numbers) <= set(fields):
        raise InputError(
            f"prices '{path}' holds {shown(numbers)} for {name}; it must be numbers by name, of {', '.join(fields)}."
        )
    return kind(**{field: float(value) for field, value in numbers.items()})
