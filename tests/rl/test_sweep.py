"""The sweep by Tune: nothing is repeated, nothing is mixed, a failure sinks nothing but its trial."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.rl.sweep import Sweep, begin_sweep, run_sweep
from meqc_marl.rl.tensorboard import SCALARS

COMMAND = [
    *(sys.executable, "-m", "meqc_marl.cli", "sweep", "--scenario", "small", "--set", "horizon=20", "--v", "0.1", "1"),
    *("--delta", "0.3", "0.7", "--num-seeds", "2", "--learner", "hidden=[16,16]", "--out", "sweep"),
]


def make(**changes):
    scenario = load_scenario("small", ["horizon=20"]).model_dump(mode="json")
    given = {"v": (0.1, 1.0), "delta": (0.5,), "seeds": (0,), "env_steps": 1_600, "learner": {"hidden": [16, 16]}}
    return Sweep(scenario, **(given | changes))


def finished_trials(folder: Path) -> dict[str, list[dict]]:
    """What every trial wrote, by its name."""
    return {
        path.parent.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in (folder / "trials").glob("*/result.json")
    }


@pytest.mark.timeout(120)
def test_trials_are_complete_and_not_repeated(ray_session, tmp_path):
    told = []
    records = run_sweep(make(), str(tmp_path), "trials", lambda *counts: told.append(counts))
    assert [(r.v, r.delta, r.seed, r.error) for r in records] == [(0.1, 0.5, 0, None), (1.0, 0.5, 0, None)]
    for record in records:
        assert record.env_steps >= 1_600
        assert record.metrics["cost"] > 0
        assert record.metrics["objective_regret"] is not None
    assert told[-1] == (2, 0, 0)
    before = finished_trials(tmp_path)
    again = run_sweep(make(), str(tmp_path), "trials")
    assert again == records
    assert finished_trials(tmp_path) == before
    accumulator = EventAccumulator(str(next((tmp_path / "trials").glob("v=1.0*"))))
    accumulator.Reload()
    tags = {tag.removeprefix("ray/tune/") for tag in accumulator.Tags()["scalars"]}
    assert tags >= {"system/cost", "evaluation/cost", "queue/backlog_mean"}
    assert tags <= {*SCALARS, "training_iteration", "timesteps_total"}
    assert accumulator.Scalars("ray/tune/system/cost")[-1].step >= 1_600


def test_another_sweep_is_not_mixed_in(tmp_path):
    begin_sweep(tmp_path / "a", make())
    begin_sweep(tmp_path / "a", make())
    with pytest.raises(InputError, match="holds another sweep"):
        begin_sweep(tmp_path / "a", make(seeds=(0, 1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"v": (1.0, 1.0)}, r"v is \[1.0, 1.0\]; each of one or more values must be given once"),
        ({"delta": ()}, r"delta is \[\]"),
        ({"delta": (1.5,)}, "lyapunov.delta is 1.5"),
        ({"v": (0.0,)}, "lyapunov.v is 0"),
        ({"learner": {"critic": "none"}}, "must be one of multi-pass"),
    ],
)
def test_bad_grids_are_refused_before_any_trial(changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes).check()


@pytest.mark.timeout(120)
def test_a_failing_trial_sinks_nothing_else(ray_session, tmp_path):
    """At V = 1e300 the rewards are not finite; the trial at V = 1 finishes."""
    records = run_sweep(make(v=(1e300, 1.0)), str(tmp_path), "trials", max_failures=0)
    failed, fine = records
    assert "not finite" in failed.error
    assert fine.error is None
    assert fine.env_steps >= 1_600
    assert fine.metrics["cost"] > 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_killed_sweep_goes_on_and_equals_an_undisturbed_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    command = [*COMMAND, "--env-steps", "24000"]
    subprocess.run(command, cwd=tmp_path / "a", check=True, capture_output=True, timeout=600)
    process = subprocess.Popen(command, cwd=tmp_path / "b", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "b/sweep/trials").glob("*/checkpoint_*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(5)
    at_kill = finished_trials(tmp_path / "b/sweep")
    assert any(rows[-1]["timesteps_total"] < 24_000 for rows in at_kill.values()) or len(at_kill) < 8
    subprocess.run(command, cwd=tmp_path / "b", check=True, capture_output=True, timeout=600)
    whole, resumed = (json.loads((tmp_path / f"{x}/sweep/trials.json").read_text())["trials"] for x in "ab")
    key = lambda trial: (trial["v"], trial["delta"], trial["seed"])  # noqa: E731
    assert sorted(whole, key=key) == sorted(resumed, key=key)
    assert len(resumed) == 8
