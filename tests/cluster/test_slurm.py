"""The batch script, with stand-ins for SLURM, Ray and the sweep."""

import os
import re
import signal
import stat
import subprocess
import time

import pytest

from tests.cluster.manifests import CLUSTER

SCRIPT = CLUSTER / "slurm" / "job.sbatch"
TOOLS = {
    # The options of srun are its own, the rest is a command for every machine.
    "srun": 'while case $1 in --*) true;; *) false;; esac; do shift; done; exec "$@"',
    "scontrol": 'echo "scontrol $*" >>"$LOG"; [ "$1" != show ] || printf "node1\\nnode2\\nnode3\\n"',
    "getent": 'echo "127.0.1.1 STREAM node1"; echo "10.0.0.5 STREAM node1"',
    "ray": 'echo "ray $*" >>"$LOG"; [ "$1" = health-check ] || exec sleep 60',
    "meqc-marl": 'stat -c "token %a %s" "$RAY_AUTH_TOKEN_PATH" >>"$LOG"\n'
    'echo "sweep $RAY_ADDRESS $RAY_AUTH_MODE $OMP_NUM_THREADS $*" >>"$LOG"; eval "$SWEEP"',
}


@pytest.fixture
def start(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, body in TOOLS.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(stat.S_IRWXU)
    (tmp_path / "log").touch()

    def run(sweep, words=("sweep", "--v", "1", "10")):
        env = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "LOG": str(tmp_path / "log"),
            "SWEEP": sweep,
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_CPUS_PER_TASK": "8",
            "SLURM_SUBMIT_DIR": str(tmp_path),
        }
        return subprocess.Popen(["bash", str(SCRIPT), *words], env=env, start_new_session=True)

    return run


def log(tmp_path):
    return (tmp_path / "log").read_text()


def test_it_asks_for_another_turn_before_its_time_is_up():
    text = SCRIPT.read_text()
    for option in ("--requeue", "--signal=B:USR1@120", "--exclusive"):
        assert re.search(rf"^#SBATCH {re.escape(option)}$", text, re.MULTILINE)


@pytest.mark.parametrize("code", [0, 1])
def test_a_sweep_runs_with_ray_on_all_machines_and_a_token_of_its_own(tmp_path, start, code):
    both = 'grep -q "ray start --block" "$LOG" && grep -q "ray start --head" "$LOG"'
    assert start(f"until {both}; do sleep 0.05; done; exit {code}").wait(timeout=30) == code
    told = log(tmp_path)
    assert "ray start --head --block --node-ip-address=10.0.0.5 --port=24711 --num-cpus=6" in told
    assert "ray start --block --address=10.0.0.5:24711 --num-cpus=8" in told
    assert f"sweep 10.0.0.5:24711 token 1 sweep --v 1 10 --storage {tmp_path}/results/sweep --autoscaling" in told
    assert "token 600 64" in told
    assert "requeue" not in told
    assert not list(tmp_path.glob(".meqc-token-*"))


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("train", "--seed", "1"), "train --seed 1 --resume --storage {}/results/train --autoscaling"),
        (("figure", "5a"), "figure 5a --storage {}/results/figure --autoscaling"),
    ],
)
def test_any_job_goes_on_from_its_storage(tmp_path, start, words, command):
    assert start("exit 0", words).wait(timeout=30) == 0
    assert f"token 1 {command.format(tmp_path)}\n" in log(tmp_path)


def test_a_job_without_a_name_is_refused(tmp_path, start):
    assert start("exit 0", ()).wait(timeout=30) == 2
    assert "ray" not in log(tmp_path)


def test_it_goes_back_into_the_queue_when_its_machines_are_wanted(tmp_path, start):
    job = start("exec sleep 60")
    deadline = time.monotonic() + 30
    while "sweep 10" not in log(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=30) == 0
    assert "scontrol requeue 4711" in log(tmp_path)
    assert not list(tmp_path.glob(".meqc-token-*"))
