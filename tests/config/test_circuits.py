"""Circuits and QPUs in a scenario: numbers when it is read, and nothing stale after an override."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from meqc_marl.circuits import BASIS, count, target
from meqc_marl.config import Scenario, changes, load_scenario, save_scenario
from meqc_marl.config import circuits as module
from meqc_marl.config.circuits import PROTEINS, Circuit
from meqc_marl.config.pricing import Quantum
from meqc_marl.config.qpus import QPU_FIELDS, QPUS
from meqc_marl.config.scenario import Tasks
from meqc_marl.errors import InputError
from meqc_marl.nature.tasks import circuit_depth, logical_qubits
from tests.sentences import is_one_sentence


def field(scenario, name):
    part, _, last = name.partition(".")
    return getattr(getattr(scenario, part), last)


def test_the_default_circuits_are_the_table_of_proteins():
    for residues, one in zip((30, 60, 90), PROTEINS, strict=True):
        qubits = logical_qubits(np.array([residues]))
        assert (one.qubits, one.depth) == (qubits[0], circuit_depth(Tasks(), qubits)[0])


def test_the_default_circuits_are_those_that_are_built():
    pytest.importorskip("qiskit")
    for one in PROTEINS:
        assert one.target == target(BASIS, "all", 1)
        assert (one.qubits, one.depth, one.gates_1, one.gates_2) == count(one.built)


@pytest.mark.parametrize("name", QPUS)
def test_a_qpu_sets_its_fields_and_what_is_given_holds(name, tmp_path):
    scenario = load_scenario("paper", [f"quantum.qpu={name}"])
    usual = Scenario()
    for key in QPU_FIELDS:
        assert field(scenario, key) == QPUS[name].fields().get(key, field(usual, key)), key
    changed = load_scenario("paper", [f"quantum.qpu={name}", "quantum.error_rate=2e-6", "devices.leased_qubits=[3, 4]"])
    assert (changed.quantum.error_rate, changed.devices.leased_qubits) == (2e-6, (3, 4))
    save_scenario(changed, tmp_path / "mine.yaml")
    assert load_scenario(tmp_path / "mine.yaml") == changed
    # By name again, and back to the model's own.
    assert load_scenario(changed, [f"quantum.qpu={name}"]) == scenario
    assert load_scenario(changed, ["quantum.qpu=model"]) == usual
    (tmp_path / "short.yaml").write_text(f"quantum: {{qpu: {name}}}\n")
    assert load_scenario(tmp_path / "short.yaml") == scenario
    assert Scenario(quantum=Quantum(qpu=name)) == scenario


@pytest.mark.parametrize("name", ["model", "google-willow"])
def test_what_is_given_beside_a_qpu_holds_in_any_order(name):
    given = ["quantum.error_rate=1e-3", "tasks.circuit_map=line"]
    scenarios = [
        load_scenario("small", words) for words in ([f"quantum.qpu={name}", *given], [*given, f"quantum.qpu={name}"])
    ]
    assert scenarios[0] == scenarios[1]
    assert (scenarios[0].quantum.error_rate, scenarios[0].tasks.circuit_map) == (1e-3, "line")


def test_changes_between_any_two_qpus_and_numbers_of_ones_own():
    some = [load_scenario("paper", [f"quantum.qpu={name}"]) for name in ("model", *QPUS)]
    some += [load_scenario(one, ["quantum.error_rate=2e-6", "devices.leased_qubits=[1000, 5000]"]) for one in some[1:3]]
    some += [load_scenario("paper", ["tasks.circuits=[{qubits: 3, depth: 4}]", "tasks.circuit_map=line"])]
    for before, after in itertools.permutations(some, 2):
        assert load_scenario(before, changes(before, after)) == after


def test_texts_become_numbers_and_are_built_anew(tmp_path):
    pytest.importorskip("qiskit")
    scenario = load_scenario("paper", ["tasks.source=circuits", "tasks.circuits=[qft:4, {qubits: 9, depth: 5}]"])
    built, given = scenario.tasks.circuits
    assert (built.qubits, built.depth, built.gates_1, built.gates_2) == count("qft:4")
    assert (given.qubits, given.depth, given.gates_2, given.built) == (9, 5, 0, "")
    for override, arguments in {
        "tasks.circuit_map=line": (BASIS, "line", 1),
        "tasks.circuit_level=3": (BASIS, "all", 3),
        "tasks.circuit_basis=[cz, rz, sx]": (("cz", "rz", "sx"), "all", 1),
        "quantum.qpu=google-willow": (("cz", "u"), "grid", 1),
    }.items():
        other = load_scenario(scenario, [override])
        again, kept = other.tasks.circuits
        assert (again.qubits, again.depth, again.gates_1, again.gates_2) == count("qft:4", *arguments), override
        assert kept == given
        assert load_scenario(scenario, changes(scenario, other)) == other
        assert load_scenario(other, changes(other, scenario)) == scenario
    save_scenario(scenario, tmp_path / "mine.yaml")
    assert load_scenario(tmp_path / "mine.yaml") == scenario


def test_who_reads_numbers_needs_no_qiskit(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "count", lambda *_: pytest.fail("built"))
    save_scenario(load_scenario("paper", ["tasks.source=circuits"]), tmp_path / "mine.yaml")
    assert load_scenario(tmp_path / "mine.yaml").tasks.circuits == PROTEINS
    load_scenario(load_scenario("paper"), ["quantum.qpu=ionq-aria"])


def test_what_was_counted_for_another_basis_is_refused(tmp_path):
    with pytest.raises(InputError, match="counted for") as caught:
        load_scenario("paper", ["quantum.qpu=ionq-aria", "tasks.source=circuits"])
    assert is_one_sentence(str(caught.value))
    (tmp_path / "mine.yaml").write_text("tasks: {source: circuits, circuit_map: line}\n")
    with pytest.raises(InputError, match="counted for"):
        load_scenario(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("tasks.circuits=[]", "a list of 1 to 1000 circuits"),
        ("tasks.circuits=3", "tasks.circuits is 3"),
        ("tasks.circuits=[3]", r"tasks.circuits\[0\] is 3"),
        ("tasks.circuits=[qtf:8]", "did you mean 'qft'"),
        ("tasks.circuits=[missing.qasm]", "No such file"),
        ("tasks.circuits=missing.qasm", "No such file"),
        ("tasks.circuits=[{qubits: 3}]", "lacks depth"),
        ("tasks.circuits=[{qubits: 0, depth: 3}]", r"tasks.circuits\[0\].qubits is 0"),
        ("tasks.circuits=[{qubits: 3, depth: 3, gates_1: -1}]", r"tasks.circuits\[0\].gates_1 is -1"),
        ("tasks.circuits=[{qubits: 3, depth: 3, cycles_per_bit: 1e9}]", "cycles_per_bit is"),
        ("tasks.circuits=[{qubits: 3, depth: true}]", "depth is True; it must be a whole number from 1"),
        ("tasks.circuits=[{qubits: 3, depth: 3, gate: 2}]", r"tasks.circuits\[0\].gate is not a field"),
        ("tasks.circuit_basis=[cy, foo]", "'foo' is no gate"),
        ("tasks.circuit_basis=[]", "a list of 1 to 50 names of gates"),
        ("tasks.circuit_map=ball", "heavy-hex"),
        ("tasks.circuit_level=4", "from 0 to 3"),
        ("quantum.qpu=foo", "'google-willow'"),
        ("quantum.qpu=[foo]", "'google-willow'"),
        ("quantum.error_rate_1=0.6", "from 0 to 0.5"),
    ],
)
def test_mistakes_are_sentences(override, said):
    pytest.importorskip("qiskit")
    with pytest.raises(InputError, match=said) as caught:
        load_scenario("paper", [override])
    assert is_one_sentence(str(caught.value)), caught.value


def test_every_number_of_a_circuit_has_bounds_with_a_reason():
    for name, info in Circuit.model_fields.items():
        if info.annotation is not str:
            assert info.json_schema_extra["reason"], name


def test_every_qpu_has_a_source_and_times_in_order():
    for name, qpu in QPUS.items():
        assert len(qpu.source) > 10, name
        assert 0 < qpu.times_s[0] < qpu.times_s[1]
        assert 0 < qpu.errors[0] < qpu.errors[1] < 0.05


def test_the_page_tells_the_numbers_of_every_machine():
    page = (Path(__file__).parents[2] / "docs" / "circuits.md").read_text(encoding="utf-8")
    units = {"ns": 1e-9, "us": 1e-6}
    for name, qpu in QPUS.items():
        cells = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |")).split("|")[2:-1]
        times = [float(number) * units[unit] for number, unit in (time.split() for time in cells[1].split(","))]
        assert int(cells[0]) == qpu.qubits
        assert times == pytest.approx(qpu.times_s)
        assert [float(error) for error in cells[2].split(",")] == pytest.approx(qpu.errors)
