"""Where a study is kept: folders and URIs alike, and what is wrong with one told in time."""

import os
import subprocess
import sys
import time

import pyarrow.fs
import pytest

import meqc_marl.storage as module
from meqc_marl.cli import main
from meqc_marl.errors import InputError
from meqc_marl.jobs.job import stored_job
from meqc_marl.jobs.stored_study import stored_study
from meqc_marl.storage import Storage
from tests.sentences import is_one_sentence


def refused(where):
    with pytest.raises(InputError) as told:
        Storage.open(where)
    assert is_one_sentence(str(told.value)), told.value
    return str(told.value)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_files_come_back_and_nothing_else_is_left(tmp_path, scheme):
    storage = Storage.open(f"{scheme}{tmp_path / 'store'}")
    assert storage.is_local
    storage.write("a.json", b"1")
    storage.write("a.json", b"2")
    assert storage.read_named("a.json") == b"2"
    assert storage.read_named("b.json") is None
    assert storage.read(f"{tmp_path}/store/a.json") == b"2"
    assert os.listdir(tmp_path / "store") == ["a.json"]
    assert storage.uri_of("trials") == f"{scheme}{tmp_path}/store/trials"


def test_a_bucket_by_its_filesystem(tmp_path):
    mock = pyarrow.fs._MockFileSystem()
    mock.create_dir("bucket/x")
    storage = Storage("s3://bucket/x", mock, "bucket/x")
    assert not storage.is_local
    storage.write("a.json", b"1")
    assert storage.read_named("a.json") == b"1"
    assert storage.uri_of("trials") == "s3://bucket/x/trials"
    with pytest.raises(InputError, match="storage 's3://bucket/x' cannot be written"):
        Storage("s3://bucket/x", mock, "missing/folder").write("a", b"")


def test_refusals(tmp_path, monkeypatch):
    assert "begins with 'ftp://'; it must be a folder, or begin with one of s3://, gs://" in refused("ftp://x/y")
    assert "names no bucket that can be" in refused("s3://[bad")
    for uri in (
        "ftp://me:hidden@bucket/x",
        "s3://me:hidden@bucket/x",
        "s3://me:hid/hidden@bucket/x",
        "s3://bucket/x?secret_key=hidden",
        "s3://bucket/x?X-Amz-Signature=hidden",
        "abfs://c@bucket/x?sas_token=hidden",
    ):
        told = refused(uri)
        assert "...bucket/x' holds a secret" in told
        assert "hidden" not in told
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(tmp_path / "file" / "below")
    assert "cannot be written" in refused(f"file://{tmp_path}/file/below")
    monkeypatch.setattr(module, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(module, "_from_uri", lambda uri: time.sleep(2))
    assert "storage 's3://b/x' does not answer within" in refused("s3://b/x")


def test_a_place_is_shown_without_what_is_behind_it():
    storage = Storage("s3://bucket/x/?region=eu", pyarrow.fs._MockFileSystem(), "bucket/x")
    assert storage.shown == "s3://bucket/x/"
    assert storage.uri_of("trials") == "s3://bucket/x/trials?region=eu"


def test_reading_leaves_nothing(tmp_path):
    (tmp_path / "a").write_text("1")
    storage = Storage.reading(tmp_path)
    assert storage.read_named("a") == b"1"
    assert Storage.reading(tmp_path / "missing").read_named("a") is None
    assert os.listdir(tmp_path) == ["a"]


def test_is_read_without_ray():
    code = "import sys; sys.modules['ray'] = None; import meqc_marl.storage"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"a": 1, "a": 2}'])
def test_files_of_a_study_that_are_damaged(tmp_path, content):
    storage = Storage.open(tmp_path)
    for name in ("job.json", "study.json"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"^job\.json in '.*' is damaged; it must be an object of JSON\.$"):
        stored_job(storage)
    with pytest.raises(InputError, match=r"^study\.json in '.*' is damaged; it must be an object of JSON\.$"):
        stored_study(storage)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "job.json")
    with pytest.raises(InputError, match="it must be a regular file"):
        Storage.open(tmp_path).read_named("job.json")


def test_a_storage_that_cannot_be_read_is_told_as_such(tmp_path, monkeypatch, capsys):
    """Not as a fault of the standard output, whichever command reads whatever file of it."""

    def fail(self, path):
        raise OSError("When reading information for key 'run.json' in bucket 'b': AWS Error NETWORK_CONNECTION")

    monkeypatch.setattr(Storage, "read", fail)
    for command in (["train", "--resume"], ["train", "--resume", "--env-steps", "9"]):
        assert main([*command, "--storage", str(tmp_path)]) == 2
        told = capsys.readouterr().err
        assert f"storage '{tmp_path}' cannot be read: When reading" in told
        assert is_one_sentence(told.removeprefix("error: ").strip())
