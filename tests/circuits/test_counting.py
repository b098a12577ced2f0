"""Circuits counted, against formulas by hand, the longest path worked out anew, and two versions of OpenQASM."""

import sys

import numpy as np
import pytest

from meqc_marl.circuits import BASIS, FAMILIES, GATES, MAPS, NoSuchCircuitError, count
from meqc_marl.circuits import counting as module
from meqc_marl.config.scenario import Tasks
from meqc_marl.nature.tasks import circuit_depth, logical_qubits

qiskit = pytest.importorskip("qiskit")

HERON = ("cz", "rz", "sx", "x")

QASM2 = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[4];
creg c[4];
h q[0]; cx q[0],q[1]; cx q[1],q[2]; rz(0.3) q[2]; barrier q; cx q[2],q[0];
measure q -> c;
"""
QASM3 = """// OPENQASM 2 is not what this is
OPENQASM 3.0;
include "stdgates.inc";
qubit[4] q;
bit[4] c;
h q[0]; cx q[0],q[1]; cx q[1],q[2]; rz(0.3) q[2]; barrier q; cx q[2],q[0];
c = measure q;
"""


@pytest.mark.parametrize("n", [2, 5, 30])
def test_by_hand(n):
    assert count(f"ghz:{n}") == (n, n, 1, n - 1)
    assert count(f"real-amplitudes:{n}") == (n, n + 1, 2 * n, n - 1)
    phases = n * (n - 1) // 2
    assert count(f"qft:{n}", ("h", "cp", "swap"), level=0)[2:] == (n, phases + n // 2)
    if n > 2:
        # ZZ is two CX and a rotation; two reps of a ring of n, and mixers
        assert count(f"qaoa:{n}:2", level=0)[2:] == (n + 2 * n + 2 * n, 4 * n)


def longest(circuit, free):
    """Layers of the longest way through a circuit, gate by gate."""
    ends = dict.fromkeys(circuit.qubits, 0)
    for one in circuit.data:
        last = max(ends[qubit] for qubit in one.qubits) + (one.operation.name not in free)
        ends.update(dict.fromkeys(one.qubits, last))
    return max(ends.values())


@pytest.mark.parametrize("coupling", MAPS)
@pytest.mark.parametrize("text", ["qft:5", "quantum-volume:6", "qaoa:7:2", "efficient-su2:9:2"])
def test_depth_is_the_longest_path_and_gates_are_between_neighbours(text, coupling):
    family, size, *reps = text.split(":")
    made = FAMILIES[family].make(int(size), int(reps[0]) if reps else 1)
    transpiled = module._transpiled(made, HERON, coupling, 1)
    counts = count(text, HERON, coupling)
    free = {"rz", "barrier", "measure"}
    assert counts.depth == longest(transpiled, free)
    names = [one.operation.name for one in transpiled.data]
    assert counts.gates_2 == names.count("cz")
    assert counts.gates_1 == names.count("sx") + names.count("x")
    assert set(names) - free <= set(HERON)
    if coupling != "all":
        pairs = set(module._coupling(coupling, int(size)).get_edges())
        for one in transpiled.data:
            places = tuple(transpiled.find_bit(qubit).index for qubit in one.qubits)
            assert one.operation.name != "cz" or places in pairs or places[::-1] in pairs


def test_what_is_apart_costs_swaps():
    whole, line = count("qaoa:3", HERON, "all"), count("qaoa:3", HERON, "line")
    assert line.gates_2 > whole.gates_2
    assert count("ghz:9", HERON, "line").gates_2 == count("ghz:9", HERON, "all").gates_2 == 8


def test_both_versions_of_openqasm(tmp_path):
    (tmp_path / "two.qasm").write_text(QASM2)
    (tmp_path / "three.qasm").write_text(QASM3)
    # Qubit 3 is measured and nothing else: it counts as a qubit, and has no gate.
    two, three = (count(str(tmp_path / name)) for name in ("two.qasm", "three.qasm"))
    assert two == three == (4, 5, 2, 3)
    assert count(str(tmp_path / "two.qasm"), ("rxx", "rx", "ry", "rz")).gates_2 == 3


@pytest.mark.parametrize("residues", range(7, 13))
@pytest.mark.parametrize("coupling", ["all", "line", "heavy-hex"])
def test_the_table_of_proteins_is_that_of_circuits_that_are_built(residues, coupling):
    counts = count(f"protein:{residues}", BASIS, coupling)
    qubits = logical_qubits(np.array([residues]))
    assert counts.qubits == qubits[0]
    assert counts.depth == circuit_depth(Tasks(), qubits)[0]


@pytest.mark.parametrize("reps", [2, 3])
def test_repetitions_one_after_the_other_and_as_tight_as_they_go(reps):
    from qiskit.circuit import library

    for residues in (7, 9):
        qubits = logical_qubits(np.array([residues]))
        assert count(f"protein:{residues}:{reps}").depth == circuit_depth(Tasks(circuit_reps=reps), qubits)[0]
        tight = library.real_amplitudes(int(qubits[0]), reps=reps, entanglement="linear")
        assert tight.depth() == qubits[0] + 3 * reps - 2


def test_the_gates_are_those_of_qiskit():
    from qiskit.circuit.library import get_standard_gate_name_mapping

    others = {"measure", "reset", "delay", "barrier", "global_phase"}
    assert set(GATES) == set(get_standard_gate_name_mapping()) - others


def bomb(levels):
    """Gates of gates of gates: a few lines, and 2^levels operations."""
    lines = ["gate g0 a { x a; }", *(f"gate g{i + 1} a {{ g{i} a; g{i} a; }}" for i in range(levels))]
    return "\n".join(["OPENQASM 2.0;", 'include "qelib1.inc";', *lines, "qreg q[1];", f"g{levels} q[0];"])


BAD = {
    "bomb.qasm": bomb(60),
    "wide.qasm": 'OPENQASM 2.0; include "qelib1.inc"; qreg q[1000000000]; x q[0];',
    "wide3.qasm": "OPENQASM 3.0; const int[64] n = 1_000_000_000; qubit[n] q; reset q;",
    "wide_in_figures.qasm": f"OPENQASM 3.0; qubit[{'9' * 5000}] q; reset q;",
    "branch.qasm": 'OPENQASM 3.0; include "stdgates.inc"; qubit q; bit c; c = measure q; if (c) { x q; }',
    "one.qasm": "OPENQASM 1.0; qreg q[2];",
    "broken.qasm": 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; cx q[0];',
    "broken3.qasm": "OPENQASM 3.0; qubit[2] q; nonsense q[0];",
    "none.qasm": "OPENQASM 3.0; qubit[2] q;",
    "no_version.qasm": "hello",
    "other.qasm": 'OPENQASM 2.0; include "elsewhere.inc"; qreg q[2];',
}


@pytest.mark.parametrize("name", [*BAD, "missing.qasm", ".qasm"])
def test_a_bad_file_is_a_sentence(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file, text in BAD.items():
        (tmp_path / file).write_text(text)
    with pytest.raises(NoSuchCircuitError) as caught:
        count(name)
    said = str(caught.value)
    assert "\n" not in said
    assert 10 < len(said) < 400
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qtf:8", "did you mean 'qft'"),
        ("qft:1", "from 2 to 100"),
        ("qft:999999999", "from 2 to 100"),
        ("ghz:4:2", "no repetitions"),
        ("protein:9:101", "from 1 to 100"),
        ("qft", "family:size"),
        ("", "family:size"),
    ],
)
def test_what_is_no_family_or_size(text, said):
    with pytest.raises(NoSuchCircuitError, match=said):
        count(text)


def test_gates_of_ones_own_are_written_out(tmp_path):
    (tmp_path / "small.qasm").write_text(bomb(5))
    assert count(str(tmp_path / "small.qasm"), level=0) == (1, 32, 32, 0)
    (tmp_path / "large.qasm").write_text(bomb(60))
    with pytest.raises(NoSuchCircuitError, match=r"it has 1,152,921,504,606,846,976 operations"):
        count(str(tmp_path / "large.qasm"))


def test_what_would_take_too_long_to_lead_between_neighbours_is_refused():
    assert count("ghz:1300").gates_2 == 1299
    with pytest.raises(NoSuchCircuitError, match=r"1,300 qubits; between neighbours it may have 1,200"):
        count("ghz:1300", coupling="line")


def test_a_basis_that_cannot_make_it():
    with pytest.raises(NoSuchCircuitError, match="cannot be transpiled to h"):
        count("ghz:3", ("h",))


def test_without_qiskit_it_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "qiskit", None)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoSuchCircuitError, match=r"meqc-marl\[quantum\]"):
        count("ghz:7", BASIS, "ring")
