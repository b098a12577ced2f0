"""A disk that is full: every command says so in one sentence, whichever library met it."""

import re
import subprocess
import sys

import pytest

from meqc_marl.cli import main
from tests.policies.test_policy_files import make_policy
from tests.sentences import is_one_sentence


@pytest.mark.parametrize("words", [["--version"], ["scenario", "show", "small"]])
def test_standard_output_that_takes_no_more(words):
    command = [sys.executable, "-m", "meqc_marl.cli", *words, *(["--set", "horizon=5"] if len(words) == 3 else [])]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 2
    told = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"error: standard output cannot be \w+: No space left on device\.", told)
    assert "Traceback" not in done.stderr


def test_what_evaluations_write(disk, tmp_path, capsys):
    (tmp_path / "policy").mkdir()
    make_policy().save(tmp_path / "policy")
    full = disk("64k")
    (full / "ballast").write_bytes(bytes(60_000))
    for words in (
        ["evaluate", str(tmp_path / "policy"), "--num-traces", "1", "--plot", str(full / "a.png")],
        ["evaluate", str(tmp_path / "policy"), "--num-traces", "1", "--plot", str(full / "a.pdf")],
        ["export", str(tmp_path / "policy"), "--file", str(full / "a.onnx")],
    ):
        assert main(words) == 2, words
        told = capsys.readouterr().err.splitlines()[-1]
        assert is_one_sentence(told)
        assert told.endswith("cannot be written: No space left on device.")
        assert [path.name for path in full.iterdir()] == ["ballast"]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", ["sweep", "train"])
@pytest.mark.parametrize("size", ["16k", "40k", "100k", "200k", "400k", "800k", "1600k"])
def test_a_job_at_whichever_file_it_happens(disk, tmp_path, command, size):
    """So many sizes that RLlib's pickles, our JSON, safetensors, TensorBoard and Tune's state are met, some of each."""
    words = ["--scenario", "small", "--set", "horizon=20", "--env-steps", "30000", "--learner", "hidden=[64,64]"]
    words += {"sweep": ["--v", "1", "--delta", "0.5", "--num-seeds", "1"], "train": ["--checkpoint-every-s", "0"]}[
        command
    ]
    out = disk(size) / "run"
    done = subprocess.run(
        [sys.executable, "-m", "meqc_marl.cli", command, *words, "--out", str(out)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 2, done.stderr[-3000:]
    last = done.stderr.strip().splitlines()[-1]
    assert is_one_sentence(last)
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stdout + done.stderr, (done.stdout, done.stderr)
