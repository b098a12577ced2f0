"""Mutated bytes of scenario files, traces and command lines: refused in one sentence, or taken and sound."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meqc_marl.cli import main
from meqc_marl.config import Scenario, load_scenario, save_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import NATURE, Trace, generate_trace
from meqc_marl.nature.trace_file import load_trace, save_trace
from meqc_marl.policies import make_policy
from tests.sentences import is_one_sentence

FEW = {"max_examples": 25, "deadline": None, "suppress_health_check": list(HealthCheck)}
MANY = FEW | {"max_examples": 400}

YAML_PIECES = [
    b"\x00",
    b"\xff",
    b"\r",
    b"\t",
    b"\n",
    b"\n  ",
    b": ",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b"&a ",
    b"*a",
    b"!!int ",
]
YAML_PIECES += [
    b"!!binary ",
    b"!!set ",
    b"<<: ",
    b"? ",
    b"| ",
    b"> ",
    b"'",
    b'"',
    b'"\\U00110000"',
    b"%YAML 1.1\n",
    b"---\n",
]
YAML_PIECES += [
    b"...\n",
    b".nan",
    b".inf",
    b"-.inf",
    b"1e999",
    b"1e-999",
    b"-1",
    b"0",
    b"1e30",
    b"9" * 400,
    b"0x",
    b"0o7",
]
YAML_PIECES += [
    b"yes",
    b"true",
    b"null",
    b"~",
    b"2001-13-45",
    b"1:30",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"#",
    b"num_devices: 3\n",
]
YAML_PIECES += ["ſ٣𝟛".encode(), b"horizon", b"name: [\n", b"lyapunov:\n", b"cost: {}\n", b"[" * 50, b"\x1b[31m"]
ZIP_PIECES = [
    b"\x00",
    b"\xff" * 4,
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x93NUMPY",
    b"descr",
    b"<f8",
    b"|O",
    b"True",
]
ZIP_PIECES += [
    b"(6, 1, 2)",
    b"(10**9,)",
    b"\x7f\xff\xff\xff",
    b"\x00\x00\xc0\x7f",
    b"\x00\x00\x80\x7f",
    b"\x00\x00\x80\xff",
]
WORDS = [
    "",
    " ",
    "-1",
    "0",
    "1",
    "2",
    "1e9",
    "nan",
    "inf",
    "1_0",
    "0x10",
    "٣",
    "9" * 30,
    "9" * 5000,
    "[",
    "]",
    "{",
    "}",
    ":",
    "=",
]
WORDS += [
    "*a",
    "&a",
    "!!int x",
    "yes",
    "true",
    "null",
    "\x1b[2J",
    "\n",
    "\udcff",
    "'",
    '"',
    "paper",
    "small",
    "oracle",
    "--set",
]
WORDS += [
    "--policies",
    "--help",
    "-h",
    "--",
    "name=[/]",
    "name='[red]'",
    "name=x",
    "num_devices=2",
    "channel=5",
    "cost.latency=literal",
]
WORDS += [
    "a.b=1",
    ".=1",
    "=",
    "lyapunov.v=1e-6",
    "devices.lambda_t=[1, 0]",
    "--trace",
    "--scenario",
    "no.npz",
    "x" * 300,
    "local-only",
]


@st.composite
def mutated(draw: st.DrawFn, whole: bytes, pieces: list[bytes]) -> bytes:
    """Bytes with some of them changed, left out, doubled, moved or replaced by a piece."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.sampled_from([1, 1, 2, 4, 8, 30, 200]))
        match draw(st.integers(0, 4)):
            case 0 if content:
                content[at] = draw(st.integers(0, 255))
            case 1:
                del content[at : at + length]
            case 2:
                content[at:at] = content[at : at + length]
            case 3:
                content[at:at] = draw(st.sampled_from(pieces))
            case _:
                content[at : at + length] = draw(st.sampled_from(pieces))
    return bytes(content)


def sentence(error: InputError) -> None:
    text = str(error)
    assert is_one_sentence(text), text
    assert text.isprintable()
    assert len(text) <= 600


