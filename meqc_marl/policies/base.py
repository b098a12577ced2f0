"""The interface of all decision rules, learned or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.physics.cost import PlaceCosts
from meqc_marl.physics.places import Work

Progress = Callable[[str, int, str], Callable[[], object]]
"""Called with label, number (0: unknown) and unit of the steps of a piece of work; returns what to call at each."""


@dataclass(frozen=True)
class Situation:
    """What a policy may look at before it decides a slot.

    Attributes:
        observation: What a learning agent sees, float32 [E, M, K], backlog column filled in.
        places: What the whole task of each device would cost at each place this slot, if nobody else sent anything.
        backlog: Virtual queues z [E, M], 0 of who is not there.
        work: The slot's tasks, to price them when others share.
        rng: The policy's own randomness, apart from nature's.
    """

    observation: np.ndarray
    places: PlaceCosts
    backlog: np.ndarray
    work: Work
    rng: np.random.Generator

    @property
    def present(self) -> np.ndarray | None:
        """Who is there, bool [E, M], and of the others no action counts; None if everybody is in every slot."""
        return self.work.present


class Policy(ABC):
    """A decision rule for all devices of all rows. It keeps no state between slots: the backlog is in the situation."""

    name: str
    placed: bool | None = False
    """Whether its fractions are places within what is granted; if not, shares; None: as in the scenario's actions."""
    columns: tuple[str, ...] | None = None
    """The observation's columns that it reads; None if it looks at none."""

    def unseen_in(self, scenario: Scenario) -> list[str]:
        """What differs in a scenario from where it was trained and is not shown to it, as ``field=value``."""
        return []

    def prepare(self, progress: Progress | None = None) -> None:
        """Search or learn what it needs before it decides first, unless it has it already; most need nothing.

        Args:
            progress: Shows how far it is.
        """
        return

    @abstractmethod
    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Decide a slot.

        Returns:
            Mode (int8 [E, M], a :class:`~meqc_marl.physics.cost.Mode`) and offloading fraction (float64 [E, M], zero
            where the mode is LOCAL).
        """
