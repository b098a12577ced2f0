"""Modules of experiments that are run by themselves: whatever a user gives wrongly is one sentence and exit code 2."""

import ast
import importlib
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import ray
import tyro

import experiments
from experiments import redraw
from meqc_marl.entry.running import run_module
from tests.sentences import is_one_sentence

FOLDER = Path(experiments.__file__).parent
NONSENSE = "no-such-thing"


def started(path):
    """What a file does when it is run by itself; nothing for most."""
    guards = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.If)]
    return [ast.unparse(node.body) for node in guards if ast.unparse(node.test) == "__name__ == '__main__'"]


ENTRIES = {
    "experiments." + ".".join(path.relative_to(FOLDER).with_suffix("").parts): (done,)
    for path in sorted(FOLDER.rglob("*.py"))
    for done in started(path)
}
MODULES = list(ENTRIES)


def command_of(module):
    """The dataclass that a module runs."""
    (done,) = ENTRIES[module]
    name = done.removeprefix("sys.exit(run_module(").removesuffix("))")
    return getattr(importlib.import_module(module), name)


def hint_of(hint):
    """A type without what tyro is told of it, and without tuples: that of one word."""
    while hasattr(hint, "__metadata__") or get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    return hint


def option_of(field, hint):
    """The name of an option; None where the word stands alone."""
    told = getattr(hint, "__metadata__", ())
    if any(mark is tyro.conf.Positional or "Positional" in repr(mark) for mark in told):
        return None
    names = [mark.name for mark in told if getattr(mark, "name", None)]
    return names[0] if names else field.name.replace("_", "-")


def wrong_values(hint):
    """What no option of a type allows."""
    if hint is bool:
        return []
    if get_origin(hint) is Literal or hint is str:
        return [NONSENSE, ""]
    if hint is Path:
        return ["/dev/null/below", "a" * 300 + "/b"]
    if hint is int:
        return ["-1", "x", "1.5", str(-(10**30)), str(10**30)]
    if hint is float:
        return ["-1", "x", "nan", "inf", "1e300"]
    raise AssertionError(f"say what is wrong for {hint}")


