"""``meqc-marl train`` and ``evaluate`` as a user calls them."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from meqc_marl.cli import main
from meqc_marl.cli.train import TrainOptions
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.run_folder import begin_run
from meqc_marl.policies.folders import list_checkpoints

TRAIN = [sys.executable, "-m", "meqc_marl.cli", "train"]
WITHOUT_RAY = "import sys; sys.modules['ray'] = None; from meqc_marl.cli import main; sys.exit(main(sys.argv[1:]))"
PROGRESS = re.compile(r"training: [\d,]+ of [\d,]+ env-steps, .*cost .*")
TINY = ["--scenario", "small", "--set", "horizon=20", "--num-traces", "2"]


def finish(arguments, cwd, code):
    done = subprocess.run([*TRAIN, *arguments], cwd=cwd, capture_output=True, text=True, timeout=200)
    assert done.returncode == code, done.stderr
    return done


def start(arguments, folder):
    """Start to train and wait until there is a new checkpoint."""
    before = list_checkpoints(folder / "run")[-1:]
    process = subprocess.Popen(
        [*TRAIN, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while list_checkpoints(folder / "run")[-1:] == before:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def only_progress(lines):
    """Our lines and no word of RLlib's."""
    return bool(lines) and all(PROGRESS.fullmatch(line) for line in lines)


@pytest.mark.parametrize(
    ("size", "every", "sentence"),
    [
        pytest.param("28k", "1000", r"output folder '.*tensorboard' cannot be written: .*", marks=pytest.mark.long),
        ("3m", "0", r"checkpoint '.*' cannot be .*"),
    ],
)
def test_a_full_disk_is_told_in_one_sentence_and_leaves_no_half_checkpoint(disk, size, every, sentence):
    run = disk(size) / "run"
    done = finish([*TINY, "--env-steps", "60000", "--checkpoint-every-s", every, "--out", str(run)], run.parent, 2)
    lines = done.stderr.strip().splitlines()
    assert only_progress(lines[:-1])
    assert re.fullmatch(rf"error: {sentence}No space left on device\.", lines[-1])
    assert not list(run.glob(".incomplete-*"))
    # What is there is complete.
    assert all((checkpoint / "policy" / "policy.safetensors").exists() for checkpoint in list_checkpoints(run))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("critic=mixed", "learner parameter critic is 'mixed'; it must be one of multi-pass, joint, separate."),
        ("critc=joint", "learner parameter 'critc' is unknown (did you mean 'critic'?)."),
        ("gamma=high", "learner parameter gamma is 'high'; it must be a number of at least 0 and below 1."),
        ("double_q=true", "learner parameter double_q is True; it has no effect with gamma = 0: leave it False."),
        ("allowed_modes=[[1]]", "learner parameter allowed_modes is [[1]]; it must be a list of modes."),
        ("hidden=64", "learner parameter hidden is 64; it must be one or more widths of at least 1."),
        ("allowed_modes=[7]", "learner parameter allowed_modes is [7]; the modes are 0 (LOCAL), 1 (CPU), 2 (QPU)."),
        ("gamma", "learner 'gamma' is not of the form field=value, as in gamma=0.9."),
    ],
)
def test_bad_learner_parameters_are_told_before_anything_is_written(tmp_path, capsys, given, sentence):
    code = main(["train", *TINY, "--learner", given, "--out", str(tmp_path / "run")])
    assert code == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()


