"""Latency, energy and cost of a slot (11): what each place would cost, and what an action does."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from meqc_marl.config.scenario import Cost
from meqc_marl.physics.blend import blend_energy, blend_latency
from meqc_marl.physics.choices import Choices, carry_out, find_choices
from meqc_marl.physics.feasible import deadline_missed, feasible_fraction, latest_s
from meqc_marl.physics.modes import FIRST_REMOTE, Mode

__all__ = ["Mode", "Outcome", "PlaceCosts", "blend_energy", "blend_latency", "kink_of", "middle_share", "settle"]


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
        choices: What each device may choose; None if not worked out yet.
        wait_s: How long a task waits at each place before its own part starts, once, if anything is sent [3, ..., M];
            None if nothing is queued.
        present: Whether the device is there, bool [..., M]; None if everybody is.
    """

    latency_s: np.ndarray
    energy_j: np.ndarray
    ack_latency_s: np.ndarray
    ack_energy_j: np.ndarray
    deadline_s: np.ndarray
    qpu_admitted: np.ndarray
    latency_weight: np.ndarray
    energy_weight: np.ndarray
    choices: Choices | None = None
    wait_s: np.ndarray | None = None
    present: np.ndarray | None = None

    def slot(self, t: int | slice) -> PlaceCosts:
        """Slot ``t`` [E, M] of the costs of several slots [T, E, M], or some of these."""
        return PlaceCosts(
            self.latency_s[:, t],
            self.energy_j[:, t],
            self.ack_latency_s[t],
            self.ack_energy_j[t],
            self.deadline_s[t],
            self.qpu_admitted[t],
            self.latency_weight[t],
            self.energy_weight[t],
            None if self.choices is None else self.choices.at(t),
            None if self.wait_s is None else self.wait_s[:, t],
            None if self.present is None else self.present[t],
        )

    def select(self, chosen: np.ndarray) -> PlaceCosts:
        """The elements of a bool mask [..., M], flattened; arrays by ``Mode`` keep their first axis."""
        picked: dict[str, Any] = {}
        for each in fields(self):
            values = getattr(self, each.name)
            if each.name != "choices" and values is not None:
                leading = (len(Mode),) if each.name in ("latency_s", "energy_j", "wait_s") else ()
                picked[each.name] = np.broadcast_to(values, (*leading, *chosen.shape))[..., chosen]
        return replace(self, **picked, choices=None if self.choices is None else self.choices.at(chosen))

    def choices_under(self, cost: Cost) -> Choices:
        """What each device may choose, worked out now unless it is known."""
        return find_choices(cost, self) if self.choices is None else self.choices

    def once_s(self, mode: Mode) -> np.ndarray:
        """Latency in s that comes once with anything sent to a remote place, however little: ack and wait [..., M]."""
        return self.ack_latency_s if self.wait_s is None else self.ack_latency_s + self.wait_s[mode]

    def once_remote_s(self) -> np.ndarray:
        """The same of both remote places, [2, ..., M] or as the ack [..., M] if nothing is queued."""
        return self.ack_latency_s if self.wait_s is None else self.ack_latency_s + self.wait_s[FIRST_REMOTE:]

    def once_at(self, executed: np.ndarray) -> np.ndarray:
        """The same at the place of each device's executed mode; what it is for LOCAL does not count."""
        if self.wait_s is None:
            return self.ack_latency_s
        return np.where(executed == Mode.QPU, self.once_s(Mode.QPU), self.once_s(Mode.CPU))

    def latency_of(self, form: str, mode: Mode, fraction: np.ndarray) -> np.ndarray:
        """Latency t in s [..., M] of sending a share to one remote place, in the latency form."""
        return blend_latency(form, fraction, self.latency_s[Mode.LOCAL], self.latency_s[mode], self.once_s(mode))

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
        return self._within(self.deadline_s, cost, mode)

    def unpenalised(self, cost: Cost, mode: Mode) -> tuple[np.ndarray, np.ndarray]:
        """The same of shares that are not told as a miss, for which a latency may be late by rounding."""
        return self._within(latest_s(self.deadline_s), cost, mode)

    def _within(self, deadline_s: np.ndarray, cost: Cost, mode: Mode) -> tuple[np.ndarray, np.ndarray]:
        local, remote = self.latency_s[Mode.LOCAL], self.latency_s[mode]
        return feasible_fraction(cost.latency, cost.min_fraction, local, remote, self.once_s(mode), deadline_s)

    def admits(self, mode: Mode) -> np.ndarray | bool:
        """Whether a place takes the task: only the QPU refuses any, and who is not there has none."""
        if mode == Mode.QPU:
            return self.qpu_admitted
        return True if self.present is None or mode == Mode.LOCAL else self.present

    def kink(self, mode: Mode) -> np.ndarray:
        """Share at which both parts of a parallel task end together, unclipped [..., M]."""
        return kink_of(self.latency_s[Mode.LOCAL], self.latency_s[mode], self.once_s(mode))

    def quickest_squared(self, mode: Mode) -> np.ndarray:
        """Share with the least latency where shares are squared, as printed; unclipped [..., M]."""
        local, remote = self.latency_s[Mode.LOCAL], self.latency_s[mode]
        return np.asarray((2.0 * local - self.once_s(mode)) / (2.0 * (local + remote)))


