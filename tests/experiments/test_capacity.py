"""The model of a sweep on a cluster against exact laws, and the stand-ins against Tune."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.capacity.cluster import CORES_OF_A_NODE, OUT, POINTS, paper_sweep, predict_point
from experiments.capacity.measure import tiny_study
from experiments.capacity.model import Cluster, Driver, Storage, Sweep, ideal_seconds, simulate
from experiments.capacity.trials import StandIn
from meqc_marl.jobs.study import run_study
from meqc_marl.jobs.trial_checkpoint import farthest
from meqc_marl.storage import Storage as Folder

IDLE = Driver(launch_s=0.0, result_s=0.0, snapshot_s=0.0, snapshot_trial_s=0.0, report_s=0.0)
FAST = Storage(1e9, 1e12)
SWEEPS = st.builds(
    Sweep,
    trials=st.integers(1, 30),
    iterations=st.integers(1, 20),
    iteration_s=st.floats(0.1, 10.0),
    start_s=st.floats(0.0, 20.0),
    checkpoints=st.integers(1, 10),
    checkpoint_mb=st.floats(0.0, 100.0),
)


@settings(max_examples=50, deadline=None)
@given(sweep=SWEEPS, slots=st.integers(1, 40))
def test_without_waiting_it_takes_rounds_of_trials(sweep, slots):
    outcome = simulate(sweep, IDLE, FAST, Cluster(slots))
    assert outcome.seconds == pytest.approx(ideal_seconds(sweep, slots), rel=1e-4)
    assert outcome.waited < 1e-4


@settings(max_examples=30, deadline=None)
@given(sweep=SWEEPS, slots=st.integers(1, 40), result_s=st.floats(0.001, 2.0), launch_s=st.floats(0.0, 2.0))
def test_no_sweep_beats_its_trials_nor_its_driver(sweep, slots, result_s, launch_s):
    driver = Driver(launch_s, result_s, 0.0, 0.0, 5.0)
    outcome = simulate(sweep, driver, FAST, Cluster(slots))
    work = sweep.trials * (launch_s + sweep.iterations * result_s)
    assert outcome.seconds >= max(ideal_seconds(sweep, slots), work) + 5.0 - 1e-6
    assert outcome.driver_busy == pytest.approx((work + 5.0) / outcome.seconds)
    # Nor does it take longer than everything one after the other.
    assert outcome.seconds <= work + sweep.trials * sweep.trial_s + 5.0 + 1e-3


def test_a_driver_that_is_never_idle_sets_the_pace():
    sweep = Sweep(trials=100, iterations=100, iteration_s=1.0, start_s=0.0, checkpoints=1, checkpoint_mb=0.0)
    outcome = simulate(sweep, Driver(0.0, 0.1, 0.0, 0.0, 0.0), FAST, Cluster(100))
    assert outcome.seconds == pytest.approx(100 * 100 * 0.1, rel=0.01)
    assert outcome.driver_busy > 0.99


def test_a_storage_that_is_never_idle_sets_the_pace():
    sweep = Sweep(trials=20, iterations=10, iteration_s=0.1, start_s=0.0, checkpoints=10, checkpoint_mb=100.0)
    outcome = simulate(sweep, IDLE, Storage(50.0, 100.0), Cluster(20))
    assert outcome.seconds == pytest.approx(20 * 10 * 100.0 / 100.0, rel=0.05)
    assert outcome.storage_busy > 0.95


def test_snapshots_take_at_most_a_twentieth_of_the_driver():
    sweep = Sweep(trials=4, iterations=1_000, iteration_s=1.0, start_s=0.0, checkpoints=1, checkpoint_mb=0.0)
    short = simulate(sweep, Driver(0.0, 0.0, 0.1, 0.0, 0.0), FAST, Cluster(4))
    assert short.driver_busy == pytest.approx(0.1 / 10.1, rel=0.05)
    long = simulate(sweep, Driver(0.0, 0.0, 1.0, 1.0, 0.0), FAST, Cluster(4))
    assert long.driver_busy == pytest.approx(0.05, rel=0.1)


def test_cores_are_shared():
    sweep = Sweep(trials=6, iterations=10, iteration_s=1.0, start_s=2.0, checkpoints=1, checkpoint_mb=0.0)
    trains = simulate(sweep, IDLE, FAST, Cluster(3, cores=2))
    assert trains.seconds == pytest.approx(6 * 12.0 / 2, rel=0.05)
    only_starts = simulate(sweep, IDLE, FAST, Cluster(3, cores=2, trains=False))
    assert only_starts.seconds == pytest.approx(2 * (3 * 2.0 / 2 + 10.0), rel=0.1)


@pytest.mark.timeout(120)
def test_stand_ins_are_trials_to_tune(ray_session, tmp_path):
    """They tell what they are given, leave one whole checkpoint of the size asked for, and end at their iteration."""
    trainable = StandIn.of({"scalars": {"system/cost": 1.5}, "evaluation": {"cost": 2.0}}, 12, 0.0, 0.3)
    records = run_study(tiny_study(2, 12), tmp_path, trainable=trainable)
    storage = Folder.open(tmp_path)
    for record in records:
        assert (record.env_steps, record.metrics, record.error) == (12, {"cost": 2.0}, None)
        trial = tmp_path / "trials" / record.name
        rows = [json.loads(line) for line in (trial / "result.json").read_text().splitlines()]
        assert [row["scalars"] for row in rows] == 12 * [{"system/cost": 1.5}]
        (kept,) = trial.glob("checkpoint_*")
        assert (kept / "state").stat().st_size == 300_000
        assert farthest(storage.filesystem, str(trial)).env_steps == 12


def test_what_is_stored_is_what_the_model_says_of_the_measurements():
    measured, stored = (json.loads((OUT / f"{name}.json").read_text()) for name in ("measured", "capacity"))
    assert len(stored["points"]) == len(POINTS)
    for number, (point, told) in enumerate(zip(POINTS, stored["points"], strict=True)):
        assert told["measured_s"] == measured[f"point {number}"]
        assert told["model_s"] == pytest.approx(predict_point(measured, point), rel=1e-9)
    for row in stored["paper_scale"]:
        assert row["ideal_s"] == ideal_seconds(paper_sweep(measured, row["learner"]), row["nodes"] * CORES_OF_A_NODE)
        assert row["seconds"] >= row["ideal_s"]
