"""The notebooks run from the first cell to the last, and what they store was made so."""

import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "notebooks"
NAMES = ["train-and-compare", "what-would-a-qpu-buy-us"]
STORED = NAMES
"""Those kept with what they print and draw."""


def outputs(cell, kind):
    return [one for one in cell.outputs if kind in one.get("data", {})]


def run(name, folder, monkeypatch, parameters):
    """The notebook after a run with less to spend."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    monkeypatch.setenv("RAY_ADDRESS", "local")
    command = folder / "meqc-marl"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m meqc_marl.cli "$@"\n')
    command.chmod(0o755)
    book = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    (cell,) = (cell for cell in book.cells if "parameters" in cell.metadata.get("tags", []))
    assert {line.split(" = ")[0] for line in cell.source.splitlines()} == set(parameters)
    cell.source = "\n".join(f"{key} = {value}" for key, value in parameters.items())
    nbclient.NotebookClient(book, timeout=250, resources={"metadata": {"path": str(folder)}}).execute()
    return book


def test_there_are_those_that_the_index_names():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES
    for name in NAMES:
        assert f"(notebooks/{name}.ipynb)" in index


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_is_a_whole_run_without_errors_with_pictures(name):
    book = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [one for cell in code for one in cell.outputs if one.output_type == "error"]
    assert sum(len(outputs(cell, "image/png")) for cell in code) >= 2
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 1_000_000
    assert str(ROOT) not in (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")


def test_what_would_a_qpu_buy_us_runs(tmp_path, monkeypatch):
    book = run("what-would-a-qpu-buy-us", tmp_path, monkeypatch, {"num_traces": 2, "num_slots": 5})
    text = "".join(one.text for cell in book.cells for one in cell.get("outputs", []) if one.output_type == "stream")
    rows = [line.split() for line in text.splitlines() if line[:1] == " " and "[" in line and "qubits" not in line]
    assert len(rows) == 12
    # More qubits never cost more, at any error rate.
    for rate in {row[1] for row in rows}:
        costs = [float(row[2]) for row in rows if row[1] == rate]
        assert costs == sorted(costs, reverse=True)


@pytest.mark.long
def test_train_and_compare_runs(tmp_path, monkeypatch):
    book = run("train-and-compare", tmp_path, monkeypatch, {"env_steps": 600, "num_traces": 2})
    text = "".join(one.text for cell in book.cells for one in cell.get("outputs", []) if one.output_type == "stream")
    assert "regret of the learned policy" in text
    assert "error:" not in text
    assert (tmp_path / "results" / "notebook" / "comparison.png").is_file()
