"""The cheapest action now, with no regard to the long-term constraint (10)."""

from __future__ import annotations

from meqc_marl.config import Scenario
from meqc_marl.policies.oracle import OraclePolicy


def greedy(scenario: Scenario) -> OraclePolicy:
    """The oracle with empty queues: the least cost of any policy that meets the deadlines, whatever Delta asks."""
    return OraclePolicy(scenario, "greedy", with_queue=False)
