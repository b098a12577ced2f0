"""Help, version and mistakes in the words themselves."""

import os
import pty
import re
import subprocess
import sys

import pytest

from meqc_marl import __version__
from meqc_marl.cli import COMMANDS, main
from meqc_marl.config import PRESETS, load_scenario
from meqc_marl.config.describe import scenario_rows
from meqc_marl.policies import POLICIES
from tests.sentences import is_one_sentence


def helped(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS), ("scenario", "show"), ("scenario", "check")])
def test_help_fits_the_terminal(command, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = helped(capsys, *command).splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= width
    assert "{None}" not in "".join(lines)
    assert "(default: None)" not in "".join(lines)


def test_help_names_presets_and_policies(capsys):
    for name in ("train", "sweep", "evaluate", "compare"):
        words = re.findall(r"[\w-]+", helped(capsys, name))
        assert set(PRESETS) <= set(words), name
    assert set(POLICIES) <= set(re.findall(r"[\w-]+", helped(capsys, "compare")))
    assert {"batched", "stock"} <= set(re.findall(r"[\w-]+", helped(capsys, "train")))


BEFORE_OPTIONS = {"evaluate": ["RUN"], "replay": ["RUN"], "figure": ["5a"], "benchmark": ["quality"]} | {
    "vary": ["lyapunov.v=1"]
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_says_that_it_must_be_one(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    numbers = re.findall(r"(--[a-z][a-z-]*) \[?(INT|FLOAT)", helped(capsys, command))
    for option, kind in numbers:
        assert main([command, *BEFORE_OPTIONS.get(command, []), option, "x"]) == 2
        told = capsys.readouterr().err.strip()
        assert is_one_sentence(told), told
        assert option in told
        assert re.search("must be a whole number" if kind == "INT" else "must be a number", told), told
    assert numbers or command in ("submit", "export", "scenario", "circuits", "trace")


def test_no_words_is_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"meqc-marl {__version__}\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("comare", ["'comare'", "did you mean 'compare'?"]),
        ("frobnicate", ["'frobnicate'", "known are train"]),
        ("--bla", ["'--bla'"]),
        ("sweep --num-traces 3", ["'--num-traces' is no option of 'meqc-marl sweep'; see meqc-marl sweep --help."]),
        ("submit sweep --num-traces 3", ["'--num-traces' is no option of 'meqc-marl submit sweep'"]),
        ("compare --num-tracs 3", ["'--num-tracs'", "did you mean --num-traces?", "meqc-marl compare --help"]),
        ("compare --xyzzy", ["'--xyzzy'"]),
        ("compare extra", ["'extra'"]),
        ("compare --num-traces x", ["--num-traces", "'x'", "a whole number"]),
        ("compare --num-traces 1.5", ["--num-traces", "'1.5'", "a whole number"]),
        ("compare --num-slots 1.5", ["--num-slots", "'1.5'", "a whole number"]),
        ("compare --num-traces", ["--num-traces", "missing"]),
        ("compare --set", ["--set", "missing"]),
        ("train --v abc", ["--v", "'abc'", "a number"]),
        ("train --checkpoint-every-s soon", ["--checkpoint-every-s", "'soon'", "a number"]),
        ("train --env-runner fast", ["'fast'", "'batched', 'stock'"]),
        ("sweep --v 0.1 x", ["--v", "'x'"]),
        ("evaluate", ["RUN", "missing"]),
        ("scenario", ["show", "check"]),
        ("scenario shw", ["'shw'", "show, check"]),
    ],
)
def test_a_mistake_in_the_words_is_one_sentence(words, parts, capsys):
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    sentence = captured.err.removeprefix("error: ").removesuffix("\n")
    assert is_one_sentence(sentence), sentence
    for part in parts:
        assert part in sentence


def on_a_terminal(width, *arguments):
    """What a command prints where stdout is a terminal of so many columns."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(width), "TERM": "xterm"}
    command = [sys.executable, "-m", "meqc_marl.cli", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment):
        os.close(theirs)
        chunks = []
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(ours)
    text = b"".join(chunks).decode().replace("\r\n", "\n")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_scenario_on_a_terminal(width):
    lines = on_a_terminal(width, "scenario", "show", "paper").splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for row in scenario_rows(load_scenario("paper")):
        assert row.name in text
        if width < 120:  # name and value in one line, the meaning not torn into a narrow column
            assert sum(line.startswith(f"{row.name} = ") for line in lines) == 1
            assert row.meaning in text
            assert " ".join(row.reason.split()) in text


def test_a_scenario_in_a_pipe_has_a_line_for_each_field(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["scenario", "show", "paper"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = list(scenario_rows(load_scenario("paper")))
    assert [line.split()[0] for line in lines] == [row.name for row in rows]
    assert all(row.meaning in line for row, line in zip(rows, lines, strict=True))
