"""Never offload."""

from __future__ import annotations

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.physics.cost import Mode
from meqc_marl.policies.base import Policy, Situation


class LocalOnly(Policy):
    """Every device computes its task itself."""

    name = "local-only"

    def __init__(self, scenario: Scenario) -> None:
        """No parameters."""

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """LOCAL everywhere."""
        shape = situation.backlog.shape
        return np.full(shape, Mode.LOCAL, np.int8), np.zeros(shape)
