from __future__ import annotations

import numpy as np
import pytest

from meqc_marl.config.scenario import Local, Quantum, Server
from meqc_marl.physics.local import local_latency, local_power
from meqc_marl.physics.quantum import (
    layer_time,
    qpu_admitted,
    quantum_energy,
    quantum_latency,
    qubit_power,
    success_probability,
)
from meqc_marl.physics.server import server_latency, server_power


def one(value: float) -> np.ndarray:
    return np.array([value])


def test_local_by_hand() -> None:
    # 2e9 bit * 8 cycles/bit / 2e9 Hz = 8 s; 5e-28 * (2e9)^3 = 4 W
    assert local_latency(one(2e9), one(8.0), one(2e9)) == pytest.approx([8.0])
    assert local_power(Local(), one(2e9)) == pytest.approx([4.0])
    # zeta 2.5: 5e-28 * (2e9)^2.5 = 5e-28 * 1.78885438e23
    assert local_power(Local(zeta=2.5), one(2e9)) == pytest.approx([8.9442719e-5])


def test_server_by_hand() -> None:
    # 2e9 * 8 / 5e9 = 3.2 s; 8e-29 * 1.25e29 = 10 W
    assert server_latency(one(2e9), one(8.0), one(5e9)) == pytest.approx([3.2])
    assert server_power(Server(), one(5e9)) == pytest.approx([10.0])
    assert server_power(Server(rho=5e-28), one(5e9)) == pytest.approx([62.5])


def test_quantum_constants_by_hand() -> None:
    # 25 * 2 + 100 * 8 + 100 * 2 = 1050 ns
    assert layer_time(Quantum()) == pytest.approx(1.05e-6)
    # 0.2 * 2 + 0.2 * 8 + 0.4 * 2 + 2 * 7 = 16.8 mW
    assert qubit_power(Quantum()) == pytest.approx(16.8e-3)


def test_quantum_latency_by_hand() -> None:
    # 250 MB = 2000 Mb: 2000 * depth 898 * 1.05e-6 = 1.8858 s; printed, with the 897 qubits: 1.8837 s
    data, qubits, depth = one(250 * 8e6), one(897.0), one(898.0)
    assert quantum_latency(Quantum(), data, qubits, depth) == pytest.approx([1.8858])
    assert quantum_latency(Quantum(circuit="literal"), data, qubits, depth) == pytest.approx([1.8837])


def test_quantum_energy_by_hand() -> None:
    data, qubits, compute_s, power = one(2e9), one(897.0), one(1.8858), one(0.1)
    expected = 28.41825168  # 1.8858 * 897 * 0.0168
    assert quantum_energy(Quantum(), data, qubits, compute_s, power) == pytest.approx([expected])
    # printed: 2000 * 897 * 0.0168, no time; and transmit power for the compute time
    expected = 30139.2 + 0.18858
    literal = Quantum(circuit="literal")
    assert quantum_energy(literal, data, qubits, compute_s, power) == pytest.approx([expected])


def test_success_by_hand() -> None:
    # 1 - 897 * 898 * 2e-5 * 0.1^2 = 1 - 805506 * 2e-7 = 0.8388988
    qubits, depth = np.array([897.0, 2022.0, 3000.0]), np.array([898.0, 2023.0, 3001.0])
    np.testing.assert_allclose(success_probability(Quantum(), qubits, depth), [0.8388988, 0.1818988, 0.0])
    # printed prefactor: a tenth
    printed = success_probability(Quantum(success="literal"), qubits, depth)
    np.testing.assert_allclose(printed, [0.98388988, 0.91818988, 0.81994], rtol=1e-6)
    # level 2: 2e-5 * 0.1^4; level 0: 2e-5 * 0.1 = 2e-6, 1 - 1.611 -> 0
    assert success_probability(Quantum(concatenation=2), one(897.0), one(898.0)) == pytest.approx([0.998388988])
    assert success_probability(Quantum(concatenation=0), one(897.0), one(898.0)) == pytest.approx([0.0])


def admitted_to(quantum: Quantum, qubits: np.ndarray, leased: np.ndarray) -> np.ndarray:
    return qpu_admitted(quantum, success_probability(quantum, qubits, qubits + 1), qubits, leased)


def test_admission_by_hand() -> None:
    # S >= 2/3 is o l <= 1666666.7: 1290 * 1291 = 1665390 yes, 1291 * 1292 = 1667972 no.
    qubits, leased = np.array([1290.0, 1291.0, 999.0, 1000.0, 1001.0]), np.array([5000.0, 5000.0, 1000, 1000, 1000])
    admitted = admitted_to(Quantum(), qubits, leased)
    np.testing.assert_array_equal(admitted, [True, False, True, True, False])
    # Physical qubits: 7 * 142 = 994, 7 * 143 = 1001
    qubits = np.array([142.0, 143.0])
    admitted = admitted_to(Quantum(qubits_counted=7), qubits, np.array([1000.0, 1000.0]))
    np.testing.assert_array_equal(admitted, [True, False])
    # The printed prefactor admits every task of the paper that has the qubits.
    assert admitted_to(Quantum(success="literal"), one(2022.0), one(5000.0))[0]
    assert not admitted_to(Quantum(), one(2022.0), one(5000.0))[0]
