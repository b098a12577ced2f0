"""What a simulator is given, looked at before it is used; the sentences for what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError, shown
from meqc_marl.nature.library import Library
from meqc_marl.nature.trace import Trace, checked_seed
from meqc_marl.physics.modes import Mode
from meqc_marl.physics.queueing import Backlogs


def check_parts(scenario: Scenario, trace: Trace | Library | None) -> None:
    """Refuse what is no scenario and no trace or library, such as their names, and one for other devices."""
    if not isinstance(scenario, Scenario):
        raise InputError(f"scenario is {shown(scenario)}; it must be a Scenario, as load_scenario gives it.")
    if trace is None:
        return
    if not isinstance(trace, (Trace, Library)):
        raise InputError(f"trace is {shown(trace)}; it must be a Trace, as load_trace gives it, or a Library.")
    if trace.num_devices != scenario.num_devices:
        raise InputError(
            f"the trace has {trace.num_devices} devices; it must have {scenario.num_devices} as the scenario."
        )


def checked_rows(num_envs: Any, trace: Trace | Library | None) -> int:
    """Rows of a simulator, which a trace sets."""
    if isinstance(num_envs, (bool, np.bool_)) or not isinstance(num_envs, (int, np.integer)):
        raise InputError(f"num_envs is {shown(num_envs)}; it must be an integer of at least 1.")
    if isinstance(trace, Trace):
        if num_envs not in (1, trace.num_envs):
            raise InputError(f"num_envs is {num_envs}; it must be {trace.num_envs}, the rows of the trace.")
        return trace.num_envs
    if num_envs < 1:
        raise InputError(f"num_envs is {num_envs}; it must be at least 1.")
    return int(num_envs)


def row_seeds(seed: Any, rows: int) -> list[int]:
    """A seed for each row, of one for all, one for each, or none."""
    if seed is None:
        return [int(word) for word in np.random.SeedSequence().generate_state(rows, np.uint64)]
    if isinstance(seed, (str, bytes, Mapping)) or not getattr(seed, "shape", True) or not hasattr(seed, "__len__"):
        first = checked_seed(seed)
        return [first + row for row in range(rows)]
    if len(seed) != rows:
        raise InputError(f"seed has {len(seed)} values; it must be one integer or one for each of the {rows} rows.")
    return [checked_seed(one) for one in seed]


def as_array(name: str, values: Any) -> np.ndarray:
    """An array of numbers, of what may be anything."""
    try:
        return np.asarray(values)
    except Exception:  # rows of unequal length, a tensor with a gradient, a stranger's array: each has its own error
        raise InputError(f"{name} is {shown(values)}; it must be an array of numbers, rows by devices.") from None


def check_actions(mode: np.ndarray, fraction: np.ndarray, shape: tuple[int, int]) -> None:
    """Refuse actions of another shape than rows by devices, and values that are none."""
    for name, array in (("mode", mode), ("fraction", fraction)):
        if array.shape != shape:
            raise InputError(f"{name} has shape {array.shape}; it must be {shape}, rows by devices.")
    if mode.dtype.kind not in "iu":
        raise InputError(f"mode has type {mode.dtype}; it must be an integer type.")
    if mode.min() < Mode.LOCAL or mode.max() > Mode.QPU:
        raise InputError(f"mode has values from {mode.min()} to {mode.max()}; it must be 0, 1 or 2.")
    if fraction.dtype.kind not in "iuf":
        raise InputError(f"fraction has type {fraction.dtype}; it must be a type of numbers.")
    if not (fraction.min() >= 0.0 and fraction.max() <= 1.0):  # false for NaN as well
        raise InputError(f"fraction has values from {fraction.min()} to {fraction.max()}; it must be within [0, 1].")


def checked_backlogs(values: Any, rows: int) -> Backlogs:
    """Backlogs W and U of each row, as a state holds them: two lists of so many numbers of at least 0."""
    try:
        both = np.array(values, np.float64)
    except (TypeError, ValueError):
        both = np.empty(0)
    if both.shape != (2, rows) or not np.isfinite(both).all() or both.min() < 0.0:
        raise InputError(
            f"backlogs of the state is {shown(values)}; it must be two lists of {rows} number(s) of at least 0, the "
            "cycles at the server and the seconds at the QPU."
        )
    return Backlogs(*both)