def cases():
    """Module, option (None for a word) and a wrong value, for every option of every entry."""
    for module in MODULES:
        command = command_of(module)
        hints = get_type_hints(command, include_extras=True)
        for field in fields(command):
            for value in wrong_values(hint_of(hints[field.name])):
                yield pytest.param(module, field.name, value, id=f"{module[12:]}-{field.name}-{value[:20]}")


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    """The sentence of an entry that refuses its words, having done nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ray, "init", lambda *args, **kwargs: pytest.fail("Ray was started"))

    def sentence(module, *words):
        assert run_module(command_of(module), words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        told = captured.err.removeprefix("error: ").strip()
        assert is_one_sentence(told), told
        return told

    return sentence


def needed(command, without=""):
    """Words for the options that must be given."""
    hints = get_type_hints(command, include_extras=True)
    words = []
    for field in fields(command):
        if field.default is MISSING and field.default_factory is MISSING and field.name != without:
            option = option_of(field, hints[field.name])
            words += [f"--{option}"] if option else []
            words += ["results"]
    return words


def test_every_entry_is_run_by_the_one_that_tells_mistakes():
    assert len(MODULES) >= 17
    for module, (done,) in ENTRIES.items():
        assert done.startswith("sys.exit(run_module("), f"{module}: {done}"
        assert callable(command_of(module).run)


@pytest.mark.parametrize("module", MODULES)
def test_words_that_nobody_knows(module, refused):
    told = refused(module, *needed(command_of(module)), "--no-such-option", "3")
    assert f"see python -m {module} --help" in told
    assert "'--no-such-option' is not known" in told
    if needed(command_of(module)):
        assert "is missing" in refused(module)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("module", "name", "value"), list(cases()))
def test_every_option_is_judged_before_anything_is_done(module, name, value, refused):
    command = command_of(module)
    field = next(field for field in fields(command) if field.name == name)
    option = option_of(field, get_type_hints(command, include_extras=True)[name])
    words = [*needed(command, without=name), *([f"--{option}"] if option else []), value]
    told = refused(module, *words)
    shown = value if len(value) < 20 and not value.startswith("/") else value[:12]
    assert shown.removesuffix("e300") in told or (option or name) in told


DAMAGED = (b"", b"[1]", b"\xff", b"{")
"""No object at all."""


@pytest.mark.parametrize(
    "content",
    [
        *DAMAGED,
        b"{}",
        b'{"rows": 1}',
        b'{"variants": {"x": 3}}',
        b'{"means": 5}',
        b'{"points": 5, "loads": 5, "curves": 5}',
    ],
)
def test_stored_numbers_that_are_none(content, refused, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.queues.loads.SYSTEMS", {"tiles": ("resources.qpu_tiles", (1,))})
    monkeypatch.setattr("experiments.figures.ledger.RESULTS", tmp_path)
    read = {
        "coverage.json": ("benchmarks.coverage", "--only-report", "--out", str(tmp_path)),
        "quick/fig3a.json": ("figures.ledger",),
    }
    if content in (*DAMAGED, b'{"means": 5}'):
        read["queued.json"] = ("queues.loads", "--axes", "tiles", "--out", str(tmp_path))
    if content in (*DAMAGED, b'{"points": 5, "loads": 5, "curves": 5}'):
        read["scarcity.json"] = ("cooperation.scarcity", "--out", str(tmp_path))
        read["tolls.json"] = ("queues.tolls", "--out", str(tmp_path))
        read["one_policy.json"] = ("queues.one_policy", "--out", str(tmp_path))
    if content in DAMAGED:  # what an object lacks is measured
        read["speed.json"] = ("benchmarks.learner_speed", "--out", str(tmp_path / "speed.json"))
        read["measured.json"] = ("capacity.cluster", "--out", str(tmp_path))
    (tmp_path / "quick").mkdir()
    for name, (module, *words) in read.items():
        (tmp_path / name).write_bytes(content)
        assert f"result '{tmp_path / name}'" in refused(f"experiments.{module}", *words)
        assert (tmp_path / name).read_bytes() == content


def test_results_that_are_not_there(refused, tmp_path, monkeypatch):
    told = refused("experiments.benchmarks.coverage", "--only-report", "--out", str(tmp_path))
    assert told.endswith("holds no results; run without --only-report.")
    monkeypatch.setattr("experiments.figures.ledger.RESULTS", tmp_path)
    assert "holds no figures" in refused("experiments.figures.ledger")


def test_packages_that_are_not_there(refused, monkeypatch):
    monkeypatch.setattr("experiments.capacity.model.simpy", None)
    assert "pip install 'meqc-marl[capacity]'" in refused("experiments.capacity.cluster")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["run"], "learned is 'run'; it must be NAME=RUN"),
        (["=run"], "learned is '=run'"),
        (["a="], "learned is 'a='"),
        (["a=no-such-run"], "no-such-run"),
    ],
)
@pytest.mark.parametrize("module", ["experiments.cooperation.rounds", "experiments.queues.looking_ahead"])
def test_learned_policies_that_are_none(module, given, told, refused):
    assert told in refused(module, "--out", "results", "--learned", *given)


def test_the_help_is_no_mistake(capsys):
    with pytest.raises(SystemExit) as stop:
        run_module(command_of("experiments.cooperation.scarcity"), ["--help"])
    assert stop.value.code == 0
    assert "usage: python -m experiments.cooperation.scarcity" in capsys.readouterr().out


def test_a_module_run_by_python_says_its_name():
    words = [sys.executable, "-m", "experiments.cooperation.scarcity", "--out", "x", "--num-slots", "x"]
    done = subprocess.run(words, cwd=FOLDER.parent, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --num-slots: 'x' is not allowed; it must be a whole number; "
        "see python -m experiments.cooperation.scarcity --help.\n"
    )


def test_stored_sweeps_can_be_drawn_again(capsys, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(redraw, "save_grid_plot", lambda points, path: drawn.append((len(points), path)))
    assert run_module(redraw.Redraw, []) == 0
    assert drawn == [(42, redraw.RESULTS / name / "sweep.png") for name in ("sweep", "one_policy")]
    assert capsys.readouterr().out.count("picture: ") == 2
    (tmp_path / "sweep-points.json").write_text('{"points": [{"v": 1}]}')
    assert run_module(redraw.Redraw, [str(tmp_path)]) == 2
    assert "holds other numbers" in capsys.readouterr().err
