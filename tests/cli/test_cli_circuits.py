"""``meqc-marl circuits`` and every command of its page."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from meqc_marl.circuits import FAMILIES, count
from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.config.qpus import QPUS

pytest.importorskip("qiskit")

PAGE = (Path(__file__).parents[2] / "docs" / "circuits.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"^meqc-marl (.*?)(?:  #.*)?$", "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)), re.M
)


def test_without_circuits_it_lists_families_and_qpus(capsys):
    assert main(["circuits"]) == 0
    out = capsys.readouterr().out
    for name in (*FAMILIES, *QPUS):
        assert name in out
        assert f"`{name}`" in PAGE


def test_a_table_and_a_scenario(tmp_path, capsys):
    words = ["circuits", "qft:5", "ghz:6", "--set", "quantum.qpu=ibm-heron-r3"]
    words += ["--csv", str(tmp_path / "c.csv"), "--yaml", str(tmp_path / "c.yaml")]
    assert main(words) == 0
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    counts = count("qft:5", ("cz", "rz", "sx", "x"), "heavy-hex")
    assert [int(rows[0][name]) for name in ("qubits", "depth", "gates_1", "gates_2")] == list(counts)
    assert float(rows[0]["run_s"]) == pytest.approx(counts.depth * 88e-9)
    failing = 2.0e-4 * counts.gates_1 + 1.5e-3 * counts.gates_2 + 4.5e-3 * 5
    assert float(rows[0]["success"]) == pytest.approx(1 - failing)
    scenario = load_scenario(tmp_path / "c.yaml")
    assert [one.name for one in scenario.tasks.circuits] == ["qft:5", "ghz:6"]
    assert scenario.tasks.source == "circuits"


def test_a_mistake_is_one_sentence(capsys):
    assert main(["circuits", "qft:5000"]) == 2
    assert "from 2 to 100" in capsys.readouterr().err


def test_the_commands_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.qasm").write_text(re.search(r"```qasm\n(.*?)```", PAGE, re.DOTALL)[1])
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        words = shlex.split(command)
        if words[0] in ("compare", "vary"):
            words += ["--num-traces", "2", "--num-slots", "10"]
        assert main(words) == 0, (command, capsys.readouterr().err)
