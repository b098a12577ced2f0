"""The report as text: it comes back whole from any log, or not at all."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meqc_marl.cluster.archive import pack, save, unpack
from meqc_marl.errors import InputError

NAMES = st.text("abcxyz.-_0189", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=4), st.text(max_size=50), st.text(max_size=50))
def test_whatever_stands_around_it(files, before, after):
    assert unpack(f"{before}\n{pack(files)}\n{after}") == files


@given(st.integers(0, 10_000))
def test_a_damaged_report_is_refused(where):
    text = pack({"a.json": bytes(range(256)) * 4})
    start = text.index("\n") + 1
    at = start + where % (text.rindex("\n") - start)
    if text[at] in "\n=":
        return
    damaged = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    with pytest.raises(InputError, match="damaged"):
        unpack(damaged)


def test_no_report_and_a_file_outside_the_folder_are_refused():
    with pytest.raises(InputError, match="holds no report"):
        unpack("error: storage is gone")
    with pytest.raises(InputError, match="names files outside its folder"):
        unpack(pack({"../evil": b""}))


def test_the_command_prints_what_a_sweep_left(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "trials.json").write_text("{}")
    (tmp_path / "store" / "other").write_text("no")
    words = [sys.executable, "-m", "meqc_marl.cluster.archive", str(tmp_path / "store")]
    log = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout
    (saved,) = save(unpack(log), tmp_path / "out")
    assert (saved.name, saved.read_text()) == ("trials.json", "{}")
    assert re.search("BEGIN REPORT [0-9a-f]{64}", log)
