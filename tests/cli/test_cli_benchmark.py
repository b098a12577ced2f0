"""``meqc-marl benchmark``: what it is given is judged before anything is trained."""

import os

import pytest

from meqc_marl.cli import main
from tests.sentences import is_one_sentence


def sentence_of(capsys, *words):
    assert main(["benchmark", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    sentence = captured.err.removeprefix("error: ").strip()
    assert is_one_sentence(sentence), sentence
    return sentence


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "NAME is missing"),
        (["nothing"], "'nothing' is unknown"),
        (["quality", "--seeds", "0"], "seeds: 0 is not allowed; it must be at least 1"),
        (["quality", "--seeds", "9" * 30], "seeds: 999"),
        (["quality", "--env-steps", str(10**30)], "env-steps: 1000"),
        (["quality", "--out", "/dev/full"], "output folder '/dev/full' cannot be written: Not a directory"),
        (["quality", "--storage", "~/x"], "means a folder in a shell alone"),
        (["quality", "--only-report", "--out", "."], "holds no results"),
    ],
)
def test_options(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told in sentence_of(capsys, *words)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b"[" * 100_000, b"\xff", b'{"regret": "x"}', None])
def test_results_that_are_none(content, capsys, tmp_path):
    if content is None:
        os.mkfifo(tmp_path / "paper-1.json")
    else:
        (tmp_path / "paper-1.json").write_bytes(content)
    assert "result" in sentence_of(capsys, "quality", "--only-report", "--out", str(tmp_path))
