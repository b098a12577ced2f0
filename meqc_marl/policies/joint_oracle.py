"""The exact joint optimum of every slot as a policy: the yardstick where devices share."""

from __future__ import annotations

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.policies.base import Policy, Situation
from meqc_marl.policies.joint.search import joint_optimum

EXACT_DEVICES = 200
"""Devices up to which every slot is proven; above, the best found stands beside a lower bound."""
_BUDGET = 120_000
"""Devices times boxes of counts priced for the bound above that."""


def search_budget(scenario: Scenario) -> int | None:
    """Devices times boxes to price at most in a slot; None, as many as the proof takes."""
    return None if scenario.num_devices <= EXACT_DEVICES else _BUDGET


class JointOracle(Policy):
    """Minimises the sum over all devices of V C + z growth + V penalty [missed] in every slot.

    Exact to :data:`EXACT_DEVICES` devices. With more, the decision is the best that a pattern search finds and is not
    proven; ``gap`` tells how far it can be from the optimum.

    Args:
        scenario: Parameters.
        name: For reports.

    Attributes:
        gap: Of the last slot, (value - lower bound) / |value| [E]; 0 where proven.
    """

    gap: np.ndarray

    def __init__(self, scenario: Scenario, name: str = "joint-oracle") -> None:
        self.name = name
        self._scenario = scenario

    @property
    def unrestricted(self) -> bool:
        """Whether it is the exact minimiser over all actions: nothing does better in any state."""
        return self._scenario.num_devices <= EXACT_DEVICES

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Solve the slot."""
        best = joint_optimum(self._scenario, situation.work, situation.backlog, search_budget(self._scenario))
        self.gap = np.where(best.proven, 0.0, (best.value - best.bound) / np.maximum(np.abs(best.value), 1e-300))
        return best.mode, best.fraction
