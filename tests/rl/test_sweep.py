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
from meqc_marl.evaluation.metrics import measure
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.rl.evaluation import HELD_OUT_SEED, NUM_TRACES
from meqc_marl.rl.policy import load_policy
from meqc_marl.rl.study import run_study
from meqc_marl.rl.sweep import sweep_study
from meqc_marl.rl.tensorboard import SCALARS
from meqc_marl.trace import generate_trace

COMMAND = [
    *(sys.executable, "-m", "meqc_marl.cli", "sweep", "--scenario", "small", "--set", "horizon=20", "--v", "0.1", "1"),
    *("--delta", "0.3", "0.7", "--num-seeds", "2", "--learner", "hidden=[16,16]", "--out", "sweep"),
]


def make(**changes):
    given = {"v": (0.1, 1.0), "delta": (0.5,), "seeds": (0,), "env_steps": 1_600, "learner": {"hidden": [16, 16]}}
    return sweep_study(load_scenario("small", ["horizon=20"]), **(given | changes))


def finished_trials(folder: Path) -> dict[str, list[dict]]:
    """What every trial wrote, by its name."""
    return {
        path.parent.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in (folder / "trials").glob("*/result.json")
    }


@pytest.mark.timeout(120)
def test_trials_are_complete_and_not_repeated(ray_session, tmp_path):
    told = []
    records = run_study(make(), tmp_path, lambda *counts: told.append(counts))
    assert [(r.labels["v"], r.labels["delta"], r.seed, r.error) for r in records] == [
        (0.1, 0.5, 0, None),
        (1.0, 0.5, 0, None),
    ]
    for record in records:
        assert record.curve[-1] == (record.env_steps, record.metrics)
        assert [steps for steps, _ in record.curve] == sorted({steps for steps, _ in record.curve})
        policy = load_policy(record.policy)
        assert policy.scenario.lyapunov.v == record.labels["v"]
        trace = generate_trace(policy.scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + NUM_TRACES))
        cost = measure(rollout(policy, policy.scenario, trace), policy.scenario)["cost"].mean()
        assert cost == pytest.approx(record.metrics["cost"], rel=1e-6)
        assert record.env_steps >= 1_600
        assert record.metrics["cost"] > 0
        assert record.metrics["objective_regret"] is not None
    assert told[-1] == (2, 0, 0)
    before = finished_trials(tmp_path)
    again = run_study(make(), tmp_path)
    assert again == records
    assert finished_trials(tmp_path) == before
    accumulator = EventAccumulator(str(next((tmp_path / "trials").glob("v=1.0*"))))
    accumulator.Reload()
    assert accumulator.SummaryMetadata("custom_scalars__config__").plugin_data.plugin_name == "custom_scalars"
    tags = {tag.removeprefix("ray/tune/") for tag in accumulator.Tags()["scalars"]}
    assert tags >= {"system/cost", "evaluation/cost", "queue/backlog_mean"}
    assert tags <= {*SCALARS, "training_iteration", "timesteps_total"}
    assert accumulator.Scalars("ray/tune/system/cost")[-1].step >= 1_600


def test_other_trials_are_not_mixed_in(ray_session, tmp_path):
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match="holds other trials"):
        run_study(make(), tmp_path)


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
def test_bad_grids_are_refused_before_any_trial(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run_study(make(**changes), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.timeout(120)
def test_a_failing_trial_sinks_nothing_else(ray_session, tmp_path):
    """At V = 1e300 the rewards are not finite; the trial at V = 1 finishes."""
    records = run_study(make(v=(1e300, 1.0)), tmp_path, max_failures=0)
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
    for trial in (*whole, *resumed):
        trial.pop("policy")
    assert whole == resumed
    assert len(resumed) == 8
