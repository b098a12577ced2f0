"""What the devices get from the access point and the server in a slot: bandwidth, server CPU, admission to the QPU.

This is the one place that decides it. Today every device has its own lease, whatever the others do. Where devices
compete for a pool, ``allocate`` divides it by the actions of all devices of a row, and ``depends_on_actions`` says so;
the simulator then asks in every slot, and works ahead in blocks of slots otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.nature.slot import Slot
from meqc_marl.physics.quantum import qpu_admitted


@dataclass(frozen=True)
class Allocation:
    """What each device gets, broadcastable to the slot's [..., M].

    Attributes:
        bandwidth_hz: Uplink band B.
        server_cpu_hz: Server CPU frequency f0.
        qpu_admitted: Whether the QPU takes the device's task (12c)-(12d).
    """

    bandwidth_hz: np.ndarray | float
    server_cpu_hz: np.ndarray
    qpu_admitted: np.ndarray


def depends_on_actions(scenario: Scenario) -> bool:
    """Whether ``allocate`` looks at the actions: not for leases."""
    return False


def allocate(
    scenario: Scenario, slot: Slot, mode: np.ndarray | None = None, fraction: np.ndarray | None = None
) -> Allocation:
    """Decide what every device gets.

    Args:
        scenario: Parameters.
        slot: Nature of one slot [E, M] or several [T, E, M].
        mode, fraction: Actions of all devices, of the slot's shape; None asks what a device gets on its own.
    """
    equipment = slot.equipment
    return Allocation(
        bandwidth_hz=scenario.channel.bandwidth_hz,
        server_cpu_hz=equipment.server_cpu_hz,
        qpu_admitted=qpu_admitted(scenario.quantum, slot.qubits, slot.depth, equipment.leased_qubits),
    )
