"""The paper's comparison methods (Section VI-B, Fig. 3c), and the oracle under the same restrictions.

The paper's methods take the cheapest action of a slot that they may take, and know no long-term constraint: Fig. 6 says
that their cost does not change with Delta. Solved exactly, they show what a restriction costs, not how well a learner
copes with it. The restricted oracles are held to the constraint (10) as the full one is, by the same virtual queues.
"""

from __future__ import annotations

from collections.abc import Callable

from meqc_marl.config import Scenario
from meqc_marl.physics.cost import Mode
from meqc_marl.policies.oracle import ALL_MODES, OraclePolicy

CPU_MODES = (Mode.LOCAL, Mode.CPU)
"""A task stays on the device, or a share of it goes to the server's CPU."""
QPU_MODES = (Mode.LOCAL, Mode.QPU)
"""A task stays on the device, as one that the QPU does not admit must, or a share of it goes to the QPU."""


def restricted(
    name: str, modes: tuple[Mode, ...] = ALL_MODES, discrete: bool = False, with_queue: bool = False
) -> Callable[[Scenario], OraclePolicy]:
    """Factory of a policy that is exact within a restriction; see :class:`OraclePolicy`."""

    def make(scenario: Scenario) -> OraclePolicy:
        return OraclePolicy(scenario, name, modes, discrete, with_queue)

    return make


hybrid_discrete = restricted("hybrid-discrete", discrete=True)
cpu_continuous = restricted("cpu-continuous", CPU_MODES)
cpu_discrete = restricted("cpu-discrete", CPU_MODES, discrete=True)
qpu_continuous = restricted("qpu-continuous", QPU_MODES)
qpu_discrete = restricted("qpu-discrete", QPU_MODES, discrete=True)

oracle_discrete = restricted("oracle-discrete", discrete=True, with_queue=True)
oracle_cpu = restricted("oracle-cpu", CPU_MODES, with_queue=True)
oracle_cpu_discrete = restricted("oracle-cpu-discrete", CPU_MODES, discrete=True, with_queue=True)
oracle_qpu = restricted("oracle-qpu", QPU_MODES, with_queue=True)
oracle_qpu_discrete = restricted("oracle-qpu-discrete", QPU_MODES, discrete=True, with_queue=True)
