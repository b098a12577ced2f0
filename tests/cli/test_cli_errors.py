"""Every kind of bad input from the outside: exit code 2 and one sentence on stderr that says what is wrong."""

import numpy as np
import pytest

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import save_trace
from tests.sentences import is_one_sentence

SMALL = ["--num-traces", "2", "--num-slots", "6", "--set", "num_devices=3"]


def sentence_of(capsys, *arguments):
    """The sentence after ``error:``; nothing else may be printed."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    head, _, sentence = captured.err.partition("error: ")
    assert head == ""
    sentence = sentence.removesuffix("\n")
    assert is_one_sentence(sentence), sentence
    return sentence


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--scenario", "papr"], ["'papr'", "did you mean 'paper'?"]),
        (["--scenario", "mine.yaml"], ["'mine.yaml'", "fast-folders"]),
        (["--scenario", "/"], ["'/'", "cannot be read"]),
        (["--set", "cost.latncy=sequential"], ["cost.latncy", "did you mean 'latency'?"]),
        (["--set", "wrong=1"], ["wrong is not a field", "lyapunov"]),
        (["--set", "cost.latency=fast"], ["cost.latency is 'fast'", "'parallel', 'sequential' or 'literal'"]),
        (["--set", "lyapunov.delta=1.5"], ["lyapunov.delta is 1.5", "from 0 to 1"]),
        (["--set", "lyapunov.delta=.nan"], ["lyapunov.delta is nan", "finite"]),
        (["--set", "lyapunov.delta=-1"], ["lyapunov.delta is -1", "from 0 to 1"]),
        (["--set", "devices.tx_power=[0, 1]"], ["devices.tx_power is [0.0, 1.0] W", "from 1e-06 to 100 W"]),
        (["--set", "tasks.residues=[3, 9]"], ["tasks.residues is [3, 9]", "from 7 to 5000"]),
        (["--set", "lyapunov.delta"], ["'lyapunov.delta'", "field=value"]),
        (["--set", "horizon.x=1"], ["horizon"]),
        (["--policies", "orcale"], ["'orcale'", "did you mean 'oracle'?"]),
        (["--policies", "nobody"], ["'nobody'", "local-only"]),
        (["--policies", "oracle", "oracle"], ["twice"]),
        (["--policies"], ["policies", "local-only"]),
        (["--num-traces", "0"], ["num-traces: 0", "at least 1"]),
        (["--num-slots", "-3"], ["num-slots: -3", "at least 1"]),
        (["--trace-seed", "-1"], ["trace-seed: -1", "at least 0"]),
        (["--trace", "no-such-file.npz"], ["'no-such-file.npz'", "No such file"]),
        (["--json", "/no/such/folder/out.json"], ["'/no/such/folder/out.json'", "No such file or directory"]),
        (["--plot", "/no/such/folder/out.png"], ["'/no/such/folder/out.png'"]),
        (["--plot", "/tmp/plot.txt"], ["/tmp/plot.txt", ".png, .pdf or .svg"]),
        (["--json", "/tmp"], ["'/tmp'", "regular file"]),
        (["--json", "/dev/null"], ["'/dev/null'", "regular file"]),
    ],
)
def test_options_of_compare(arguments, parts, capsys):
    sentence = sentence_of(capsys, "compare", *SMALL, *arguments)
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lyapunov: {delt: 0.5}", ["lyapunov.delt is not a field", "did you mean 'delta'?"]),
        ("lyapunov: {delta: -1}", ["lyapunov.delta is -1", "from 0 to 1"]),
        ("lyapunov: 3", ["lyapunov is 3", "a mapping of its parts"]),
        ("num_devices: [", ["mine.yaml", "not valid YAML at line 1"]),
        ("- 1", ["mine.yaml", "holds a list"]),
        (b"\xff\xfe\x00", ["mine.yaml", "UTF-8"]),
        (None, ["mine.yaml", "nor a file"]),
    ],
)
def test_scenario_files(text, parts, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    sentence = sentence_of(capsys, "scenario", "check", str(path))
    for part in parts:
        assert part in sentence


def test_yaml_that_cannot_be_written(capsys):
    sentence = sentence_of(capsys, "scenario", "show", "--yaml", "/no/such/folder/x.yaml")
    assert "'/no/such/folder/x.yaml' cannot be written" in sentence


def bad_trace(tmp_path, name, change):
    """A trace file of six slots and three devices, with one array changed."""
    path = tmp_path / "trace.npz"
    save_trace(generate_trace(load_scenario("paper", ("num_devices=3",)), [1, 2], num_slots=6), path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = change(arrays[name])
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("name", "change", "parts"),
    [
        ("gain", lambda a: a[..., :2], ["gain has shape (6, 2, 2)", "3 devices"]),
        ("deadline_s", lambda a: a[:4], ["deadline_s has shape (4, 2, 3)", "(6, 2, 3)"]),
        ("data_bits", lambda a: np.where(a == a.max(), np.nan, a), ["data_bits has the value nan", "finite"]),
        ("equipment.cpu_hz", lambda a: np.where(a == a.max(), np.inf, a), ["equipment.cpu_hz has the value inf"]),
        ("gain", lambda a: 0 * a, ["gain has the value 0.0", "from 1e-36 to 1"]),
        ("qubits", lambda a: a + 0.5, ["qubits has the value", "whole number"]),
    ],
)
def test_trace_files(name, change, parts, tmp_path, capsys):
    path = bad_trace(tmp_path, name, change)
    sentence = sentence_of(capsys, "compare", *SMALL, "--trace", str(path))
    for part in (str(path), *parts):
        assert part in sentence


@pytest.mark.parametrize("field", ["mobility.radius_m=1000", "tasks.deadline_s=[1,1]", "devices.cpu_hz=1e9"])
@pytest.mark.parametrize("command", [["compare"], ["replay", "oracle", "--out", "x.html"]])
def test_a_field_that_traces_fix_is_not_taken_beside_them(field, command, capsys):
    given = ["--scenario", "small", "--set", "num_devices=3", "--set", field, "--trace", "monday.npz"]
    assert "has no effect where traces are given" in sentence_of(capsys, *command, *given)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 broken", "truncated", "an empty folder"])
def test_unreadable_trace_files(content, tmp_path, capsys):
    path = bad_trace(tmp_path, "gain", lambda a: a)
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif content == "an empty folder":
        path.unlink()
        path = tmp_path
    else:
        path.write_bytes(content)
    assert str(path) in sentence_of(capsys, "compare", *SMALL, "--trace", str(path))
