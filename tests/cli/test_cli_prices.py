"""Prices are searched, reported, written, and used by a comparison; what is wrong with them is told in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.comparison import compare
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies.priced import priced_joint, queue_drift
from meqc_marl.policies.toll.schedule_file import read_schedules
from meqc_marl.policies.toll.schedules import Prices, QueueWeights
from tests.sentences import is_one_sentence

SYSTEM = ["num_devices=4", "horizon=12", "resources.server_hz=2e9", "lyapunov.delta=0.3"]
CHANGES = [word for change in SYSTEM for word in ("--set", change)]
SHORT = ["--num-traces", "1", "--num-slots", "12", "--evaluations", "7", "--held-out", "1", "--trace-seed", "5"]


def test_prices_are_searched_and_compare_uses_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, report, compared = (tmp_path / name for name in ("prices.json", "report.json", "compared.json"))
    files = ["--out", str(out), "--json", str(report)]
    assert main(["prices", *CHANGES, *SHORT, *files, "--policies", "priced-joint", "queue-drift"]) == 0
    told = capsys.readouterr().out
    assert "priced-joint" in told
    assert "QPU wait" in told
    schedules, scenario = read_schedules(out)
    assert scenario == load_scenario("queued", SYSTEM)
    assert [type(each) for each in schedules.values()] == [Prices, QueueWeights]

    again = ["compare", "--scenario", "queued", *CHANGES, "--num-traces", "1", "--trace-seed", "5"]
    policies = ["--policies", "joint-oracle", "priced-joint", "queue-drift"]
    assert main([*again, *policies, "--prices", str(out), "--json", str(compared)]) == 0
    made = [priced_joint(scenario, schedules["priced-joint"]), queue_drift(scenario, schedules["queue-drift"])]
    expected = compare(made, scenario, generate_trace(scenario, [5]))
    for file in (report, compared):
        policies_of = json.loads(file.read_text())["policies"]
        for name, metrics in expected.metrics.items():
            for metric in ("cost", "cpu_wait_s", "qpu_wait_s", "deadline_missed"):
                assert policies_of[name][metric]["per_trace"] == metrics[metric].tolist()
    assert "searched elsewhere" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "must hold prices by policy"),
        ('{"prices": {}}', "must hold prices by policy"),
        ('{"prices": {"priced-joint": {"cpu": 1, "qpu": 1}}}', "must hold the scenario"),
        ({"priced-join": {"cpu": 1, "qpu": 1}}, "did you mean 'priced-joint'"),
        ({"priced-joint": {"cpu": 1}}, "must be numbers by name"),
        ({"priced-joint": {"cpu": "1", "qpu": 1}}, "must be numbers by name"),
        ({"priced-joint": {"cpu": True, "qpu": 1}}, "must be numbers by name"),
        ({"queue-drift": {"cpu": 1, "qpu": 1, "cpu_slope": 1}}, "must be numbers by name"),
        ({"priced-joint": {"cpu": -1, "qpu": 1}}, "must be from 0 to"),
        ({"priced-selfish": {"cpu": 1, "qpu": 1}}, "none of them is compared"),
    ],
)
def test_a_file_that_holds_no_prices_is_told_in_one_sentence(
    content: object, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prices.json"
    if not isinstance(content, str):
        content = json.dumps({"prices": content, "scenario": load_scenario("queued").model_dump(mode="json")})
    path.write_text(content)
    assert main(["compare", "--scenario", "queued", "--prices", str(path), "--policies", "priced-joint"]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert is_one_sentence(error.strip())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scenario", "pooled"], "must be queued"),
        (["--evaluations", "6"], "at least 7"),
        (["--num-slots", "0"], "num-slots"),
        (["--held-out", "0", "--json", "x.json"], "needs held-out"),
        (["--policies"], "none is given"),
        (["--out", "same.json", "--json", "same.json"], "different files"),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_sentence(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["prices", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert is_one_sentence(error.strip())
    assert not list(tmp_path.iterdir())
