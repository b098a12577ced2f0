"""``meqc-marl train`` and ``evaluate`` as a user calls them."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from meqc_marl.cli import main
from meqc_marl.rl.checkpoint import list_checkpoints

TRAIN = [sys.executable, "-m", "meqc_marl.cli", "train"]
WITHOUT_RAY = "import sys; sys.modules['ray'] = None; from meqc_marl.cli import main; sys.exit(main(sys.argv[1:]))"
PROGRESS = re.compile(r"[\d,]+ of [\d,]+ env-steps, .*cost .*")
TINY = ["--scenario", "small", "--set", "horizon=20", "--num-traces", "2"]


def finish(arguments, cwd, code):
    done = subprocess.run([*TRAIN, *arguments], cwd=cwd, capture_output=True, text=True, timeout=200)
    assert done.returncode == code, done.stderr
    return done


def start_and_wait_for_checkpoint(arguments, folder):
    process = subprocess.Popen(
        [*TRAIN, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list_checkpoints(folder / "run"):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def only_progress(lines):
    """Our lines and no word of RLlib's."""
    return bool(lines) and all(PROGRESS.fullmatch(line) for line in lines)


def test_interrupt_resume_evaluate(tmp_path):
    """Ctrl-C in mid-training, then resume to the end; then evaluate what came out, on more devices too."""
    arguments = [*TINY, "--env-steps", "6000", "--checkpoint-every-s", "0", "--out", "run"]
    process = start_and_wait_for_checkpoint(arguments, tmp_path)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped early; go on with: meqc-marl train --resume --out run" in out
    *lines, last = err.splitlines()
    assert last == "interrupted"
    assert only_progress(lines)
    before = list_checkpoints(tmp_path / "run")[-1]

    done = finish(["--resume", "--out", "run", "--num-traces", "2"], tmp_path, 0)
    assert list_checkpoints(tmp_path / "run")[-1] > before
    assert "learned" in done.stdout
    assert only_progress(done.stderr.splitlines())
    numbers = json.loads((tmp_path / "run" / "comparison.json").read_text())
    assert {"oracle", "learned", "random"} <= set(numbers["policies"])
    assert (tmp_path / "run" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))

    where = str(tmp_path / "run")
    few = ["--num-traces", "2", "--num-slots", "10"]
    assert main(["evaluate", where, *few, "--set", "num_devices=6", "--json", str(tmp_path / "e.json")]) == 0
    evaluated = json.loads((tmp_path / "e.json").read_text())
    assert set(evaluated["policies"]) == {"oracle", "learned"}
    assert evaluated["scenario"]["num_devices"] == 6


def test_kill_and_resume(tmp_path):
    """kill -9: the next run starts from the last complete checkpoint, and what was half written is gone."""
    arguments = [*TINY, "--env-steps", "5000", "--checkpoint-every-s", "0", "--out", "run"]
    process = start_and_wait_for_checkpoint(arguments, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    kept = list_checkpoints(tmp_path / "run")[-1]
    (tmp_path / "run" / ".incomplete-x").mkdir()
    finish(["--resume", "--out", "run", "--num-traces", "2"], tmp_path, 0)
    assert not list((tmp_path / "run").glob(".incomplete*"))
    assert list_checkpoints(tmp_path / "run")[-1] > kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--v", "-1"], ["lyapunov.v", "-1", "greater than 0"]),
        (["--delta", "1.5"], ["lyapunov.delta", "1.5", "less than or equal to 1"]),
        (["--set", "cost.latncy=parallel"], ["cost.latncy", "latency"]),
        (["--scenario", "papr"], ["papr", "paper"]),
        (["--env-steps", "0"], ["env-steps", "0", "at least 1"]),
        (["--seed", "-1"], ["seed", "-1", "at least 0"]),
        (["--resume", "--out", "nowhere"], ["nowhere", "no run to resume"]),
        (["--out", "file/run"], ["file/run", "cannot be written"]),
    ],
)
def test_bad_input_is_told_in_one_sentence(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["train", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.endswith(".\n")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "lyapunov.v=-1"], "lyapunov.v"),
        (["--out", "file/run"], "cannot be written"),
        (["--out", "used"], "holds a run already; resume it with --resume, or name another"),
        (["--resume", "--out", "nowhere"], "holds no run to resume"),
    ],
)
def test_bad_input_is_told_before_ray_is_imported(arguments, words, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "run.json").write_text("{}")
    command = [sys.executable, "-c", WITHOUT_RAY, "train", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["evaluate"], ["export"], ["compare", "--checkpoints"]])
def test_missing_checkpoint(command, tmp_path, capsys):
    assert main([*command, str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.endswith("does not exist; give a checkpoint folder written by 'meqc-marl train'.\n")
