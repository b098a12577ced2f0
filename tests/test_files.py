"""Output files are whole or not there, and others can read them."""

import os
import stat

import pytest

from meqc_marl.errors import InputError
from meqc_marl.files import check_output, replacing
from tests.sentences import is_one_sentence


def test_the_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_it_has_the_permissions_of_any_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "out.json"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.json").stat().st_mode) == mode


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("x"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "out.json"
    path.write_text("old")

    def write_half():
        with replacing(path) as file:
            file.write(b"half")
            raise error

    expected = InputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        write_half()
    if expected is InputError:
        assert str(caught.value) == f"output file '{path}' cannot be written: No space left on device."
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.json"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_what_cannot_be_written_is_told_before_any_work(tmp_path):
    (tmp_path / "file").write_text("old")
    for path in (tmp_path, tmp_path / "missing" / "out.json", tmp_path / "file" / "out.json", "/dev/null", "/proc/x"):
        with pytest.raises(InputError) as caught:
            check_output(path)
        assert str(path) in str(caught.value)
        assert is_one_sentence(str(caught.value))
    check_output(tmp_path / "file")
    check_output(tmp_path / "new")
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