def sound(scenario: Scenario, trace: Trace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("oracle", "random"):
            for field, values in vars(rollout(make_policy(name, scenario), scenario, trace)).items():
                assert values is None or np.isfinite(values).all(), (name, field)


SCENARIOS = [b"lyapunov: {v: 1, delta: 0.7}\ncost:\n  latency: parallel\ndevices: {cpu_hz: [1e9, 2e9]}\nname: mine\n"]


def whole_scenario() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_scenario(load_scenario("small"), Path(folder, "small.yaml"))
        return Path(folder, "small.yaml").read_bytes()


SCENARIOS.append(whole_scenario())


def a_yaml(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.yaml")
        path.write_bytes(content)
        try:
            scenario = load_scenario(path, ["num_devices=2"] if b"lambda" not in content else [])
        except InputError as error:
            sentence(error)
            return
        save_scenario(scenario, path)
        assert load_scenario(path) == scenario
        if scenario.num_devices <= 100:
            sound(scenario, generate_trace(scenario, [1], num_slots=3))


SMALL = load_scenario("small", ["num_devices=2"])
TRACE = generate_trace(SMALL, [1], num_slots=6)


def packed(compression: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.npz")
        save_trace(TRACE, path)
        content = io.BytesIO()
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(content, "w", compression) as target:
            for name in source.namelist():
                target.writestr(name, source.read(name))
        return content.getvalue()


PACKED = [packed(zipfile.ZIP_STORED), packed(zipfile.ZIP_DEFLATED)]


def a_trace(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.npz")
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                trace = load_trace(path, SMALL)
            except InputError as error:
                sentence(error)
                return
        sound(SMALL, trace)


def a_member(data: st.DataObject) -> bytes:
    """An archive that is whole, with one of its arrays mutated: the checksums do not tell."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(PACKED[0])) as source, zipfile.ZipFile(content, "w") as target:
        chosen = data.draw(st.sampled_from(source.namelist()))
        for name in source.namelist():
            member = source.read(name)
            target.writestr(name, data.draw(mutated(member, ZIP_PIECES)) if name == chosen else member)
    return content.getvalue()


BASES = [
    ["compare", "--set", "num_devices=2", "--num-traces", "1", "--num-slots", "2", "--policies", "oracle", "random"],
    ["scenario", "show", "paper", "--set", "lyapunov.v=2"],
    ["scenario", "check", "mine.yaml"],
    ["compare", "--num-traces", "1", "--scenario", "mine.yaml", "--num-slots", "2", "--policies", "oracle"],
]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    words = list(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(1, len(words) - 1))
        word = draw(st.one_of(st.sampled_from(WORDS), st.text(max_size=8).filter(lambda text: "\0" not in text)))
        match draw(st.integers(0, 3)):
            case 0 if not words[at].startswith("--num"):
                words[at] = word
            case 1 if not words[at - 1].startswith("--num"):
                del words[at:]
                words.append(word)
            case 2:
                words[at:at] = ["--set", word]
            case _ if "=" in words[at]:
                words[at] = words[at] + word
    return words


def a_command(words: list[str]) -> None:
    before = os.getcwd()
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("mine.yaml").write_text("num_devices: 2\n")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    code = main(words)
                except SystemExit as exit_:  # help
                    code = exit_.code
            assert os.listdir() == ["mine.yaml"]
        finally:
            os.chdir(before)
    assert code in (0, 2), (words, code)
    assert "Traceback" not in err.getvalue()
    assert "nan" not in out.getvalue().lower().replace("\n", " ").split(), words
    if code == 2:
        text = err.getvalue().removeprefix("error: ").removesuffix("\n")
        assert text.isprintable(), (words, text)
        assert is_one_sentence(text), (words, text)


@settings(**FEW)
@given(st.data())
def test_scenario_files(data: st.DataObject) -> None:
    a_yaml(data.draw(mutated(data.draw(st.sampled_from(SCENARIOS)), YAML_PIECES)))


@settings(**FEW)
@given(st.data())
def test_trace_files(data: st.DataObject) -> None:
    a_trace(data.draw(mutated(data.draw(st.sampled_from(PACKED)), ZIP_PIECES)))


@settings(**FEW)
@given(st.data())
def test_arrays_of_traces(data: st.DataObject) -> None:
    a_trace(a_member(data))


@settings(**FEW | {"max_examples": 12})
@given(command_lines())
def test_command_lines(words: list[str]) -> None:
    a_command(words)


@pytest.mark.long
@pytest.mark.timeout(1500)
@settings(**MANY)
@given(st.data())
def test_many_scenario_files(data: st.DataObject) -> None:
    a_yaml(data.draw(mutated(data.draw(st.sampled_from(SCENARIOS)), YAML_PIECES)))


@pytest.mark.long
@pytest.mark.timeout(1500)
@settings(**MANY)
@given(st.data())
def test_many_trace_files(data: st.DataObject) -> None:
    a_trace(data.draw(mutated(data.draw(st.sampled_from(PACKED)), ZIP_PIECES)))
    a_trace(a_member(data))


@pytest.mark.long
@pytest.mark.timeout(1500)
@settings(**MANY)
@given(command_lines())
def test_many_command_lines(words: list[str]) -> None:
    a_command(words)


def test_what_is_not_mutated_is_equal() -> None:
    for content in PACKED:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trace.npz")
            path.write_bytes(content)
            loaded = load_trace(path, SMALL)
        for name in NATURE:
            np.testing.assert_array_equal(getattr(loaded, name), getattr(TRACE, name), strict=True)
