"""Which columns a device sees: the sufficient view of a slot, alone or in company, or the paper's."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from meqc_marl.config import changes
from meqc_marl.config.scenario import Scenario
from meqc_marl.env.broadcast import USE_COLUMNS, with_told
from meqc_marl.env.observation import LIMIT, OBSERVATION_COLUMNS
from meqc_marl.env.shared import SHARED_COLUMNS
from meqc_marl.env.sufficient import PENALTY_COLUMNS, SIGNED_LIMIT, SUFFICIENT_COLUMNS
from meqc_marl.env.waiting import OF_QUEUES, WAIT_COLUMNS
from meqc_marl.errors import InputError

BACKLOG_LIMIT = 100.0
"""Upper bound of the backlog column, log1p(z / V): no run reaches it."""
_IN_COMPANY = tuple(
    (*view[:-1], *use, *queues, view[-1])
    for view, of_queues in (
        (SHARED_COLUMNS, OF_QUEUES),
        (OBSERVATION_COLUMNS, WAIT_COLUMNS),
    )
    for queues in ((), of_queues)
    for use in ((), USE_COLUMNS)
)
VIEWS: tuple[tuple[str, ...], ...] = (SUFFICIENT_COLUMNS, PENALTY_COLUMNS, *_IN_COMPANY)
"""All sets of columns: sufficient, the same where a miss costs a penalty, the same in company, and the paper's; the
last two also with the last slot's use of the pools, with queues, and with both."""

_NEVER_MATTERS = (
    *("name", "num_devices", "horizon", "observation", "resources.broadcast"),
    *("lyapunov.v", "lyapunov.reward", "lyapunov.discount"),
)
_POOLS = ("resources.band_hz", "resources.server_hz", "resources.qpu_tiles")
_LOAD = ("slot_s", "num_devices", "tasks.", "devices.", "lyapunov.delta", "lyapunov.discount", *_POOLS)
"""What a wait costs later depends on these; whoever was trained at one load only knows what it costs there."""
# Behind the columns themselves: d, q, t_max, o, S, R, f, f0, oC, p, lambda_t, and admission.
_SEEN_IN_COLUMNS = (
    *("devices", "mobility", "tasks", "channel.carrier_hz", "channel.path_loss_exponent", "channel.min_distance_m"),
    *("channel.shadowing_db", "channel.rician_k", "channel.noise_dbm_hz", "channel.noise_figure_db"),
    *("channel.bandwidth_hz", "quantum.error_threshold", "quantum.error_rate", "quantum.concatenation"),
    *("quantum.min_success", "quantum.qubits_counted", "quantum.success"),
)
_SEEN = {
    # Behind the costs of the places, whatever they come from.
    "sufficient": (
        *("devices", "mobility", "channel", "tasks", "local", "server", "quantum"),
        *("cost.latency_ref_s", "cost.energy_ref_j", "cost.min_fraction"),
        *("resources.core_hz", *_POOLS),
    ),
    "paper": _SEEN_IN_COLUMNS,
}
_UNSEEN_IN_COLUMNS = ("devices.lambda_e", "tasks.circuit_reps")
_OF_THE_CIRCUIT = ("tasks.source", "tasks.circuit")
"""The paper's columns tell a circuit's qubits; its depth follows from them for the formula's circuits alone."""
_NOT_AFTER_ALL = {"sufficient": (), "paper": _UNSEEN_IN_COLUMNS}


def observation_columns(scenario: Scenario) -> tuple[str, ...]:
    """Names of a device's columns, the backlog last."""
    if scenario.observation == "paper":
        return with_told(scenario, OBSERVATION_COLUMNS)
    if scenario.resources.pooled:
        return with_told(scenario, SHARED_COLUMNS)
    return SUFFICIENT_COLUMNS if scenario.cost.deadline == "kept" else PENALTY_COLUMNS


def shown_to(columns: tuple[str, ...] | None, name: str, scenario: Scenario) -> Scenario:
    """The scenario with the observation that a policy of this name reads, whatever the scenario's own.

    Raises:
        InputError: If the scenario has no such observation.
    """
    if columns is None:
        return scenario
    told = USE_COLUMNS[0] in columns
    if told and not scenario.resources.pooled:
        raise InputError(
            f"policy '{name}' reads how many devices shared what in the last slot (resources.broadcast = counts); in "
            "the scenario nothing is shared."
        )
    resources = scenario.resources.model_copy(update={"broadcast": "counts" if told else "nothing"})
    view = "sufficient" if SUFFICIENT_COLUMNS[0] in columns else "paper"
    shown = scenario.model_copy(update={"observation": view, "resources": resources})
    if observation_columns(shown) != columns:
        if scenario.resources.queued != (WAIT_COLUMNS[0] in columns):
            where = "nothing is queued" if scenario.resources.queued else "resources.server or resources.qpu is queued"
            raise InputError(
                f"policy '{name}' was trained where {where} and observes what belongs to it; the scenario's are "
                f"{scenario.resources.server} and {scenario.resources.qpu}."
            )
        in_company = view == "sufficient" and OBSERVATION_COLUMNS[0] in columns
        if view == "sufficient" and scenario.resources.pooled != in_company:
            where, here = ("devices share", "nothing") if in_company else ("nothing is shared", "something")
            raise InputError(
                f"policy '{name}' was trained where {where} and observes what belongs to it; in the scenario {here} is "
                "pooled or queued."
            )
        trained = "penalty" if "local_meets" in columns else "kept"
        raise InputError(
            f"policy '{name}' was trained with cost.deadline = {trained} and observes what belongs to it; the "
            f"scenario's is {scenario.cost.deadline}."
        )
    return shown


def observation_ends(scenario: Scenario) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value of every column, float32 [K] each."""
    limit = SIGNED_LIMIT if scenario.observation == "sufficient" else LIMIT
    high = np.full(len(observation_columns(scenario)), limit, np.float32)
    low = -high
    low[-1], high[-1] = 0.0, BACKLOG_LIMIT
    return low, high


def unseen_changes(trained_on: Scenario, here: Scenario, drawn: Collection[str] = ()) -> list[str]:
    """Fields that differ from those of training and that no column shows, as ``field=value``.

    Args:
        trained_on: The scenario of training; its ``observation`` says what the policy sees.
        here: Where the policy is used.
        drawn: Fields that were drawn anew for each row in training.
    """
    view = trained_on.observation
    found = []
    for change in changes(trained_on, here):
        field, _, _ = change.partition("=")
        of_load = here.resources.queued and field.startswith(_LOAD)
        if not of_load and field in (*_NEVER_MATTERS, "slot_s"):
            continue
        if field == "lyapunov.delta" and here.lyapunov.queue == "neely":
            continue
        if field == "cost.deadline_penalty" and "kept" == here.cost.deadline == trained_on.cost.deadline:
            continue
        both = {trained_on.cost.latency, here.cost.latency}
        linear = view == "sufficient" and field == "cost.latency" and "literal" not in both
        seen = field.startswith(_SEEN[view]) and field not in _NOT_AFTER_ALL[view]
        counted = "circuits" in (trained_on.tasks.source, here.tasks.source)
        seen &= not (view == "paper" and counted and field.startswith(_OF_THE_CIRCUIT))
        if of_load:
            seen = view == "sufficient" and field in drawn
        if not seen and not linear:
            found.append(change)
    return found
