"""What if a number of the system were another: policies at every value of one field or of two, on the same traces.

Nothing is trained. Every point has the traces of the same seeds, and what is drawn, in which order, does not depend on
the scenario: a field that is no part of nature leaves the traces as they are, and one that is, such as the leased
qubits, changes nothing else. So differences, between policies as between values, are free of the scatter of traces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args, get_origin

import numpy as np
from pydantic import BaseModel

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.idle import refuse_idle_everywhere
from meqc_marl.config.yaml_text import parse_yaml
from meqc_marl.errors import InputError
from meqc_marl.evaluation.comparison import prepare
from meqc_marl.evaluation.metrics import measure
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.evaluation.statistics import Estimate, mean, paired_difference
from meqc_marl.nature.library import fixed_by_traces
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.policies import Policy
from meqc_marl.policies.base import Progress

MakePolicies = Callable[[Scenario], Sequence[Policy]]
"""The policies for a scenario, in the order of reports; their names do not depend on it."""


@dataclass(frozen=True)
class Axis:
    """A field of the scenario and the values that it takes.

    Attributes:
        field: Dotted name.
        values: As they are given to the field.
    """

    field: str
    values: tuple[Any, ...]

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """The values as numbers, a range of no width by its one end; None if one is anything else."""
        found = []
        for value in self.values:
            ends = set(value) if isinstance(value, list) else {value}
            number = ends.pop()
            if ends or isinstance(number, bool | str) or not isinstance(number, int | float):
                return None
            found.append(float(number))
        return tuple(found)


@dataclass(frozen=True)
class Point:
    """Policies at one value of each axis.

    Attributes:
        values: Of the axes.
        metrics: By policy and metric, arrays [E].
    """

    values: tuple[Any, ...]
    metrics: dict[str, dict[str, np.ndarray]]

    def estimate(self, policy: str, metric: str) -> Estimate:
        """Mean over the traces with a 95 % interval."""
        return mean(self.metrics[policy][metric])

    def difference(self, policy: str, other: str, metric: str) -> Estimate:
        """``policy`` minus ``other``, paired by trace, with a 95 % interval."""
        return paired_difference(self.metrics[policy][metric], self.metrics[other][metric])


@dataclass(frozen=True)
class Variation:
    """Policies at every point of one axis or two.

    Attributes:
        scenario: What all points have in common.
        axes: One or two.
        points: In the order of the values, the last axis fastest.
        num_slots: T.
        seeds: Of the traces, the same at every point; of given ones their numbers.
        given: Whether the traces were given and not drawn.
    """

    scenario: Scenario
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    num_slots: int
    seeds: tuple[int, ...]
    given: bool = False

    @property
    def policies(self) -> tuple[str, ...]:
        """Names; the others are measured against the first."""
        return tuple(self.points[0].metrics)


def read_axis(text: str, scenario: Scenario) -> Axis:
    """Read ``field=a,b,c``; for a field that is a range one number stands for both ends, for choices for one choice.

    Raises:
        InputError: If it is not of this form.
    """
    name, equals, listed = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise InputError(f"axis '{text}' is not of the form field=a,b,c, as in devices.leased_qubits=500,1000,5000.")
    values = parse_yaml(f"[{listed}]", f"axis '{text}'")
    if not values or None in values:
        raise InputError(f"axis '{text}' has no value, or an empty one; it must be of the form field=a,b,c.")
    values = [_widened(value, name, scenario) for value in values]
    for position, value in enumerate(values):
        if value in values[:position]:
            raise InputError(f"axis {name} holds {value} twice; each value may be given once.")
    return Axis(name, tuple(values))


def _widened(value: Any, field: str, scenario: Scenario) -> Any:
    """One number for a range or for choices as the list that the field takes."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    part: BaseModel | None = scenario
    *above, name = field.split(".")
    for key in above:
        part = getattr(part, key, None)
    if not isinstance(part, BaseModel) or name not in type(part).model_fields:
        return value
    annotation = type(part).model_fields[name].annotation
    if get_origin(annotation) is not tuple:
        return value
    return [value] if Ellipsis in get_args(annotation) else [value, value]


def vary(
    scenario: Scenario,
    axes: Sequence[Axis],
    make_policies: MakePolicies,
    seeds: Sequence[int] | Trace,
    num_slots: int | None = None,
    policy_seed: int = 0,
    progress: Progress | None = None,
) -> Variation:
    """Roll the policies over the same traces at every point.

    Args:
        scenario: What is varied.
        axes: One or two.
        make_policies: Makes the policies of a point; the others are measured against the first.
        seeds: Of the traces; or the traces, of which all slots are taken.
        num_slots: T; the scenario's horizon if None.
        policy_seed: Of the policies' own randomness.
        progress: To show how far it is.

    Raises:
        InputError: If there is not one axis or two, over different fields, or a value is not allowed.
    """
    if not 1 <= len(axes) <= 2 or len({axis.field for axis in axes}) < len(axes):
        fields = ", ".join(axis.field for axis in axes)
        raise InputError(f"the axes are {fields or 'none'}; there must be one, or two over different fields.")
    scenarios = list(_scenarios(scenario, axes))  # bad values are told before any work is done
    for axis in axes:
        refuse_idle_everywhere("axis", axis.field, (here for _, here in scenarios))
    made = [tuple(make_policies(here)) for _, here in scenarios]
    names = [policy.name for policy in made[0]]
    if not names:
        raise InputError("policies: none is given; give at least one, such as oracle.")
    given = seeds if isinstance(seeds, Trace) else None
    if given is not None and (fixed := [axis.field for axis in axes if fixed_by_traces(axis.field)]):
        raise InputError(f"axis {fixed[0]} has no effect where traces are given; vary another field.")
    slots = [here.horizon if num_slots is None else num_slots for _, here in scenarios]
    slots = slots if given is None else [given.num_slots] * len(slots)
    for policies in made:
        prepare(policies, progress)
    step = progress("points", sum(slots) * len(names), "slots") if progress else None
    points = []
    for (values, here), policies, length in zip(scenarios, made, slots, strict=True):
        trace = generate_trace(here, seeds, num_slots=length) if not isinstance(seeds, Trace) else seeds
        records = ((policy.name, rollout(policy, here, trace, policy_seed, step)) for policy in policies)
        points.append(Point(values, {name: measure(record, here) for name, record in records}))
    rows = tuple(range(seeds.num_envs)) if isinstance(seeds, Trace) else tuple(seeds)
    return Variation(scenario, tuple(axes), tuple(points), max(slots), rows, given is not None)


def _scenarios(scenario: Scenario, axes: Sequence[Axis]) -> Iterator[tuple[tuple[Any, ...], Scenario]]:
    for values in product(*(axis.values for axis in axes)):
        pairs = zip(axes, values, strict=True)
        yield values, load_scenario(scenario, [f"{axis.field}={json.dumps(value)}" for axis, value in pairs])
