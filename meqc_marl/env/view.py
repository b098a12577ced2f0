"""Which columns a device sees: the sufficient view of a slot, or the paper's."""

from __future__ import annotations

import numpy as np

from meqc_marl.config import changes
from meqc_marl.config.scenario import Scenario
from meqc_marl.env.observation import LIMIT, OBSERVATION_COLUMNS, WITH_LOADS, paper_columns
from meqc_marl.env.sufficient import PENALTY_COLUMNS, SIGNED_LIMIT, SUFFICIENT_COLUMNS, sufficient_columns
from meqc_marl.env.waiting import WAIT_COLUMNS, WORK_COLUMNS
from meqc_marl.errors import InputError

BACKLOG_LIMIT = 100.0
"""Upper bound of the backlog column, log1p(z / V): no run reaches it."""
_QUEUED_PAPER = (*OBSERVATION_COLUMNS[:-1], *WAIT_COLUMNS, OBSERVATION_COLUMNS[-1])
_QUEUED_LOADS = (*WITH_LOADS[:-1], *WAIT_COLUMNS, WITH_LOADS[-1])
_QUEUED_SUFFICIENT = (*PENALTY_COLUMNS[:-1], *WORK_COLUMNS, *WAIT_COLUMNS, PENALTY_COLUMNS[-1])
_QUEUED = (_QUEUED_SUFFICIENT, _QUEUED_PAPER, _QUEUED_LOADS)
_PAPER, _LOADS = (OBSERVATION_COLUMNS, _QUEUED_PAPER), (WITH_LOADS, _QUEUED_LOADS)
VIEWS = (SUFFICIENT_COLUMNS, PENALTY_COLUMNS, OBSERVATION_COLUMNS, WITH_LOADS, *_QUEUED)
"""All sets of columns: sufficient, the same where a miss costs a penalty, the paper's, these with the load, and all of
them with queues."""

_NEVER_MATTERS = ("name", "num_devices", "horizon", "observation", "lyapunov.v", "lyapunov.reward", "lyapunov.discount")
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
    view = "paper" if columns in _PAPER else "loads" if columns in _LOADS else "sufficient"
    shown = scenario.model_copy(update={"observation": view})
    if observation_columns(shown) != columns:
        if scenario.resources.queued != (columns in _QUEUED):
            where = "nothing is queued" if scenario.resources.queued else "resources.server or resources.qpu is queued"
            raise InputError(
                f"policy '{name}' was trained where {where} and observes what belongs to it; the scenario's are "
                f"{scenario.resources.server} and {scenario.resources.qpu}."
            )
        trained = "penalty" if columns == PENALTY_COLUMNS else "kept"
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
