"""The paper's comparison methods (Section VI-B, Fig. 3c): the oracle with fewer choices, queues included.

Solved exactly, they show what a restriction costs, not how well a learner copes with it. They are held to the same
constraint (10) as the full method, by the same queues.
"""

from __future__ import annotations

from meqc_marl.config import Scenario
from meqc_marl.physics.cost import Mode
from meqc_marl.policies.oracle import OraclePolicy


def cpu_discrete(scenario: Scenario) -> OraclePolicy:
    """Whole tasks, on the device or on the server's CPU."""
    return OraclePolicy(scenario, "cpu-discrete", (Mode.LOCAL, Mode.CPU), discrete=True)


def cpu_continuous(scenario: Scenario) -> OraclePolicy:
    """Any fraction to the server's CPU."""
    return OraclePolicy(scenario, "cpu-continuous", (Mode.LOCAL, Mode.CPU))


def qpu_discrete(scenario: Scenario) -> OraclePolicy:
    """Whole tasks, on the device or on the QPU; a task that the QPU does not admit stays on the device."""
    return OraclePolicy(scenario, "qpu-discrete", (Mode.LOCAL, Mode.QPU), discrete=True)


def qpu_continuous(scenario: Scenario) -> OraclePolicy:
    """Any fraction to the QPU; a task that the QPU does not admit stays on the device."""
    return OraclePolicy(scenario, "qpu-continuous", (Mode.LOCAL, Mode.QPU))


def hybrid_discrete(scenario: Scenario) -> OraclePolicy:
    """Whole tasks, anywhere."""
    return OraclePolicy(scenario, "hybrid-discrete", discrete=True)
