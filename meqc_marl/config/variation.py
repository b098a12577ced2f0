"""Fields of a scenario that are drawn anew at every reset, for one training that covers many settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from meqc_marl.config.idle import idle_fields, refuse_idle_everywhere
from meqc_marl.config.io import load_scenario
from meqc_marl.config.scenario import Scenario
from meqc_marl.config.yaml_text import parse_yaml
from meqc_marl.errors import InputError, shown

_STREAM = 0x76617279
"""Keeps these draws apart from nature's, which come from the same seeds."""
_FIXED = {
    "name": "it is a label",
    "num_devices": "all rows have as many",
    "horizon": "all rows start and end together",
    "observation": "all rows show the same columns",
    "resources.broadcast": "all rows show the same columns",
    "cost.deadline": "it decides which columns there are",
    "lyapunov.queue": "all rows have the same form",
    "lyapunov.sign": "all rows have the same form",
    "lyapunov.reward": "all rows are paid alike",
    "lyapunov.discount": "what waiting costs later is learned from all rows together",
}
_WITH_COLUMNS = ("resources.server", "resources.qpu")
"""What is queued is shown in columns of its own."""
_DECADE = 10.0


@dataclass(frozen=True)
class Variation:
    """What one field is drawn from.

    Attributes:
        field: Dotted name.
        choices: Values with equal odds; empty for a range.
        low, high: Ends of a range.
        logarithmic: The logarithm is uniform: both ends are above 0 and a factor of ten or more apart.
        whole: The field takes whole numbers only.
    """

    field: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    logarithmic: bool = False
    whole: bool = False

    def draw(self, rng: np.random.Generator) -> Any:
        """One value."""
        if self.choices:
            return self.choices[int(rng.integers(len(self.choices)))]
        if self.logarithmic:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = float(rng.uniform(self.low, self.high))
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value


def parse_variations(scenario: Scenario, texts: Sequence[str]) -> tuple[Variation, ...]:
    """Read ``field=low,high`` (a range) and ``field=[a, b, c]`` (choices), and try the ends or all choices.

    Raises:
        InputError: If a text is of another form, names a field twice or one that cannot vary, or has a value that is
            not allowed.
    """
    variations: list[Variation] = []
    for text in texts:
        variation = _parse(scenario, text)
        if variation.field in _FIXED:
            raise InputError(f"vary '{variation.field}' is not possible: {_FIXED[variation.field]}.")
        if variation.field in {other.field for other in variations}:
            raise InputError(f"vary '{variation.field}' stands twice.")
        if variation.field in _WITH_COLUMNS and any(
            _queues(value) != _queues(_now(scenario, variation.field)) for value in variation.choices
        ):
            raise InputError(
                f"vary '{variation.field}' is not possible to or from queued: it decides which columns there are."
            )
        at_ends(scenario, variation)
        variations.append(variation)
    for variation in variations:
        if variation.field in idle_fields(scenario):
            refuse_idle_everywhere("vary", variation.field, drawn_together(scenario, variations))
    return tuple(variations)


def drawn_together(scenario: Scenario, variations: Sequence[Variation]) -> Iterator[Scenario]:
    """The scenario with every combination of choices; ranges stay at what the scenario has.

    Raises:
        InputError: If a combination is not allowed.
    """
    with_choices = [each for each in variations if each.choices]
    fields = [each.field for each in with_choices]
    for values in product(*(each.choices for each in with_choices)):
        yield _with(scenario, dict(zip(fields, values, strict=True)))


def at_ends(scenario: Scenario, variation: Variation) -> list[Scenario]:
    """The scenario with each choice, or with either end of a range.

    Raises:
        InputError: If a value is not allowed.
    """
    values = variation.choices or (variation.low, variation.high)
    return [_with(scenario, {variation.field: round(value) if variation.whole else value}) for value in values]


def varied(scenario: Scenario, variations: Sequence[Variation], seed: int, episode: int) -> Scenario:
    """The scenario of one row's episode; the same for the same seed and episode."""
    if not variations:
        return scenario
    rng = np.random.default_rng(np.random.SeedSequence([seed, episode, _STREAM]))
    return _with(scenario, {variation.field: variation.draw(rng) for variation in variations})


def _with(scenario: Scenario, values: dict[str, Any]) -> Scenario:
    def plain(value: Any) -> str:
        return "[" + ", ".join(map(plain, value)) + "]" if isinstance(value, list | tuple) else str(value)

    return load_scenario(scenario, [f"{field}={plain(value)}" for field, value in values.items()])


def _parse(scenario: Scenario, text: str) -> Variation:
    field, equals, given = text.partition("=")
    field, given = field.strip(), given.strip()
    listed = given.startswith("[")
    values = parse_yaml(given if listed else f"[{given}]", f"the value of vary {shown(text)}")
    if not equals or not field or not isinstance(values, list) or not values:
        raise InputError(f"vary {shown(text)} is not of the form field=low,high or field=[a, b, c].")
    if listed:
        return Variation(field, choices=tuple(values))
    _with(scenario, {field: values[0]})  # tells fields that there are not
    now = _now(scenario, field)
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(values) != 2 or len(numbers) != 2 or not values[0] < values[1]:
        raise InputError(f"vary {shown(text)}: a range is two numbers, the lower first; choices stand in [a, b, c].")
    if not isinstance(now, int | float | None) or isinstance(now, bool):
        raise InputError(f"vary {shown(text)}: '{field}' is not a single number; give choices, [a, b, c].")
    low, high = (float(value) for value in values)
    return Variation(field, (), low, high, low > 0.0 and high >= _DECADE * low, isinstance(now, int))


def _now(scenario: Scenario, field: str) -> Any:
    """What a field is, by its dotted name."""
    now: Any = scenario.model_dump()
    for part in field.split("."):
        now = now[part]
    return now


def _queues(value: Any) -> bool:
    return bool(value == "queued")
