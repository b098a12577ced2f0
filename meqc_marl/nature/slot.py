"""What a slot looks like to the physics: the equipment of the devices and the nature of one or more slots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Equipment:
    """What the devices own and lease, fixed for an episode; float64 [E, M].

    Attributes:
        cpu_hz: Device CPU frequency f.
        tx_power_w: Transmit power p.
        server_cpu_hz: Leased server CPU frequency f0.
        leased_qubits: Leased qubits o^C.
        lambda_t, lambda_e: Weights of latency and energy in the cost (11).
    """

    cpu_hz: np.ndarray
    tx_power_w: np.ndarray
    server_cpu_hz: np.ndarray
    leased_qubits: np.ndarray
    lambda_t: np.ndarray
    lambda_e: np.ndarray


@dataclass(frozen=True)
class Slot:
    """Nature of one slot [E, M] or of several [T, E, M], float64.

    Attributes:
        gain: Channel power gain g to the access point, all of path loss, shadowing and fading.
        data_bits: Task data d.
        cycles_per_bit: CPU cycles per bit q.
        deadline_s: Deadline t_max (12b).
        qubits: Logical qubits o of the task's circuit.
        depth: Depth l of the circuit.
        position_m: Position relative to the access point [..., M, 2], float32.
        equipment: Of the episode, [E, M].
        gates: Of the circuit on one and on two qubits [..., M, 2], below 0 where they are not known; None if nowhere.
        present: Whether the device is there, bool [..., M]; None if everybody is.
    """

    gain: np.ndarray
    data_bits: np.ndarray
    cycles_per_bit: np.ndarray
    deadline_s: np.ndarray
    qubits: np.ndarray
    depth: np.ndarray
    position_m: np.ndarray
    equipment: Equipment
    gates: np.ndarray | None = None
    present: np.ndarray | None = None
