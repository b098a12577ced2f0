"""What others would have met with if a device had stayed away: all that a reward for its part in the total needs.

A device is in the others' way through the counts alone. Had one of the devices at the server CPU stayed local, the
others would have found one less there and in the band; which one it is makes no difference to them. So two more
pricings of a slot tell it for all devices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meqc_marl.physics.cost import Mode, Outcome, PlaceCosts
from meqc_marl.physics.feasible import deadline_missed
from meqc_marl.physics.load import Load, count


class Effect(NamedTuple):
    """What a device's reward is made of, arrays [..., M]."""

    cost: np.ndarray
    fraction: np.ndarray
    missed: np.ndarray

    @classmethod
    def of(cls, outcome: Outcome) -> Effect:
        """Of what happened."""
        return cls(outcome.cost, outcome.fraction, outcome.deadline_missed)


class Consequences(NamedTuple):
    """Of each device, with the others' actions as they were."""

    local: Effect
    """Had it stayed local itself."""
    less_cpu: Effect
    """Had one other of those at the server CPU stayed local."""
    less_qpu: Effect
    """Had one other of those at the QPU stayed local."""


def consequences(places: PlaceCosts, outcome: Outcome, under: Callable[[Load], Outcome]) -> Consequences:
    """Work them out.

    Args:
        places: Of the slot; only what LOCAL costs is looked at.
        outcome: What happened.
        under: What the same actions would have come to under a load.
    """
    nothing = np.zeros_like(outcome.fraction)
    late = deadline_missed(places.latency_s[Mode.LOCAL], places.deadline_s)
    cpu, qpu = (number[..., None] for number in count(outcome.mode))
    return Consequences(
        Effect(outcome.local_cost, nothing, late),
        Effect.of(under(Load.of_counts(np.maximum(cpu - 1, 0), qpu))),
        Effect.of(under(Load.of_counts(cpu, np.maximum(qpu - 1, 0)))),
    )
