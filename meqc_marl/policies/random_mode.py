"""Choose at random."""

from __future__ import annotations

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.physics.cost import Mode
from meqc_marl.policies.base import Policy, Situation

_PARTIAL = 3


class RandomMode(Policy):
    """The paper's "Randomly" (Section VI-B): each device draws one of the four modes of Section III with equal odds.

    Local; the whole task to the CPU; the whole task to the QPU; or a part of it, with a uniform fraction and equal odds
    of CPU and QPU. It looks at nothing, not even at the QPU's admission: a task that the QPU does not admit runs on the
    server's CPU.
    """

    name = "random"

    def __init__(self, scenario: Scenario) -> None:
        self._min_fraction = scenario.cost.min_fraction

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Draw all devices' actions."""
        shape, rng = situation.backlog.shape, situation.rng
        drawn = rng.integers(0, 4, shape, dtype=np.int8)
        place = rng.integers(Mode.CPU, Mode.QPU + 1, shape, dtype=np.int8)
        part = rng.uniform(self._min_fraction, 1.0, shape)
        partial = drawn == _PARTIAL
        return np.where(partial, place, drawn), np.where(partial, part, drawn != Mode.LOCAL)
