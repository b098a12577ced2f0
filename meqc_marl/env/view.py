"""Which columns a device sees: the sufficient view of a slot, or the paper's."""

from __future__ import annotations

import numpy as np

from meqc_marl.config import changes
from meqc_marl.config.scenario import Scenario
from meqc_marl.env.broadcast import USE_COLUMNS
from meqc_marl.env.loads import LOAD_COLUMNS
from meqc_marl.env.observation import LIMIT, OBSERVATION_COLUMNS, WITH_LOADS, paper_columns
from meqc_marl.env.sufficient import PENALTY_COLUMNS, SIGNED_LIMIT, SUFFICIENT_COLUMNS, sufficient_columns
from meqc_marl.env.waiting import WAIT_COLUMNS, WORK_COLUMNS
from meqc_marl.errors import InputError

BACKLOG_LIMIT = 100.0
"""Upper bound of the backlog column, log1p(z / V): no run reaches it."""
_SHARED = tuple(
    (*view[:-1], *use, *queues, view[-1])
    for view, of_queues in (
        (PENALTY_COLUMNS, WORK_COLUMNS + WAIT_COLUMNS),
        (OBSERVATION_COLUMNS, WAIT_COLUMNS),
        (WITH_LOADS, WAIT_COLUMNS),
    )
    for queues in ((), of_queues)
    for use in ((), USE_COLUMNS)
)
VIEWS: tuple[tuple[str, ...], ...] = (SUFFICIENT_COLUMNS, *_SHARED)
"""All sets of columns: sufficient, the same where a miss costs a penalty, the paper's, these with the load; all but the
first also with the last slot's use of the pools, with queues, and with both."""

_NEVER_MATTERS = (
    *("name", "num_devices", "horizon", "observation", "resources.broadcast"),
    *("lyapunov.v", "lyapunov.reward", "lyapunov.discount"),
)
_LOAD_FIELDS = ("slot_s", "lyapunov.delta", "resources.band_hz", "resources.server_hz", "resources.qpu_tiles")
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
    ),
    "paper": _SEEN_IN_COLUMNS,
    "loads": (*_SEEN_IN_COLUMNS, *_LOAD_FIELDS),
}
_UNSEEN_IN_COLUMNS = ("devices.lambda_e", "tasks.circuit_reps")
_NOT_AFTER_ALL = {"sufficient": (), "paper": _UNSEEN_IN_COLUMNS, "loads": _UNSEEN_IN_COLUMNS}


def observation_columns(scenario: Scenario) -> tuple[str, ...]:
    """Names of a device's columns, the backlog last."""
    return sufficient_columns(scenario) if scenario.observation == "sufficient" else paper_columns(scenario)


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
    of_the_paper = "loads" if LOAD_COLUMNS[0] in columns else "paper"
    view = of_the_paper if OBSERVATION_COLUMNS[0] in columns else "sufficient"
    shown = scenario.model_copy(update={"observation": view, "resources": resources})
    if observation_columns(shown) != columns:
        if scenario.resources.queued != (WAIT_COLUMNS[0] in columns):
            where = "nothing is queued" if scenario.resources.queued else "resources.server or resources.qpu is queued"
            raise InputError(
                f"policy '{name}' was trained where {where} and observes what belongs to it; the scenario's are "
                f"{scenario.resources.server} and {scenario.resources.qpu}."
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


def unseen_changes(trained_on: Scenario, here: Scenario) -> list[str]:
    """Fields that differ from those of training and that no column shows, as ``field=value``.

    Args:
        trained_on: The scenario of training; its ``observation`` says what the policy sees.
        here: Where the policy is used.
    """
    view = trained_on.observation
    found = []
    for change in changes(trained_on, here):
        field, _, _ = change.partition("=")
        if field in _NEVER_MATTERS or (field == "slot_s" and not here.resources.queued):
            continue
        if field == "lyapunov.delta" and here.lyapunov.queue == "neely":
            continue
        if field == "cost.deadline_penalty" and "kept" == here.cost.deadline == trained_on.cost.deadline:
            continue
        both = {trained_on.cost.latency, here.cost.latency}
        linear = view == "sufficient" and field == "cost.latency" and "literal" not in both
        seen = field.startswith(_SEEN[view]) and field not in _NOT_AFTER_ALL[view]
        if not seen and not linear:
            found.append(change)
    return found
