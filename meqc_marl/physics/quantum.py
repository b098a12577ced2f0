"""Computing on the server's QPU (5)-(6), its success probability (7) and its admission (12c)-(12d)."""

from __future__ import annotations

import numpy as np

from meqc_marl.config.scenario import Quantum

BITS_PER_CIRCUIT = 1e6
"""The formulas (5)-(6) count task data in megabits."""


def layer_time(quantum: Quantum) -> float:
    """Time in s of one logical layer: tau1 N1 + tau2 N2 + tauM NM."""
    return quantum.tau_1_s * quantum.steps_1 + quantum.tau_2_s * quantum.steps_2 + quantum.tau_m_s * quantum.steps_m


def qubit_power(quantum: Quantum) -> float:
    """Power in W of one logical qubit: P1 N1 + P2 N2 + PM NM + PQ Q."""
    return (
        quantum.power_1_w * quantum.steps_1
        + quantum.power_2_w * quantum.steps_2
        + quantum.power_m_w * quantum.steps_m
        + quantum.power_qubit_w * quantum.physical_per_logical
    )


def quantum_latency(quantum: Quantum, data_bits: np.ndarray, qubits: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Time in s of the whole task on the QPU (5): data times depth times the time of a layer.

    As printed, (5) has the number of qubits where the depth belongs: qubits work side by side, layers in turn.
    """
    layers = depth if quantum.circuit == "corrected" else qubits
    latency_s: np.ndarray = data_bits * layers * (layer_time(quantum) / BITS_PER_CIRCUIT)
    return latency_s


def quantum_energy(
    quantum: Quantum,
    data_bits: np.ndarray,
    qubits: np.ndarray,
    compute_latency_s: np.ndarray,
    tx_power_w: np.ndarray,
) -> np.ndarray:
    """Energy in J of the whole task on the QPU (6); as corrected, that of its upload comes on top.

    Corrected: power of the qubits times compute time, and transmit power is paid for the upload. As printed, the
    compute part has no time in it, and the device pays transmit power while the QPU computes, not while it uploads.
    """
    energy_j: np.ndarray
    if quantum.circuit == "corrected":
        energy_j = compute_latency_s * qubits * qubit_power(quantum)
    else:
        energy_j = data_bits * qubits * (qubit_power(quantum) / BITS_PER_CIRCUIT) + tx_power_w * compute_latency_s
    return energy_j


def fault_probability(quantum: Quantum, error_rate: float) -> float:
    """Probability that a logical operation fails, from that of a physical one (7): eps_thr (eps / eps_thr)^(2^k0).

    The printed prefactor eps in place of eps_thr makes S at least 2/3 for every task of the paper.
    """
    ratio: float = error_rate / quantum.error_threshold
    prefactor = quantum.error_threshold if quantum.success == "corrected" else error_rate
    return prefactor * ratio ** (2**quantum.concatenation)


def success_probability(
    quantum: Quantum, qubits: np.ndarray, depth: np.ndarray, gates: np.ndarray | None = None
) -> np.ndarray:
    """Success probability S (7): 1 - o l times the probability of a fault, within [0, 1].

    (7) lets every qubit fail in every layer. Where the gates are counted, those fail, each at the rate of its kind, and
    the measurement of every qubit.

    Args:
        quantum: Error rates and code.
        qubits, depth: o and l [..., M].
        gates: On one and on two qubits [..., M, 2], below 0 where they are not known; None if nowhere.
    """
    fault = fault_probability(quantum, quantum.error_rate)
    success = np.asarray(qubits * depth * -fault, np.float64)
    if gates is not None:
        on_one, measured = (
            fault if rate is None else fault_probability(quantum, rate)
            for rate in (quantum.error_rate_1, quantum.error_rate_m)
        )
        counted = gates[..., 0] * on_one + gates[..., 1] * fault + qubits * measured
        success = np.where(gates[..., 1] < 0, success, -counted)
    success += 1.0
    np.maximum(success, 0.0, out=success)
    return np.minimum(success, 1.0, out=success)


def qpu_admitted(quantum: Quantum, success: np.ndarray, qubits: np.ndarray, leased_qubits: np.ndarray) -> np.ndarray:
    """Whether the access point lets a task on the QPU: S high enough (12c) and qubits enough (12d)."""
    admitted: np.ndarray = success >= quantum.min_success
    admitted &= quantum.qubits_counted * qubits <= leased_qubits
    return admitted
