"""Fields that have no effect in the system that the other fields make: what is leased is no pool, and where nothing is
queued there is no discount. They stand in every scenario, but whoever gives one for such a system means another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from meqc_marl.config.scenario import Scenario
from meqc_marl.errors import InputError

_PROTEINS = ("uniform", "fast-folders")
_MOVEMENT = ("memory", "mean_speed_m_s", "speed_std_m_s", "direction_std_rad", "turn_rad", "edge", "innovation")
_CIRCUITS = ("circuits", "circuit_basis", "circuit_map", "circuit_level")

_IDLE: tuple[tuple[Callable[[Scenario], bool], str, tuple[str, ...]], ...] = (
    (lambda it: not it.resources.queued, "nothing is queued", ("lyapunov.discount",)),
    (
        lambda it: not it.resources.queued and it.mobility.kind == "static",
        "nobody moves and nothing is queued",
        ("slot_s",),
    ),
    (lambda it: it.resources.band == "leased", "resources.band is leased", ("resources.band_hz",)),
    (lambda it: it.resources.band != "leased", "resources.band is pooled", ("channel.bandwidth_hz",)),
    (
        lambda it: it.resources.server == "leased",
        "resources.server is leased",
        ("resources.server_hz", "resources.core_hz"),
    ),
    (lambda it: it.resources.qpu == "leased", "resources.qpu is leased", ("resources.qpu_tiles",)),
    (lambda it: not it.resources.pooled, "nothing is pooled or queued", ("resources.fraction",)),
    (lambda it: it.cost.deadline == "kept", "cost.deadline is kept", ("cost.deadline_penalty",)),
    (
        lambda it: it.mobility.kind == "static",
        "mobility.kind is static",
        tuple(f"mobility.{name}" for name in _MOVEMENT),
    ),
    (
        lambda it: it.tasks.source in ("fast-folders", "circuits"),
        "tasks.source is not uniform",
        ("tasks.residues", "tasks.simulated_time_s"),
    ),
    (
        lambda it: it.tasks.source == "circuits",
        "tasks.source is circuits",
        ("tasks.reference_residues", "tasks.reference_time_s", "tasks.circuit_reps"),
    ),
    (
        lambda it: it.tasks.source in _PROTEINS,
        "tasks.source is not circuits",
        (*(f"tasks.{name}" for name in _CIRCUITS), "quantum.error_rate_1", "quantum.error_rate_m"),
    ),
    (
        lambda it: it.channel.ack == "literal",
        "channel.ack is literal",
        ("channel.ack_rate_bit_s", "channel.rx_power_w"),
    ),
    (
        lambda it: it.quantum.concatenation == 0 and it.quantum.success == "corrected",
        "quantum.concatenation is 0",
        ("quantum.error_threshold",),
    ),
)
"""When, in words, and which."""


def idle_fields(scenario: Scenario) -> dict[str, str]:
    """Fields without any effect, by dotted name, and why: what is the case."""
    return {name: reason for holds, reason, names in _IDLE if holds(scenario) for name in names}


def refuse_idle(scenario: Scenario, overrides: Iterable[str]) -> Scenario:
    """The scenario that overrides made, unless one of them has no effect in it.

    Args:
        scenario: With all of them.
        overrides: ``"dotted.field=value"`` each.

    Raises:
        InputError: One has no effect.
    """
    idle = idle_fields(scenario)
    for override in overrides:
        field = override.partition("=")[0].strip()
        if field in idle:
            raise InputError(f"{field} has no effect where {idle[field]}; leave it out.")
    return scenario


def refuse_idle_everywhere(what: str, field: str, scenarios: Iterable[Scenario]) -> None:
    """Refuse to vary a field that has no effect in any of the scenarios.

    Raises:
        InputError: That is so.
    """
    reason = ""
    for scenario in scenarios:
        if (reason := idle_fields(scenario).get(field, "")) == "":
            return
    raise InputError(f"{what} '{field}' has no effect where {reason}; leave it out.")