def test_kill_interrupt_resume_evaluate(tmp_path):
    """kill -9, go on, Ctrl-C, go on to the end; then evaluate what came out, on more devices too."""
    process = start([*TINY, "--env-steps", "8000", "--checkpoint-every-s", "0", "--out", "run"], tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    killed = list_checkpoints(tmp_path / "run")[-1]
    (tmp_path / "run" / ".incomplete-x").mkdir()

    process = start(["--resume", "--checkpoint-every-s", "0", "--out", "run"], tmp_path)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped early; go on with: meqc-marl train --resume --out run" in out
    *lines, last = err.splitlines()
    assert re.fullmatch(
        r"interrupted: ([\d,]+ of 8,000 env-steps are trained; )?the run has a checkpoint, checkpoint_\d+, and goes on "
        r"with --resume\.",
        last,
    )
    assert only_progress(lines)
    assert not list((tmp_path / "run").glob(".incomplete*"))
    before = list_checkpoints(tmp_path / "run")[-1]
    assert before > killed

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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--v", "-1"], ["lyapunov.v", "-1", "from 1e-6 to 1e6"]),
        (["--delta", "1.5"], ["lyapunov.delta", "1.5", "from 0 to 1"]),
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
        (["--env-steps", "50"], "has 5,000 env-steps; leave out --env-steps, or give more"),
        (["--v", "2"], "lyapunov.v 3.0 and not 2.0; leave out --scenario, --set, --v or --delta"),
        (["--scenario", "small", "--set", "horizon=30", "--v", "3"], "horizon 20 and not 30"),
        (["--seed", "5"], "has seed 0 and not 5; leave out --seed"),
        (["--num-env-runners", "2"], "has num_env_runners 0 and not 2; leave out --num-env-runners"),
        (["--env-runner", "stock"], "has env_runner batched and not stock; leave out --env-runner"),
        (["--learner", "gamma=0.5"], "has learner.gamma unset and not 0.5; leave out --learner"),
        (["--learner", "tau=0.5"], "has learner.tau 0.1 and not 0.5; leave out --learner"),
        (["--from", "elsewhere"], "has warm_start unset and not elsewhere; leave out --from"),
        # The same is no contradiction; it goes on to look for what is missing here.
        (["--scenario", "small", "--set", "horizon=20", "--v", "3", "--env-steps", "5000"], "no Ray today"),
        (["--learner", "hidden=[9,9]"], "no Ray today"),  # one of its two parameters
        (["--learner", "gamma=0", "--learner", "critic_lr=0.003"], "no Ray today"),  # as they are without a word
        (["--learner", "gama=0"], "did you mean 'gamma'?"),
        (["--vary", "lyapunov.v=0.1,10"], "has vary [] and not ['lyapunov.v=0.1,10']; leave out --vary"),
        (["--held-out", "x"], "held-out is 'x'; it is for traces, of which there are none"),
        (["--trace", "absent.npz"], "absent.npz"),
    ],
)
def test_resume_refuses_another_scenario_or_budget(arguments, words, tmp_path, monkeypatch, capsys):
    def train(*args, **kwargs):
        raise InputError("no Ray today.")

    monkeypatch.setattr("meqc_marl.jobs.session.start_ray", train)
    monkeypatch.setattr("meqc_marl.jobs.training.train", train)  # where a Ray of other tests is there
    scenario = load_scenario("small", ["horizon=20", "lyapunov.v=3"])
    begin_run(tmp_path / "run", Run(scenario=scenario, env_steps=5_000, learner={"hidden": [9, 9], "tau": 0.1}))
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


WITH_A_RUN = {
    "scenario": "static",
    "overrides": ("horizon=30",),
    "v": 2.0,
    "delta": 0.1,
    "vary": ("lyapunov.v=0.1,10",),
    "trace": ("absent.npz",),
    "held_out": ("x",),
    "seed": 5,
    "env_steps": 50,
    "num_env_runners": 2,
    "env_runner": "stock",
    "learner": ("gamma=0.5",),
    "learner_file": "learner.yaml",
    "warm_start": "elsewhere",
}
"""Of every option that describes a run another value than that of the run that is there."""
OF_EACH_COMMAND = {"gpus", "autoscaling", "checkpoint_every_s", "track", "num_traces"}


def test_no_option_is_ignored_where_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "learner.yaml").write_text("gamma: 0.5\n")
    stored = Run(scenario=load_scenario("small", ["horizon=20"]), env_steps=5_000)
    assert {field.name for field in dataclasses.fields(TrainOptions)} == set(WITH_A_RUN) | OF_EACH_COMMAND
    for name, value in WITH_A_RUN.items():
        with pytest.raises(InputError, match=r"leave out|held-out is 'x'|absent.npz"):
            TrainOptions(**{name: value}).job(stored, "run")
    assert TrainOptions().job(stored, "run").run == stored


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
