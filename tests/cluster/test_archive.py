"""The report as text: it comes back whole from any log, or not at all."""

import base64
import contextlib
import hashlib
import re
import subprocess
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meqc_marl.cluster.archive import pack, save, unpack
from meqc_marl.errors import InputError
from tests.sentences import is_one_sentence

NAMES = st.text("abcxyz.-_0189", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=4), st.text(max_size=50), st.text(max_size=50))
def test_whatever_stands_around_it(files, before, after):
    assert unpack(f"{before}\n{pack(files)}\n{after}", list(files)) == files


@given(st.integers(0, 10_000))
def test_a_damaged_report_is_refused(where):
    text = pack({"a.json": bytes(range(256)) * 4})
    start = text.index("\n") + 1
    at = start + where % (text.rindex("\n") - start)
    if text[at] in "\n=":
        return
    damaged = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    with pytest.raises(InputError, match="damaged"):
        unpack(damaged, ["a.json"])


def refusal(log, names=("a.json",)):
    with pytest.raises(InputError) as told:
        unpack(log, names)
    assert is_one_sentence(str(told.value)), told.value
    assert len(str(told.value)) < 300
    return str(told.value)


def forged(content):
    """A report with a checksum that is right, of anything."""
    body = base64.encodebytes(zlib.compress(content)).decode()
    return f"-----BEGIN REPORT {hashlib.sha256(content).hexdigest()}-----\n{body}-----END REPORT-----"


@pytest.mark.parametrize(
    "name", ["../evil", ".bashrc", "evil.sh", "/etc/passwd", "", ".", "..", "a.json\n", "A.JSON", "x" * 300]
)
def test_only_the_reports_own_files(name):
    told = refusal(pack({"a.json": b"1", name: b"2"}))
    assert "which is not of a.json" in told
    assert told.isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"7",
        b"null",
        b'{"a.json": 7}',
        b'{"a.json": null}',
        b'{"a.json": ["a"]}',
        b'{"a.json": "a"}',
        b'{"a.json": "\xff"}',
        b'{"a.json": "\\u00e9"}',
        b"[" * 100_000,
        b'{"a.json": {"a.json": "YQ=="}}',
        b'{"a.json": "!!!!"}',
    ],
)
def test_what_is_no_report_inside(content):
    assert "is damaged: " in refusal(forged(content))


def test_the_size_is_bounded_before_memory_is_taken(monkeypatch):
    bomb = forged(bytes(2**28))
    assert len(bomb) < 400_000
    tracemalloc.start()
    assert "holds more than 67,108,864 bytes" in refusal(bomb)
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()


@given(st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_any_bytes_are_refused_or_equal(noise, where, inside):
    """In the log, and in the compressed text under a checksum that is not theirs."""
    files = {"a.json": b"some numbers"}
    text = pack(files)
    start = text.index("\n") if inside else 0
    at = min(start + where, len(text))
    log = text[:at] + noise.decode("latin-1") + text[at + len(noise) // 2 :]
    with contextlib.suppress(InputError):  # and nothing else
        assert unpack(log, ["a.json"]) == files


def test_no_report():
    assert "holds no report" in refusal("error: storage is gone")
    assert "holds no report" in refusal("")
    assert "holds no report" in refusal("-----BEGIN REPORT abc-----\nYQ==")


def test_the_command_prints_what_a_sweep_left(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "trials.json").write_text("{}")
    (tmp_path / "store" / "other").write_text("no")
    words = [sys.executable, "-m", "meqc_marl.cluster.archive", str(tmp_path / "store")]
    names = ["trials.json", "sweep.png", "policy/policy.json"]
    (tmp_path / "store" / "policy").mkdir()
    (tmp_path / "store" / "policy" / "policy.json").write_text("[]")
    log = subprocess.run([*words, *names], capture_output=True, text=True, check=True, timeout=120).stdout
    saved = save(unpack(log, names), tmp_path / "out")
    there = [(path.relative_to(tmp_path / "out").as_posix(), path.read_text()) for path in saved]
    assert there == [("trials.json", "{}"), ("policy/policy.json", "[]")]
    assert re.search("BEGIN REPORT [0-9a-f]{64}", log)
