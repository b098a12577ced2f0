"""Scenarios at the ends of the bounds of their fields, and all that must hold of each of them."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import BaseModel
from rich.console import Console

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.quantity import bounds_of
from meqc_marl.env.parallel import observation_space
from meqc_marl.env.view import observation_columns
from meqc_marl.evaluation.comparison import compare
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import POLICIES, make_policy
from meqc_marl.registry import KINDS
from meqc_marl.report.tables import comparison_json, comparison_notes, comparison_tables

SIZES = ("num_devices", "horizon")
"""Fields whose bounds are about memory and time; they have tests of their own."""


def numbers(part: type[BaseModel] = Scenario, prefix: str = "") -> Iterator[tuple[str, float, float, Any]]:
    """Dotted name, least and largest value, and default of every number of a scenario."""
    for name, field in part.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from numbers(field.annotation, f"{prefix}{name}.")
        elif (bounds := bounds_of(field)) is not None:
            yield f"{prefix}{name}", bounds.low, bounds.high, field.default


def whole_numbers(part: type[BaseModel] = Scenario, prefix: str = "") -> Iterator[str]:
    """Dotted names of the fields that hold whole numbers."""
    for name, field in part.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from whole_numbers(field.annotation, f"{prefix}{name}.")
        elif bounds_of(field) is not None and "float" not in str(field.annotation):
            yield f"{prefix}{name}"


def words(part: type[BaseModel] = Scenario, prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Dotted name and allowed words of every field with a choice."""
    for name, field in part.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from words(field.annotation, f"{prefix}{name}.")
        elif hasattr(field.annotation, "__args__") and all(isinstance(word, str) for word in field.annotation.__args__):
            yield f"{prefix}{name}", field.annotation.__args__
        elif (field.json_schema_extra or {}).get("part"):
            yield f"{prefix}{name}", KINDS[field.json_schema_extra["part"]].built_in


def at(name: str, value: float, default: Any) -> str:
    """The override that sets a field, or both ends of a range, to one value."""
    number = (
        int(value)
        if isinstance(default, int) or (isinstance(default, tuple) and isinstance(default[0], int))
        else value
    )
    return f"{name}={json.dumps([number] * 2 if isinstance(default, tuple) else number)}"


def ends(name: str, low: float, high: float, default: Any) -> list[str]:
    """Overrides for each end of a field, and for all between them if it is a range; power in either unit."""
    if name == "devices.tx_power":
        return ["devices.tx_power=[1e-6, 1e-6]", "devices.tx_power=[100, 100]", "devices.tx_power=[1e-6, 100]"]
    both = [f"{name}={json.dumps([low, high])}"] if isinstance(default, tuple) else []
    return [at(name, low, default), at(name, high, default), *both]


def assert_sound(overrides: list[str], policies: tuple[str, ...] = tuple(POLICIES), num_slots: int = 6) -> None:
    """Simulator, observations and comparison of a scenario: finite, in their space, and the oracle is never beaten."""
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error")
        scenario = load_scenario("paper", ["num_devices=3", *overrides])
        trace = generate_trace(scenario, [0, 1], num_slots=num_slots)
        space = observation_space(scenario)
        oracle = make_policy("oracle", scenario)
        corrected = load_scenario("paper").model_dump()
        positive = all(
            getattr(getattr(scenario, part), form) == corrected[part][form]
            for part, form in (("channel", "ack"), ("quantum", "circuit"))
        )
        for name in policies:
            seen: list[np.ndarray] = []
            policy = make_policy(name, scenario)
            act = policy.act

            def watched(situation: Any, act: Any = act, seen: list[np.ndarray] = seen) -> Any:
                seen.append(situation.observation.copy())
                for values in (situation.places.latency_s, situation.places.energy_j):
                    assert np.isfinite(values).all()
                return act(situation)

            policy.act = watched  # type: ignore[method-assign]
            record = rollout(policy, scenario, trace, reference=oracle)
            observations = np.stack(seen)
            assert observations.shape[-1] == len(observation_columns(scenario))
            assert ((observations >= space.low) & (observations <= space.high)).all(), (name, overrides)
            for field, values in vars(record).items():
                assert values is None or np.isfinite(values).all(), (name, field, overrides)
            assert not positive or (record.cost >= 0).all()
            assert record.regret is not None
            scale = np.abs(record.reward) + scenario.lyapunov.v * np.abs(record.cost) + record.backlog[:-1]
            if scenario.resources.pooled:
                scale = scale.max(-1, keepdims=True)
            beaten = record.regret < -1e-6 * scale
            assert not beaten.any(), (name, record.regret[beaten], overrides)
        result = compare([make_policy(name, scenario) for name in policies], scenario, trace)
        for name, metrics in result.metrics.items():
            for metric, values in metrics.items():
                assert np.isfinite(values).all(), (name, metric, overrides)
        assert math.isfinite(result.qpu_admitted)
        json.dumps(comparison_json(result), allow_nan=False)
        console = Console(quiet=True, width=80)
        for table in comparison_tables(result):
            console.print(table)
        text = " ".join(comparison_notes(result))
        assert "nan" not in text.split()
        assert "inf" not in text.split()
