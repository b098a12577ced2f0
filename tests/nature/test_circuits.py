"""Circuits as tasks: what is drawn, kept in traces and files, and how often the QPU then fails."""

import numpy as np
import pytest
from scipy import stats

from meqc_marl.config import load_scenario
from meqc_marl.config.pricing import Quantum
from meqc_marl.errors import InputError
from meqc_marl.nature.building import build_trace
from meqc_marl.nature.tables import read_table
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.nature.trace_file import load_trace, save_trace
from meqc_marl.physics.places import price
from meqc_marl.physics.quantum import success_probability

CIRCUITS = (
    "tasks.circuits=[{qubits: 5, depth: 7, gates_1: 11, gates_2: 3}, {qubits: 9, depth: 40, gates_2: 100}, "
    "{qubits: 20, depth: 21, gates_1: 2, gates_2: 19, cycles_per_bit: 33}]"
)
NUMBERS = {(5, 7, 11, 3, 8.0), (9, 40, 0, 100, 8.0), (20, 21, 2, 19, 33.0)}


@pytest.fixture
def scenario(small):
    return load_scenario(small, ["tasks.source=circuits", CIRCUITS, "quantum.qpu=google-willow"])


def test_each_circuit_is_as_likely_and_the_rest_of_nature_is_as_before(scenario, small):
    trace, before = generate_trace(scenario, range(20)), generate_trace(small, range(20))
    rows = np.stack([trace.qubits, trace.depth, *np.moveaxis(trace.gates, -1, 0), trace.cycles_per_bit], -1)
    found, counts = np.unique(rows.reshape(-1, 5), axis=0, return_counts=True)
    assert {tuple(row) for row in found.tolist()} == NUMBERS
    assert stats.chisquare(counts).pvalue > 1e-3
    for name in ("gain", "data_bits", "deadline_s", "position_m"):
        np.testing.assert_array_equal(getattr(trace, name), getattr(before, name))
    assert before.gates is None


def test_gates_go_where_the_trace_goes(scenario, tmp_path):
    trace = generate_trace(scenario, [0, 1, 2], num_slots=12)
    np.testing.assert_array_equal(trace.rows(1, 3).gates, trace.gates[:, 1:3])
    np.testing.assert_array_equal(trace.row(2).gates, trace.gates[:, 2:])
    np.testing.assert_array_equal(trace.window(3, 7).gates, trace.gates[3:7])
    np.testing.assert_array_equal(trace.slot(4).gates, trace.gates[4])
    np.testing.assert_array_equal(trace.slots(2, 5).gates, trace.gates[2:5])
    assert trace.slot(0).gates.dtype == np.float64
    save_trace(trace, tmp_path / "mine.npz")
    np.testing.assert_array_equal(load_trace(tmp_path / "mine.npz", scenario).gates, trace.gates)


def test_rows_with_and_without_gates_side_by_side(scenario, small, tmp_path):
    counted, other = generate_trace(scenario, [0], num_slots=12), generate_trace(small, [0], num_slots=12)
    both = Trace.stack([other, counted])
    assert (both.gates[:, 0] == -1).all()
    np.testing.assert_array_equal(both.gates[:, 1], counted.gates[:, 0])
    save_trace(both, tmp_path / "both.npz")
    assert (load_trace(tmp_path / "both.npz", scenario).gates[:, 0] == -1).all()
    apart = [price(scenario, part.slots()).qpu_admitted for part in (other, counted)]
    np.testing.assert_array_equal(price(scenario, both.slots()).qpu_admitted, np.concatenate(apart, 1))
    assert Trace.stack([other, other]).gates is None


def test_success_by_hand():
    quantum = Quantum(qpu="google-willow")  # 4.0e-4 on one, 3.4e-3 on two, 7.2e-3 measured
    numbers = np.array([(one[0], one[1]) for one in NUMBERS], np.float64).T
    gates = np.array([one[2:4] for one in NUMBERS], np.float64)
    by_hand = [max(0.0, 1 - (4.0e-4 * g1 + 3.4e-3 * g2 + 7.2e-3 * o)) for o, _, g1, g2, _ in NUMBERS]
    np.testing.assert_allclose(success_probability(quantum, *numbers, gates), by_hand, rtol=1e-12)
    volume = [max(0.0, 1 - 3.4e-3 * o * depth) for o, depth, *_ in NUMBERS]
    np.testing.assert_allclose(success_probability(quantum, *numbers), volume, rtol=1e-12)
    np.testing.assert_allclose(success_probability(quantum, *numbers, np.full((3, 2), -1.0)), volume, rtol=1e-12)


def test_success_with_a_code_by_hand():
    quantum = Quantum(error_rate_1=1e-6, error_rate_m=4e-6)  # threshold 2e-5, level 1
    on_one, on_two, measured = (2e-5 * (rate / 2e-5) ** 2 for rate in (1e-6, 2e-6, 4e-6))
    found = success_probability(quantum, np.array(50.0), np.array(60.0), np.array([1e5, 2e5]))
    assert found == pytest.approx(1 - (1e5 * on_one + 2e5 * on_two + 50 * measured), rel=1e-12)
    printed = Quantum(success="literal")
    found = success_probability(printed, np.array(50.0), np.array(60.0), np.array([1e5, 2e5]))
    assert found == pytest.approx(1 - 300_050 * 2e-6 * 0.01, rel=1e-12)


def test_first_order_of_the_product_of_what_does_not_fail():
    quantum = Quantum(qpu="ibm-heron-r3")
    rates = np.array([quantum.error_rate_1, quantum.error_rate, quantum.error_rate_m])
    for numbers in ([30, 10, 5], [3, 2, 2], [100, 40, 8]):
        exact = np.prod((1 - rates) ** np.array(numbers))
        found = success_probability(quantum, np.array(numbers[2]), np.array(1), np.array(numbers[:2], float))
        assert found <= exact <= found + (rates @ numbers) ** 2 / 2


def test_tables_may_hold_gates(small, tmp_path):
    rows = [f"{slot},{device},{3 + slot},{4 + device},{slot},{device}" for slot in range(4) for device in range(3)]
    (tmp_path / "tasks.csv").write_text("\n".join(["slot,device,qubits,depth,gates_1,gates_2", *rows]) + "\n")
    trace = build_trace(small, {"tasks": read_table("tasks", tmp_path / "tasks.csv")})
    slots, devices = np.mgrid[:4, :3]
    np.testing.assert_array_equal(trace.gates[:, 0], np.stack([slots, devices], -1))
    (tmp_path / "half.csv").write_text("slot,device,gates_1\n0,0,3\n")
    with pytest.raises(InputError, match="both or none"):
        read_table("tasks", tmp_path / "half.csv")


def test_a_table_of_other_circuits_does_not_keep_the_gates_of_drawn_ones(scenario, tmp_path):
    (tmp_path / "tasks.csv").write_text("slot,device,qubits,depth\n0,0,4,4\n1,0,5,5\n")
    assert build_trace(scenario, {"tasks": read_table("tasks", tmp_path / "tasks.csv")}).gates is None
