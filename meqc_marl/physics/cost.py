"""Latency, energy and cost of a slot (11): what each place would cost, and what an action does."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np

from meqc_marl.config.scenario import Cost
from meqc_marl.physics.feasible import deadline_missed, feasible_fraction


class Mode(IntEnum):
    """Where the share that is sent away runs."""

    LOCAL = 0
    CPU = 1
    QPU = 2


@dataclass(frozen=True)
class PlaceCosts:
    """What the whole task of each device would cost at each place.

    Attributes:
        latency_s: T_L, T_CPU, T_QPU by ``Mode``, upload included, ack not [3, ..., M].
        energy_j: E_L, E_CPU, E_QPU alike [3, ..., M].
        ack_latency_s, ack_energy_j: Of receiving the result, if anything is sent away [..., M].
        deadline_s: t_max [..., M].
        qpu_admitted: Whether the QPU takes the task, bool [..., M].
        latency_weight: Cost of a second, lambda_t / latency_ref_s [..., M].
        energy_weight: Cost of a joule, lambda_e / energy_ref_j [..., M].
        deadline_feasible: Whether some action meets the deadline, bool [..., M]; None if not worked out yet.
    """

    latency_s: np.ndarray
    energy_j: np.ndarray
    ack_latency_s: np.ndarray
    ack_energy_j: np.ndarray
    deadline_s: np.ndarray
    qpu_admitted: np.ndarray
    latency_weight: np.ndarray
    energy_weight: np.ndarray
    deadline_feasible: np.ndarray | None = None

    def slot(self, t: int) -> PlaceCosts:
        """Slot ``t`` [E, M] of the costs of several slots [T, E, M]."""
        return PlaceCosts(
            self.latency_s[:, t],
            self.energy_j[:, t],
            self.ack_latency_s[t],
            self.ack_energy_j[t],
            self.deadline_s[t],
            self.qpu_admitted[t],
            self.latency_weight[t],
            self.energy_weight[t],
            None if self.deadline_feasible is None else self.deadline_feasible[t],
        )

    def select(self, chosen: np.ndarray) -> PlaceCosts:
        """The elements of a bool mask [..., M], flattened; arrays by ``Mode`` keep their first axis."""
        picked = {}
        for field in fields(self):
            values = getattr(self, field.name)
            if values is not None:
                leading = (len(Mode),) if field.name in ("latency_s", "energy_j") else ()
                picked[field.name] = np.broadcast_to(values, (*leading, *chosen.shape))[..., chosen]
        return replace(self, **picked)

    def latency_of(self, form: str, mode: Mode, fraction: np.ndarray) -> np.ndarray:
        """Latency t in s [..., M] of sending a share to one remote place, in the latency form."""
        return blend_latency(form, fraction, self.latency_s[Mode.LOCAL], self.latency_s[mode], self.ack_latency_s)

    def energy_of(self, form: str, mode: Mode, fraction: np.ndarray) -> np.ndarray:
        """Energy e in J [..., M] of the same."""
        return blend_energy(form, fraction, self.energy_j[Mode.LOCAL], self.energy_j[mode], self.ack_energy_j)

    def cost_of(self, form: str, mode: Mode, fraction: np.ndarray) -> np.ndarray:
        """Cost C (11) [..., M] of sending a share to one remote place."""
        return self.weighted(self.latency_of(form, mode, fraction), self.energy_of(form, mode, fraction))

    def whole_cost(self, mode: Mode) -> np.ndarray:
        """Cost [..., M] of the whole task at one place, without ack."""
        return self.weighted(self.latency_s[mode], self.energy_j[mode])

    def weighted(self, latency_s: np.ndarray, energy_j: np.ndarray) -> np.ndarray:
        """Cost (11) of a latency and an energy, in their reference units."""
        return np.asarray(self.latency_weight * latency_s + self.energy_weight * energy_j)

    def feasible(self, cost: Cost, mode: Mode) -> tuple[np.ndarray, np.ndarray]:
        """Shares [lo, hi] sent to one remote place that meet the deadline; lo > hi where none does [..., M].

        Whether the QPU admits the task is not looked at; see :meth:`admits`.
        """
        local, remote = self.latency_s[Mode.LOCAL], self.latency_s[mode]
        return feasible_fraction(cost.latency, cost.min_fraction, local, remote, self.ack_latency_s, self.deadline_s)

    def admits(self, mode: Mode) -> np.ndarray | bool:
        """Whether a place takes the task: only the QPU refuses any."""
        return self.qpu_admitted if mode == Mode.QPU else True

    def kink(self, mode: Mode) -> np.ndarray:
        """Share at which both parts of a parallel task end together, unclipped [..., M]."""
        local, remote = self.latency_s[Mode.LOCAL], self.latency_s[mode]
        return np.asarray((local - self.ack_latency_s) / (local + remote))


@dataclass(frozen=True)
class Outcome:
    """What happened to each device in a slot [..., M].

    Attributes:
        mode: Executed mode, int8.
        fraction: Executed share sent away phi, 0 for local.
        latency_s: t.
        energy_j: e.
        cost: C = lambda_t t + lambda_e e, in their reference units, without any deadline penalty.
        deadline_missed: t exceeds t_max.
        deadline_feasible: Some action would have met t_max.
        qpu_rejected: The QPU was asked for but did not take the task, which ran on the server CPU.
    """

    mode: np.ndarray
    fraction: np.ndarray
    latency_s: np.ndarray
    energy_j: np.ndarray
    cost: np.ndarray
    deadline_missed: np.ndarray
    deadline_feasible: np.ndarray
    qpu_rejected: np.ndarray


def blend_latency(
    form: str, fraction: np.ndarray, local: np.ndarray, remote: np.ndarray, ack: np.ndarray
) -> np.ndarray:
    """Latency of a task of which a share phi is sent away; local at phi = 0, without ack.

    Args:
        form: ``parallel``: max((1-phi) T_L, phi T_X + t_a); ``sequential``: their sum; ``literal``: as (11) prints
            with (1)-(6), (1-phi)^2 T_L + phi (phi T_X + t_a).
        fraction: phi [..., M].
        local, remote, ack: T_L, T_X, t_a [..., M].
    """
    latency_s: np.ndarray
    kept = 1.0 - fraction
    if form == "literal":
        latency_s = kept * kept * local + fraction * (fraction * remote + ack)
        return latency_s
    here, away = kept * local, fraction * remote + ack * (fraction > 0.0)
    latency_s = np.maximum(here, away) if form == "parallel" else here + away
    return latency_s


def blend_energy(form: str, fraction: np.ndarray, local: np.ndarray, remote: np.ndarray, ack: np.ndarray) -> np.ndarray:
    """Energy of a task of which a share phi is sent away: (1-phi) E_L + phi E_X + e_a, or squared as printed."""
    return blend_latency("sequential" if form == "parallel" else form, fraction, local, remote, ack)


def deadline_feasible(cost: Cost, places: PlaceCosts) -> np.ndarray:
    """Whether some action meets the deadline: local, or some share on the CPU or on an admitting QPU; [..., M]."""
    local = places.latency_s[Mode.LOCAL]
    feasible: np.ndarray = local <= places.deadline_s
    for mode in (Mode.CPU, Mode.QPU):
        lo, hi = places.feasible(cost, mode)
        feasible |= (lo <= hi) & places.admits(mode)
    return feasible


def settle(cost: Cost, places: PlaceCosts, mode: np.ndarray, fraction: np.ndarray) -> Outcome:
    """Carry out the actions of a slot.

    A task sent to a QPU that does not take it runs on the server CPU. Local means a share of 0; the share of a remote
    mode is clipped to [min_fraction, 1].

    Args:
        cost: Form and units of the cost.
        places: Of the slot [..., M].
        mode: ``Mode`` asked for, integers [..., M].
        fraction: Share asked for in [0, 1] [..., M].
    """
    asked_qpu = mode == Mode.QPU
    on_qpu = asked_qpu & places.qpu_admitted
    rejected = asked_qpu ^ on_qpu
    executed = np.subtract(mode, rejected, dtype=np.int8, casting="unsafe")  # Mode.QPU - 1 is Mode.CPU
    phi = np.clip(fraction, cost.min_fraction, 1.0, dtype=np.float64)
    phi *= executed != Mode.LOCAL

    latency, energy = places.latency_s, places.energy_j
    remote_s = np.where(on_qpu, latency[Mode.QPU], latency[Mode.CPU])
    remote_j = np.where(on_qpu, energy[Mode.QPU], energy[Mode.CPU])
    latency_s = blend_latency(cost.latency, phi, latency[Mode.LOCAL], remote_s, places.ack_latency_s)
    energy_j = blend_energy(cost.latency, phi, energy[Mode.LOCAL], remote_j, places.ack_energy_j)
    return Outcome(
        mode=executed,
        fraction=phi,
        latency_s=latency_s,
        energy_j=energy_j,
        cost=places.weighted(latency_s, energy_j),
        deadline_missed=deadline_missed(latency_s, places.deadline_s),
        deadline_feasible=(
            deadline_feasible(cost, places) if places.deadline_feasible is None else places.deadline_feasible
        ),
        qpu_rejected=rejected,
    )
