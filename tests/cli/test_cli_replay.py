"""``meqc-marl replay`` on traces from files: which row is shown, and with which of its slots."""

import json
import re

import numpy as np
import pytest

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import save_trace
from meqc_marl.policies import make_policy

SCENARIO = load_scenario("small")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"monday": ([1], 9), "tuesday": ([2, 3], 14)}
    for name, (seeds, slots) in rows.items():
        save_trace(generate_trace(SCENARIO, seeds, num_slots=slots), f"{name}.npz")
    return ["--scenario", "small", "--trace", "monday.npz", "tuesday.npz"]


def facts(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script[^>]*id="facts-json"[^>]*>(.*?)</script>', text, re.DOTALL)[1])


@pytest.mark.parametrize(("row", "name", "seed", "slots"), [(None, "monday", 1, 9), (2, "tuesday:1", 3, 14)])
def test_any_row_of_several_files_is_shown(files, tmp_path, row, name, seed, slots):
    words = [] if row is None else ["--row", str(row)]
    assert main(["replay", "oracle", *files, *words, "--out", "r.html"]) == 0
    told = facts(tmp_path / "r.html")
    assert told["about"].endswith(f"trace {name}")
    assert told["slots"] == slots
    record = rollout(make_policy("oracle", SCENARIO), SCENARIO, generate_trace(SCENARIO, [seed], num_slots=slots))
    np.testing.assert_allclose(told["curves"][0]["cost"], record.cost[:, 0].mean(-1), atol=1e-4)


def test_rows_that_are_not_there(files, capsys):
    assert main(["replay", "oracle", *files, "--row", "3"]) == 2
    assert "row: 3 is not allowed; it must be at most 2" in capsys.readouterr().err
    assert main(["replay", "oracle", "--scenario", "small", "--row", "0"]) == 2
    assert "row is 0; it is for traces, of which there are none" in capsys.readouterr().err
    assert main(["replay", "oracle", *files, "--out", "monday.npz"]) == 2
    assert "monday.npz" in capsys.readouterr().err
