"""``meqc-marl compare`` from the outside."""

import json
import subprocess
import sys

import numpy as np
import pytest

from meqc_marl.cli import COMMANDS, main
from meqc_marl.cli.compare import Compare
from meqc_marl.config import load_scenario
from meqc_marl.policies import POLICIES
from meqc_marl.trace import generate_trace, save_trace

SMALL = ["--num-traces", "2", "--num-slots", "6", "--set", "num_devices=3"]


def test_writes_table_json_and_plot(tmp_path, capsys):
    out, plot = tmp_path / "out.json", tmp_path / "out.png"
    assert main(["compare", *SMALL, "--json", str(out), "--plot", str(plot)]) == 0
    assert "C_opt" in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert list(content["policies"]) == list(POLICIES)
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenario", "papr"], "paper"),
        (["--set", "cost.latncy=sequential"], "latency"),
        (["--set", "cost.latency=fast"], "parallel"),
        (["--set", "lyapunov.delta=1.5"], "1.5"),
        (["--set", "lyapunov.delta"], "lyapunov.delta"),
        (["--policies", "orcale"], "oracle"),
        (["--policies", "oracle", "oracle"], "twice"),
        (["--policies"], "none is given"),
        (["--num-traces", "0"], "num-traces"),
        (["--num-slots", "-3"], "num-slots"),
        (["--trace-seed", "-1"], "trace-seed"),
        (["--trace", "no-such-file.npz"], "no-such-file.npz"),
        (["--json", "/no/such/folder/out.json"], "/no/such/folder/out.json"),
        (["--plot", "/no/such/folder/out.png"], "/no/such/folder/out.png"),
        (["--plot", "/tmp/plot.txt"], ".png"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(arguments, words, capsys):
    assert main(["compare", *SMALL, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""


def test_trace_of_another_shape_is_refused(tmp_path, capsys):
    trace = generate_trace(load_scenario("paper", ("num_devices=4",)), [1], num_slots=3)
    save_trace(trace, tmp_path / "t.npz")
    (tmp_path / "junk.npz").write_bytes(b"junk")
    for name in ("t.npz", "junk.npz"):
        assert main(["compare", *SMALL, "--trace", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    "arguments", [["compare", "--no-such-option"], ["no-such-command"], ["compare", "--num-traces", "x"]]
)
def test_wrong_options_exit_with_2(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


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
    import types

    from meqc_marl.policies.local_only import LocalOnly

    class Learned(LocalOnly):
        name = "run-1"

    module = types.ModuleType("meqc_marl.rl.policy")
    module.load_policy = lambda path, scenario, name: Learned(scenario)
    monkeypatch.setitem(sys.modules, "meqc_marl.rl.policy", module)
    out = tmp_path / "out.json"
    arguments = ["compare", *SMALL, "--policies", "local-only", "--checkpoints", "some/run-1", "--json", str(out)]
    assert main([*arguments, "--plot", str(tmp_path / "p.png")]) == 0
    policies = json.loads(out.read_text())["policies"]
    np.testing.assert_array_equal(policies["run-1"]["cost"]["per_trace"], policies["local-only"]["cost"]["per_trace"])
