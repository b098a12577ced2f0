"""Which columns of the observation tell the learner what is allowed, what an action depends on, and what is known."""

from __future__ import annotations

from typing import Any

from meqc_marl.config import Scenario
from meqc_marl.env.view import observation_columns
from meqc_marl.physics.modes import Mode

REMOTE = ("cpu", "qpu")
"""The parameters of an action are the shares that are sent to these places."""


def allowed_by(scenario: Scenario) -> dict[str, Any]:
    """Columns of the observation that say which modes and shares are allowed."""
    columns = observation_columns(scenario)
    at = {name: index for index, name in enumerate(columns)}
    if "local_allowed" not in at:
        return {"mask_columns": ((int(Mode.QPU), at["qpu_admitted"]),)}
    modes = dict(zip(("local", "cpu", "qpu"), Mode, strict=True))
    allowed: dict[str, Any] = {
        "mask_columns": tuple((int(mode), at[f"{name}_allowed"]) for name, mode in modes.items()),
    }
    # Where devices share, what a device may choose alone is no bound of what it is granted.
    if scenario.cost.deadline == "kept" and not scenario.resources.pooled:
        places = tuple(enumerate(REMOTE))
        allowed["bound_columns"] = tuple((i, at[f"{place}_low"], at[f"{place}_high"]) for i, place in places)
        allowed["middle_columns"] = tuple((i, at[f"{place}_middle"]) for i, place in places)
    return allowed


def mode_columns(scenario: Scenario, gamma: float, critic: str, context: str) -> tuple[tuple[int, int], ...]:
    """Columns of the observation that say what an action of each mode is worth, where that is its own place and the
    queue alone: what another place costs is no matter then, be it far beyond anything in training.

    None where an action concerns others or later slots, or where the reward holds what no such column tells: that of
    others, or the miss of the device's own CPU.
    """
    columns, rewarded = observation_columns(scenario), scenario.lyapunov.reward
    own = rewarded == "own" or (rewarded == "difference" and scenario.cost.deadline == "kept")
    if scenario.resources.pooled or "local_allowed" not in columns or not own:
        return ()
    if gamma != 0 or critic != "multi-pass" or context != "none":
        return ()
    places = {Mode.LOCAL: "local_", Mode.CPU: "cpu_", Mode.QPU: "qpu_"}
    return tuple(
        (int(mode), column)
        for mode, place in places.items()
        for column, name in enumerate(columns)
        if name.startswith((place, "backlog"))
    )


def price_columns(scenario: Scenario, reward_scale: float) -> tuple[tuple[int, int, float], ...]:
    """z / V is what either share adds to the reward, where the share that is carried out is the one asked for and the
    queue grows by Delta less it: what is to be learned are costs alone, whatever the queue.

    None elsewhere, nor where modes are not told apart (:func:`mode_columns`): there a reward may be that of all. A
    learner confined to modes of which a slot allows none (``allowed_modes``) has another carried out, and learns what
    that earned.
    """
    if scenario.cost.deadline != "kept" or scenario.lyapunov.queue != "neely":
        return ()
    backlog = observation_columns(scenario).index("backlog")
    return tuple((parameter, backlog, reward_scale) for parameter in range(len(REMOTE)))


def unit_columns(scenario: Scenario) -> tuple[tuple[int, int, bool], ...]:
    """What an action of each mode costs, at the ends of its interval and between, and the slopes there. Twice the costs
    and twice z / V are twice the reward: in units of its own costs every slot looks like those of training. Where
    prices are known (:func:`price_columns`) nothing stands in the reward that does not grow so, such as the penalty of
    a miss.
    """
    columns = observation_columns(scenario)
    shown = [(f"cost_{share}", True) for share in ("low", "middle", "high")]
    shown += [(f"slope_{part}", False) for part in ("low", "high")]
    of_places = [
        (int(mode), columns.index(f"{place}_{name}"), largest)
        for mode, place in ((Mode.CPU, "cpu"), (Mode.QPU, "qpu"))
        for name, largest in shown
    ]
    return ((int(Mode.LOCAL), columns.index("local_cost"), True), *of_places)