@dataclass(frozen=True)
class Outcome:
    """What happened to each device in a slot [..., M].

    Attributes:
        mode: Executed mode, int8.
        fraction: Executed share sent away phi, 0 for local.
        latency_s: t.
        energy_j: e.
        cost: C = lambda_t t + lambda_e e, in their reference units, without any deadline penalty.
        local_cost: C had the whole task stayed on the device: what the slot's choice is measured from.
        deadline_missed: t exceeds t_max.
        deadline_feasible: Some action would have met t_max.
        qpu_rejected: The QPU was asked for but did not take the task, which ran on the server CPU.
        overruled: What was asked for would not have met the deadline (or was not the fastest, where nothing meets it),
            and was changed.
        present: Whether the device was there, bool; None if everybody was. Of who was not all is 0 or False, but for
            ``deadline_feasible``.
    """

    mode: np.ndarray
    fraction: np.ndarray
    latency_s: np.ndarray
    energy_j: np.ndarray
    cost: np.ndarray
    local_cost: np.ndarray
    deadline_missed: np.ndarray
    deadline_feasible: np.ndarray
    qpu_rejected: np.ndarray
    overruled: np.ndarray
    present: np.ndarray | None = field(default=None, kw_only=True)


def kink_of(local: np.ndarray, remote: np.ndarray, once: np.ndarray) -> np.ndarray:
    """Share at which both parts of a parallel task end together, from T_L, T_X and what comes once; unclipped."""
    return np.asarray((local - once) / (local + remote))


def middle_share(
    form: str, low: np.ndarray, high: np.ndarray, local: np.ndarray, remote: np.ndarray, once: np.ndarray
) -> np.ndarray:
    """The middle of an interval of shares [low, high]: the kink, within it, of parallel tasks; halfway in other forms.

    Args:
        form: Of the latency.
        low, high: Ends [..., M].
        local, remote, once: T_L, T_X, and what comes once with anything sent [..., M].
    """
    return np.asarray((low + high) / 2.0 if form != "parallel" else np.clip(kink_of(local, remote, once), low, high))


def settle(cost: Cost, places: PlaceCosts, mode: np.ndarray, fraction: np.ndarray) -> Outcome:
    """Carry out the actions of a slot, as far as the deadlines allow: see :func:`~meqc_marl.physics.choices.carry_out`.

    Args:
        cost: Form and units of the cost, and whether deadlines are kept.
        places: Of the slot [..., M].
        mode: ``Mode`` asked for, integers [..., M].
        fraction: Share asked for in [0, 1] [..., M].
    """
    choices = places.choices_under(cost)
    executed, phi, rejected, overruled = carry_out(cost, choices, places.qpu_admitted, mode, fraction)
    latency, energy = places.latency_s, places.energy_j
    on_qpu = executed == Mode.QPU
    remote_s = np.where(on_qpu, latency[Mode.QPU], latency[Mode.CPU])
    remote_j = np.where(on_qpu, energy[Mode.QPU], energy[Mode.CPU])
    latency_s = blend_latency(cost.latency, phi, latency[Mode.LOCAL], remote_s, places.once_at(executed))
    energy_j = blend_energy(cost.latency, phi, energy[Mode.LOCAL], remote_j, places.ack_energy_j)
    return Outcome(
        mode=executed,
        fraction=phi,
        latency_s=latency_s,
        energy_j=energy_j,
        cost=places.weighted(latency_s, energy_j),
        local_cost=places.whole_cost(Mode.LOCAL),
        deadline_missed=deadline_missed(latency_s, places.deadline_s),
        deadline_feasible=choices.deadline_feasible,
        qpu_rejected=rejected,
        overruled=overruled,
        present=places.present,
    )
