"""What the whole task of each device would cost at each place: Section III put together.

:func:`price` is the one place that prices a slot, for simulator, oracle, optimum and reports alike. What no load
changes (:class:`Work`) is worked out once; who prices a slot for many loads, or works ahead, keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.nature.presence import of_present
from meqc_marl.nature.slot import Slot
from meqc_marl.physics.allocation import Allocation, allocate
from meqc_marl.physics.channel import achievable_rate, acknowledgement
from meqc_marl.physics.choices import find_choices
from meqc_marl.physics.cost import Mode, PlaceCosts
from meqc_marl.physics.load import ALONE, Load
from meqc_marl.physics.local import local_latency, local_power
from meqc_marl.physics.quantum import qpu_admitted, quantum_energy, quantum_latency, success_probability
from meqc_marl.physics.server import server_latency, server_power


@dataclass(frozen=True)
class Work:
    """A slot's tasks as far as no load changes what they take; arrays [..., M].

    Attributes:
        data_bits, cycles_per_bit, gain, deadline_s: Of the slot.
        tx_power_w, server_cpu_hz: Of the equipment.
        local_s, local_j: The whole task on the device.
        core_j: Energy of the server's cores for the whole task, where the server is pooled; else None.
        quantum_s, quantum_j: The whole task on a QPU of its own, without upload.
        success: Success probability S on the QPU.
        qpu_admitted: Whether the QPU takes the task.
        latency_weight, energy_weight: Cost of a second and of a joule.
        cpu_wait_s, qpu_wait_s: How long a task waits at the server and at the QPU for the work that earlier slots left,
            broadcastable to [..., M]; None if nothing is queued.
        present: Whether the device is there, bool [..., M]; None if everybody is. Who is not has nothing to do: no
            time, energy or weight, and no place but LOCAL (:mod:`~meqc_marl.nature.presence`).
    """

    data_bits: np.ndarray
    cycles_per_bit: np.ndarray
    gain: np.ndarray
    deadline_s: np.ndarray
    tx_power_w: np.ndarray
    server_cpu_hz: np.ndarray
    local_s: np.ndarray
    local_j: np.ndarray
    core_j: np.ndarray | None
    quantum_s: np.ndarray
    quantum_j: np.ndarray
    success: np.ndarray
    qpu_admitted: np.ndarray
    latency_weight: np.ndarray
    energy_weight: np.ndarray
    cpu_wait_s: np.ndarray | None = None
    qpu_wait_s: np.ndarray | None = None
    present: np.ndarray | None = None

    @classmethod
    def of(cls, scenario: Scenario, slot: Slot) -> Work:
        """Of one slot [E, M] or several [T, E, M]."""
        equipment, data, cycles = slot.equipment, slot.data_bits, slot.cycles_per_bit
        local_s = local_latency(data, cycles, equipment.cpu_hz)
        core_j = None
        if scenario.resources.server != "leased":
            core_hz = scenario.resources.core_hz
            core_j = server_power(scenario.server, core_hz) * server_latency(data, cycles, core_hz)
        success = success_probability(scenario.quantum, slot.qubits, slot.depth, slot.gates)
        quantum_s = quantum_latency(scenario.quantum, data, slot.qubits, slot.depth)
        admitted = qpu_admitted(scenario.quantum, success, slot.qubits, equipment.leased_qubits)
        present = slot.present
        return cls(
            data_bits=data,
            cycles_per_bit=cycles,
            gain=slot.gain,
            deadline_s=slot.deadline_s,
            tx_power_w=equipment.tx_power_w,
            server_cpu_hz=equipment.server_cpu_hz,
            local_s=of_present(local_s, present),
            local_j=of_present(local_power(scenario.local, equipment.cpu_hz) * local_s, present),
            core_j=core_j,
            quantum_s=quantum_s,
            quantum_j=quantum_energy(scenario.quantum, data, slot.qubits, quantum_s, equipment.tx_power_w),
            success=success,
            qpu_admitted=admitted if present is None else admitted & present,
            latency_weight=of_present(equipment.lambda_t / scenario.cost.latency_ref_s, present),
            energy_weight=of_present(equipment.lambda_e / scenario.cost.energy_ref_j, present),
            present=present,
        )

    def slot(self, t: int) -> Work:
        """Slot ``t`` [E, M] of the work of several slots [T, E, M]."""
        dimensions = self.data_bits.ndim
        return self._each(lambda values: values[t] if values.ndim == dimensions else values)

    def rows(self, rows: np.ndarray) -> Work:
        """The given rows [N] of a slot [E, M], any of them as often as asked for: [N, M]."""
        return self._each(lambda values: values[rows])

    def _each(self, pick: Callable[[np.ndarray], np.ndarray]) -> Work:
        picked: dict[str, Any] = {name: None if each is None else pick(each) for name, each in vars(self).items()}
        return Work(**picked)


def price(scenario: Scenario, slot: Slot | Work, load: Load = ALONE, with_choices: bool = True) -> PlaceCosts:
    """Decide what every device gets, and price every place with it.

    Args:
        scenario: Parameters.
        slot: Nature of one slot [E, M] or several [T, E, M], or its work.
        load: How many share with each device: ``Load.seen(mode)`` for what each finds given the others' modes,
            ``Load.of_counts`` for given numbers; by default what a device gets on its own.
        with_choices: Work out what each device may choose, too.
    """
    work = Work.of(scenario, slot) if isinstance(slot, Slot) else slot
    waits = None if work.cpu_wait_s is None or work.qpu_wait_s is None else (work.cpu_wait_s, work.qpu_wait_s)
    places = _place_costs(scenario, work, allocate(scenario, work.server_cpu_hz, load, waits))
    return replace(places, choices=find_choices(scenario.cost, places)) if with_choices else places


def _place_costs(scenario: Scenario, work: Work, allocation: Allocation) -> PlaceCosts:
    """Costs of the whole task on the device, the server CPU and the QPU.

    Args:
        scenario: Parameters.
        work: Tasks of one slot [E, M] or several [T, E, M].
        allocation: What each device gets in it.
    """
    shape, power = work.data_bits.shape, work.tx_power_w
    latency, energy = np.empty((3, *shape)), np.empty((3, *shape))
    latency[Mode.LOCAL], energy[Mode.LOCAL] = work.local_s, work.local_j

    rate = achievable_rate(scenario.channel, allocation.bandwidth_hz, power, work.gain)
    upload_s = work.data_bits / rate
    upload_j = power * upload_s
    ack_s, ack_j = acknowledgement(scenario.channel, power, rate)

    compute_s = server_latency(work.data_bits, work.cycles_per_bit, allocation.server_cpu_hz)
    np.add(upload_s, compute_s, out=latency[Mode.CPU])
    compute_j = (
        server_power(scenario.server, allocation.server_cpu_hz) * compute_s if work.core_j is None else work.core_j
    )
    np.add(upload_j, compute_j, out=energy[Mode.CPU])

    shared_s = work.quantum_s if allocation.qpu_slowdown is None else work.quantum_s * allocation.qpu_slowdown
    np.add(upload_s, shared_s, out=latency[Mode.QPU])
    if scenario.quantum.circuit == "corrected":
        np.add(work.quantum_j, upload_j, out=energy[Mode.QPU])
    else:
        energy[Mode.QPU] = work.quantum_j

    wait = None
    if allocation.cpu_wait_s is not None and allocation.qpu_wait_s is not None:
        wait = wait_by_mode(shape, allocation.cpu_wait_s, allocation.qpu_wait_s)

    return PlaceCosts(
        latency_s=latency,
        energy_j=energy,
        ack_latency_s=np.broadcast_to(ack_s, shape),
        ack_energy_j=np.broadcast_to(ack_j, shape),
        deadline_s=work.deadline_s,
        qpu_admitted=np.broadcast_to(work.qpu_admitted, shape),
        latency_weight=np.broadcast_to(work.latency_weight, shape),
        energy_weight=np.broadcast_to(work.energy_weight, shape),
        wait_s=wait,
        present=work.present,
    )


def wait_by_mode(shape: tuple[int, ...], cpu_s: np.ndarray | float, qpu_s: np.ndarray | float) -> np.ndarray:
    """Waits at the three places [3, ..., M], of those at the server and the QPU, broadcastable to [..., M]."""
    wait_s = np.zeros((len(Mode), *shape))
    wait_s[Mode.CPU], wait_s[Mode.QPU] = cpu_s, qpu_s
    return wait_s
