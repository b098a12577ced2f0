"""Sizes are told before memory is taken, and strange files are refused: always in one sentence with exit code 2."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import save_trace
from tests.sentences import is_one_sentence

SMALL = ["--num-traces", "2", "--num-slots", "3", "--set", "num_devices=2", "--policies", "oracle"]


def sentence_of(capsys, *arguments):
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    head, _, sentence = captured.err.partition("error: ")
    assert head == ""
    sentence = sentence.removesuffix("\n")
    assert is_one_sentence(sentence), sentence
    assert sentence.isprintable()
    assert len(sentence) <= 600
    return sentence


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--num-traces", str(10**30)], ["num-traces", "at most 10,000"]),
        (["--num-slots", str(10**30)], ["num-slots", "at most 10,000,000"]),
        (["--trace-seed", str(10**60)], ["trace-seed", "at most"]),
        (["--policy-seed", "-1"], ["policy-seed: -1", "at least 0"]),
        (["--num-slots", "9999999", "--set", "num_devices=100"], ["GB", "at most 30,000,000"]),
        (["--set", "num_devices=1000000", "--num-slots", "500"], ["GB", "1,000,000 devices"]),
        (["--set", "num_devices=1000001"], ["num_devices is 1000001", "from 1 to 1e6"]),
        (["--set", f"num_devices={10**3000}"], ["num_devices is", "from 1 to 1e6"]),
        (["--set", "num_devices=" + "9" * 9000], ["num_devices", "not of the kind int"]),
        (["--set", "horizon=1e9"], ["horizon is 1000000000", "from 1 to 1e7"]),
        (["--set", f"cost.{'x' * 100_000}=1"], ["is not a field"]),
        (["--set", "." * 10_000 + "=1"], ["empty name"]),
        (["--set", f"cost.latency={'x' * 100_000}"], ["cost.latency is 'xxx"]),
        (["--set", "lyapunov.v=" + "[" * 900 + "]" * 900], ["more than 40 levels"]),
        (["--set", "lyapunov.v=" + "[" * 100_000], ["more than 40 levels"]),
        (["--set", "lyapunov.v=!!int abc"], ["'abc' is not of the kind int"]),
        (["--set", "lyapunov.v=2001-13-45"], ["lyapunov.v is '2001-13-45'", "a number"]),
        (["--set", "lyapunov.delta=yes"], ["lyapunov.delta is 'yes'", "a number"]),
        (["--set", "num_devices=true"], ["num_devices is True", "a whole number"]),
        (["--set", "cost={latency: parallel, latency: literal}"], ["'latency' stands there twice"]),
        (["--set", "name=\x1b[31mred\x07"], ["not valid YAML"]),
        (["--set", 'name="\\e[31m"'], ["name is '\\x1b[31m'", "printable"]),
        (["--set", f"name={'n' * 101}"], ["name is", "100 characters"]),
        (["--policies", "\x1b[2J"], ["\\x1b[2J"]),
        (["--policies", "x" * 100_000], ["is not known"]),
        (["--scenario", "a\x1b[2J\nb"], ["\\x1b[2J\\nb"]),
        (["--scenario", "x" * 300], ["neither a preset"]),
        (["--scenario", ""], ["it must be a preset"]),
        (["--json", "x" * 300], ["File name too long"]),
        (["--json", "a\nb\x1b/c"], ["a\\nb\\x1b/c"]),
    ],
)
def test_options_of_compare(arguments, parts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sentence = sentence_of(capsys, "compare", *SMALL, *arguments)
    for part in parts:
        assert part in sentence
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        *(["sweep", "--num-seeds", str(10**9)], ["sweep", "--num-seeds", str(10**30)]),
        *(["sweep", "--env-steps", str(10**30)], ["sweep", "--num-env-runners", str(10**9)]),
        *(
            ["train", "--seed", str(2**32)],
            ["train", "--env-steps", str(10**30)],
            ["train", "--num-traces", "1000000000"],
        ),
        *(["train", "--checkpoint-every-s", "nan"], ["train", "--checkpoint-every-s", "-1"]),
    ],
)
def test_options_of_training(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert arguments[1].removeprefix("--") in sentence_of(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_yaml_that_is_too_large(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("# " + "x" * 20_000_000)
    sentence = sentence_of(capsys, "scenario", "check", str(tmp_path / "mine.yaml"))
    assert "20,000,002 bytes; at most 4,000,000" in sentence


def test_a_page_of_aliases(capsys, tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    assert "500,000 values" in sentence_of(capsys, "scenario", "check", str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("kind", ["pipe", "loop", "folder", "device", "socket", "gone"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["scenario", "check", "FILE"],
        ["compare", *SMALL, "--scenario", "FILE"],
        ["compare", *SMALL, "--trace", "FILE"],
        ["train", "--learner-file", "FILE"],
    ],
)
def test_files_to_read_that_are_none(kind, arguments, capsys, tmp_path, monkeypatch):
    import socket

    path = tmp_path / "input"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(tmp_path / "other")
        (tmp_path / "other").symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
            opened.bind(path.name)
    assert "input" in sentence_of(capsys, *[str(path) if word == "FILE" else word for word in arguments])


@pytest.mark.parametrize("kind", ["pipe", "loop", "folder", "device"])
@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_files_to_write_that_are_none(kind, option, capsys, tmp_path):
    path = tmp_path / "out.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/full")
    assert "out.png" in sentence_of(capsys, "compare", *SMALL, option, str(path))
    assert os.listdir(tmp_path) == ["out.png"]


def test_outputs_that_are_one_file_or_an_input(capsys, tmp_path):
    scenario, trace = tmp_path / "mine.yaml", tmp_path / "trace.npz"
    assert main(["scenario", "show", "small", "--yaml", str(scenario)]) == 0
    save_trace(generate_trace(load_scenario("small"), [1], num_slots=3), trace)
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    os.link(scenario, tmp_path / "hard.yaml")
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in (scenario, trace)}
    for arguments in (
        ["compare", *SMALL, "--json", str(tmp_path / "real.png"), "--plot", str(tmp_path / "link.png")],
        ["compare", *SMALL, "--json", str(tmp_path / "x.png"), "--plot", str(tmp_path / "." / "x.png")],
        ["compare", "--scenario", str(scenario), "--json", str(scenario)],
        ["compare", "--scenario", str(scenario), "--json", str(tmp_path / "hard.yaml")],
        ["compare", "--scenario", "small", "--trace", str(trace), "--json", str(trace)],
        ["scenario", "show", str(scenario), "--yaml", str(scenario)],
    ):
        assert "the same file as" in sentence_of(capsys, *arguments)
    assert {path.name: path.read_bytes() for path in (scenario, trace)} == before


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "meqc_marl.cli", *arguments], capture_output=True, text=True, timeout=120, **options
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")
def test_a_full_standard_output():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "meqc_marl.cli", "scenario", "show"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == "error: standard output cannot be used: No space left on device.\n"


def test_a_terminal_without_unicode_and_a_name_that_is_no_text(tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"\xff\xfe.yaml")
    with open(name, "wb") as file:
        file.write(b"name: small\n")
    done = run("scenario", "check", name, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\udcff\\udcfe.yaml: valid\n" in done.stdout


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_disk_that_fills_while_an_output_is_written(option, tmp_path):
    """The limit on the size of a file stands for the full disk: the system refuses the write in the same way."""
    path = tmp_path / "out.png"
    path.write_text("old")
    done = run(
        *("compare", *SMALL, option, str(path)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    sentence = done.stderr.splitlines()[-1].removeprefix("error: ")
    assert sentence == f"output file '{path}' cannot be written: File too large."
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.png"]


def test_a_trace_that_does_not_fit_on_the_disk(tmp_path):
    from meqc_marl.errors import InputError

    trace = generate_trace(load_scenario("small"), [1])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError, match="File too large") as caught:
            save_trace(trace, tmp_path / "trace.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert is_one_sentence(str(caught.value))
    assert os.listdir(tmp_path) == []
    save_trace(trace, tmp_path / "trace.npz")
    with np.load(tmp_path / "trace.npz") as file:
        np.testing.assert_array_equal(file["gain"], trace.gain)
