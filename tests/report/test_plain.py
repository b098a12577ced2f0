"""Names of users are shown as they are, wherever; numbers that are none are never written."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.metrics import measure
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy
from meqc_marl.report.tables import save_json
from tests.sentences import is_one_sentence

NAMES = ["[/]", "[red]x[/red]", ":smile:", "$\\frac$", "$a$ $", "[link=x]", "%s {0}", "\\[x]", "<b>&amp;</b>", "é<&>"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is(name, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    given = ["--set", f"name={json.dumps(name)}", "--set", "num_devices=2"]
    small = ["--num-traces", "1", "--num-slots", "2", "--policies", "oracle", "--plot", str(tmp_path / "x.svg")]
    for arguments in (
        ["compare", *given, *small, "--json", str(tmp_path / "x.json")],
        ["vary", "lyapunov.v=1,2", *given, *small],
        ["scenario", "show", *given, "--yaml", str(tmp_path / "mine.yaml")],
        ["scenario", "check", str(tmp_path / "mine.yaml")],
    ):
        assert main(arguments) == 0, arguments
        assert name in capsys.readouterr().out, arguments
    assert json.loads((tmp_path / "x.json").read_text())["scenario"]["name"] == name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["cost", "reward", "fraction", "regret", "backlog", "energy_j"])
def test_a_result_that_is_not_finite_is_an_error_with_scenario_and_field(field, value):
    scenario = load_scenario("small", ["channel.shadowing_db=7"])
    oracle = make_policy("oracle", scenario)
    record = rollout(oracle, scenario, generate_trace(scenario, [1, 2], num_slots=4), reference=oracle)
    broken = getattr(record, field).copy()
    broken[-1, 1, 2] = value
    with pytest.raises(InputError) as caught, np.errstate(invalid="ignore"):
        measure(replace(record, **{field: broken}), scenario)
    text = str(caught.value)
    assert is_one_sentence(text), text
    for part in ("scenario 'small'", field, "finite", "channel.shadowing_db=7"):
        assert part in text
    measure(record, scenario)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_never_holds_what_is_no_number(value, tmp_path):
    with pytest.raises(InputError, match="not finite") as caught:
        save_json({"a": [1.0, {"b": value}]}, tmp_path / "x.json")
    assert is_one_sentence(str(caught.value))
    assert list(tmp_path.iterdir()) == []


def test_in_a_pipe_a_line_stays_a_line_however_long_its_path(capsys, tmp_path):
    path = tmp_path / ("long" * 40) / "mine.yaml"
    path.parent.mkdir()
    path.write_text("name: small\n")
    assert main(["scenario", "check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{path}: valid"
    small = ["--set", "num_devices=2", "--num-traces", "1", "--num-slots", "2", "--policies", "oracle"]
    assert main(["compare", *small, "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert main(["compare", *small, "--json", str(tmp_path / "x")]) == 0
    assert capsys.readouterr().out == out
    notes = [line for line in out.splitlines() if line.endswith(".")]
    assert notes
    assert max(map(len, notes)) > 80
