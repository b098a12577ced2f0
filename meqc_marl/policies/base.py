"""The interface of all decision rules, learned or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from meqc_marl.physics.cost import PlaceCosts


@dataclass(frozen=True)
class Situation:
    """What a policy may look at before it decides a slot.

    Attributes:
        observation: What a learning agent sees, float32 [E, M, K], backlog column filled in.
        places: What the whole task of each device would cost at each place this slot.
        backlog: Virtual queues z [E, M].
        rng: The policy's own randomness, apart from nature's.
    """

    observation: np.ndarray
    places: PlaceCosts
    backlog: np.ndarray
    rng: np.random.Generator


class Policy(ABC):
    """A decision rule for all devices of all rows. It keeps no state between slots: the backlog is in the situation."""

    name: str

    @abstractmethod
    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Decide a slot.

        Returns:
            Mode (int8 [E, M], a :class:`~meqc_marl.physics.cost.Mode`) and offloading fraction (float64 [E, M], zero
            where the mode is LOCAL).
        """
