"""``meqc-marl compare`` from the outside."""

import json
import subprocess
import sys

import pytest
from learned import learned_is_local_only

from meqc_marl.cli import COMMANDS, main
from meqc_marl.cli.compare import Compare
from meqc_marl.config import load_scenario
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import save_trace
from meqc_marl.policies import DEFAULT_POLICIES

SMALL = ["--num-traces", "2", "--num-slots", "6", "--set", "num_devices=3"]


def test_writes_table_json_and_plot(tmp_path, capsys):
    out, plot = tmp_path / "out.json", tmp_path / "out.png"
    assert main(["compare", *SMALL, "--json", str(out), "--plot", str(plot)]) == 0
    assert "C_opt" in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert list(content["policies"]) == list(DEFAULT_POLICIES)
    assert content["trace"]["seeds"] == [1_000_000, 1_000_001]
    assert content["trace"]["num_slots"] == 6
    assert content["scenario"]["num_devices"] == 3
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_horizon_is_the_default_length(tmp_path):
    out = tmp_path / "out.json"
    arguments = ["compare", "--num-traces", "1", "--set", "horizon=4", "--set", "num_devices=2", "--json", str(out)]
    assert main([*arguments, "--policies", "greedy", "local-only"]) == 0
    content = json.loads(out.read_text())
    assert content["trace"]["num_slots"] == 4
    assert list(content["policies"]) == ["greedy", "local-only"]


def test_trace_file_gives_the_same_numbers_as_its_seeds(tmp_path):
    scenario = load_scenario("paper", ("num_devices=3",))
    save_trace(generate_trace(scenario, [1_000_000, 1_000_001], num_slots=6), tmp_path / "t.npz")
    results = []
    for extra in ([], ["--trace", str(tmp_path / "t.npz")]):
        out = tmp_path / "out.json"
        assert main(["compare", *SMALL, *extra, "--policies", "oracle", "--json", str(out)]) == 0
        results.append(json.loads(out.read_text())["policies"])
    assert results[0] == results[1]


def test_interruption_is_130(monkeypatch, capsys):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Compare, "run", interrupt)
    assert main(["compare"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_compare_imports_neither_ray_nor_torch():
    code = (
        "import sys; from meqc_marl.cli import main; "
        f"assert main({['compare', *SMALL, '--policies', 'greedy']!r}) == 0; "
        "assert not {'ray', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_of_every_command(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        assert name in capsys.readouterr().out


def test_checkpoints_go_to_the_loader(monkeypatch, tmp_path):
    """A learned policy needs only the Policy interface."""
    learned_is_local_only(monkeypatch)
    out = tmp_path / "out.json"
    arguments = ["compare", *SMALL, "--policies", "local-only", "--json", str(out), "--plot", str(tmp_path / "p.png")]
    for checkpoints, names in (
        (["some/run-1"], ["learned"]),
        (["some/run-1", "some/run-2"], ["run-1", "run-2"]),
        (["some/run-1", "other/run-1"], ["some/run-1", "other/run-1"]),
    ):
        assert main([*arguments, "--checkpoints", *checkpoints]) == 0
        policies = json.loads(out.read_text())["policies"]
        assert list(policies) == ["local-only", *names]
        for name in names:
            assert policies[name]["cost"]["per_trace"] == policies["local-only"]["cost"]["per_trace"]
