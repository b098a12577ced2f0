"""Actions of named agents as arrays: what is no number is refused, numbers of other libraries are taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from meqc_marl.errors import InputError, shown
from meqc_marl.physics.choices import Choices
from meqc_marl.physics.cost import Mode

Actions = Mapping[str, Mapping[str, Any]]

_PLAIN = frozenset({int, float, np.ndarray, *(np.dtype(code).type for code in "bhilqBHILQefd")})
"""Types that numpy reads as what they are; anything else is looked at one by one."""


ROUNDING = 1e-6
"""A fraction beyond 0 or 1 by less is taken as 0 or 1: frameworks rescale actions in single precision."""


def action_mask(info: Mapping[str, Any]) -> dict[str, Any]:
    """Of an agent's info, the mask as the space takes it: ``action_space.sample(action_mask(info))``.

    It does not stand in the infos itself: frameworks that make arrays of them take no dict there.
    """
    return {"mode": info["mode_mask"], "fraction": None}


def offered(choices: Choices, placed: bool) -> list[dict[str, Any]]:
    """What the infos of one row's devices tell of the coming slot: ``mode_mask``, ``fraction_low``, ``fraction_high``.

    Args:
        choices: What each device may choose [3, 1, M].
        placed: Whether a fraction is a place within what is granted, from 0 to 1 for whoever sends anything.
    """
    low, high = choices.low, choices.high
    if placed:
        low, high = np.zeros_like(low), (high > 0.0).astype(np.float64)
    parts = (choices.allowed.astype(np.int8), low, high)
    by_device = zip(*(np.ascontiguousarray(part[:, 0].T) for part in parts), strict=True)
    return [dict(zip(("mode_mask", "fraction_low", "fraction_high"), each, strict=True)) for each in by_device]


def read_actions(agents: Sequence[str], actions: Actions) -> tuple[np.ndarray, np.ndarray]:
    """Mode (integers [1, M]) and fraction (float64 [1, M]) of all agents.

    Raises:
        InputError: No episode runs, an agent or a part of an action is missing, there is one too many, or a value is
            not allowed.
    """
    read = _read_plain(agents, actions)
    return _read_each(agents, actions) if read is None else read


def _read_plain(agents: Sequence[str], actions: Actions) -> tuple[np.ndarray, np.ndarray] | None:
    """The usual actions, all at once; None if anything is unusual or wrong."""
    try:
        chosen = [actions[agent] for agent in agents]
        modes, fractions = [action["mode"] for action in chosen], [action["fraction"] for action in chosen]
        kinds = {*map(type, modes), *map(type, fractions)}
        if np.ndarray in kinds:
            kinds |= {value.dtype.type for value in modes + fractions if type(value) is np.ndarray}
        if not kinds <= _PLAIN:
            return None
        mode = np.array(modes)
        fraction = np.array(fractions, np.float64).reshape(len(agents))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return None
    sound = (
        len(actions) == mode.size > 0
        and mode.ndim == 1
        and mode.dtype.kind in "iu"
        and mode.min() >= Mode.LOCAL
        and mode.max() <= Mode.QPU
        and fraction.min() >= -ROUNDING
        and fraction.max() <= 1.0 + ROUNDING
    )
    return (mode.reshape(1, -1), fraction.clip(0.0, 1.0).reshape(1, -1)) if sound else None


def _read_each(agents: Sequence[str], actions: Actions) -> tuple[np.ndarray, np.ndarray]:
    """Agent by agent, which is slow; raises the sentence for the first mistake."""
    if not agents:
        raise InputError("there is no running episode; call reset() first.")
    if not isinstance(actions, Mapping):
        raise InputError(f"actions is a {type(actions).__name__}; it must be a dict with an action for each agent.")
    mode, fraction = np.empty((1, len(agents)), np.int64), np.empty((1, len(agents)))
    for column, agent in enumerate(agents):
        if agent not in actions:
            raise InputError(f"actions lacks {agent}; it must hold an action for each of the {len(agents)} agents.")
        action = actions[agent]
        if not isinstance(action, Mapping):
            raise InputError(f"action of {agent} is {shown(action)}; it must be a dict with mode and fraction.")
        for key in ("mode", "fraction"):
            if key not in action:
                raise InputError(f"action of {agent} lacks {key}; it must hold mode and fraction.")
        asked = None if tuple(getattr(action["mode"], "shape", ())) else _number(action["mode"])
        if not isinstance(asked, int) or not Mode.LOCAL <= asked <= Mode.QPU:
            raise InputError(f"mode of {agent} is {shown(action['mode'])}; it must be 0 (local), 1 (CPU) or 2 (QPU).")
        share = _number(_only(action["fraction"]))
        if share is None or not -ROUNDING <= share <= 1.0 + ROUNDING:
            raise InputError(
                f"fraction of {agent} is {shown(action['fraction'])}; it must be one number within [0, 1]."
            )
        mode[0, column], fraction[0, column] = asked, min(max(share, 0.0), 1.0)
    for agent in actions:
        if agent not in agents:
            raise InputError(f"actions holds {shown(agent)}; it must be an agent, from {agents[0]} to {agents[-1]}.")
    return mode, fraction


def _only(value: Any) -> Any:
    """The element of a list of one, as the fraction's Box has it."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _number(value: Any) -> int | float | None:
    """A real number, also a scalar or an array of one number of another library; None for anything else."""
    if not isinstance(value, (int, float)) and hasattr(value, "item"):
        try:
            value = value.item()  # numpy, torch, jax and cupy alike; more than one number is an error
        except Exception:  # whatever a stranger's array raises: it is no number
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value
