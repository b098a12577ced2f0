"""What the whole task of each device would cost at each place: Section III put together.

:func:`price` is the one place that prices a slot, for simulator, oracle, optimum and reports alike.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.nature.slot import Slot
from meqc_marl.physics.allocation import Allocation, allocate
from meqc_marl.physics.channel import achievable_rate, acknowledgement
from meqc_marl.physics.choices import find_choices
from meqc_marl.physics.cost import Mode, PlaceCosts
from meqc_marl.physics.local import local_latency, local_power
from meqc_marl.physics.quantum import quantum_energy, quantum_latency
from meqc_marl.physics.server import server_latency, server_power


def price(
    scenario: Scenario, slot: Slot, mode: np.ndarray | None = None, fraction: np.ndarray | None = None
) -> PlaceCosts:
    """Decide what every device gets, and price every place with it.

    Args:
        scenario: Parameters.
        slot: Nature of one slot [E, M] or several [T, E, M].
        mode, fraction: Actions of all devices, of the slot's shape; None prices what a device gets on its own.
    """
    return place_costs(scenario, slot, allocate(scenario, slot, mode, fraction))


def place_costs(scenario: Scenario, slot: Slot, allocation: Allocation) -> PlaceCosts:
    """Costs of the whole task on the device, the server CPU and the QPU.

    Args:
        scenario: Parameters.
        slot: Nature of one slot [E, M] or several [T, E, M].
        allocation: What each device gets in it.
    """
    shape, equipment = slot.data_bits.shape, slot.equipment
    power = equipment.tx_power_w
    latency, energy = np.empty((3, *shape)), np.empty((3, *shape))

    rate = achievable_rate(scenario.channel, allocation.bandwidth_hz, power, slot.gain)
    upload_s = slot.data_bits / rate
    ack_s, ack_j = acknowledgement(scenario.channel, power, rate)

    latency[Mode.LOCAL] = local_latency(slot.data_bits, slot.cycles_per_bit, equipment.cpu_hz)
    np.multiply(local_power(scenario.local, equipment.cpu_hz), latency[Mode.LOCAL], out=energy[Mode.LOCAL])

    compute_s = server_latency(slot.data_bits, slot.cycles_per_bit, allocation.server_cpu_hz)
    np.add(upload_s, compute_s, out=latency[Mode.CPU])
    compute_j = server_power(scenario.server, allocation.server_cpu_hz) * compute_s
    np.add(power * upload_s, compute_j, out=energy[Mode.CPU])

    compute_s = quantum_latency(scenario.quantum, slot.data_bits, slot.qubits, slot.depth)
    np.add(upload_s, compute_s, out=latency[Mode.QPU])
    energy[Mode.QPU] = quantum_energy(scenario.quantum, slot.data_bits, slot.qubits, compute_s, upload_s, power)

    places = PlaceCosts(
        latency_s=latency,
        energy_j=energy,
        ack_latency_s=np.broadcast_to(ack_s, shape),
        ack_energy_j=np.broadcast_to(ack_j, shape),
        deadline_s=slot.deadline_s,
        qpu_admitted=np.broadcast_to(allocation.qpu_admitted, shape),
        latency_weight=np.broadcast_to(equipment.lambda_t / scenario.cost.latency_ref_s, shape),
        energy_weight=np.broadcast_to(equipment.lambda_e / scenario.cost.energy_ref_j, shape),
    )
    return replace(places, choices=find_choices(scenario.cost, places))
