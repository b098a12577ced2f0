"""``meqc-marl scenario`` from the outside."""

import subprocess
import sys

import pytest

from meqc_marl.cli import main
from meqc_marl.config import PRESETS, Scenario, load_scenario
from meqc_marl.config.describe import format_value, scenario_rows


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")


def test_rows_cover_every_field_with_meaning():
    rows = list(scenario_rows(Scenario()))
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert {"num_devices", "cost.latency", "lyapunov.v", "quantum.tau_2_s"} <= set(names)
    assert all(row.meaning for row in rows)
    power = next(row for row in rows if row.name == "devices.tx_power")
    assert power.unit == "W"


@pytest.mark.parametrize("preset", PRESETS)
def test_show_prints_every_field(preset, capsys):
    assert main(["scenario", "show", preset]) == 0
    out = capsys.readouterr().out
    for row in scenario_rows(load_scenario(preset)):
        assert row.name in out


def test_written_yaml_is_checked_and_the_difference_told(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    assert main(["scenario", "show", "paper", "--set", "lyapunov.v=2.5", "--yaml", str(path)]) == 0
    assert load_scenario(path) == load_scenario("paper", ("lyapunov.v=2.5",))
    capsys.readouterr()
    assert main(["scenario", "check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "valid" in out
    assert "lyapunov.v = 2.5 (paper: 1)" in out
    assert "num_devices" not in out


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e9, "1e9"), (1.4e11, "1.4e11"), (0.05, "0.05"), (-174.0, "-174"), (None, ""), ((8.0, 40.0), "[8, 40]")],
)
def test_values_are_short_and_can_be_given_back(value, text):
    assert format_value(value) == text


def test_reader_that_goes_away_is_no_crash():
    command = f"{sys.executable} -m meqc_marl.cli scenario show paper | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
