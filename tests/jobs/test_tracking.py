"""MLflow and Weights & Biases are told what TensorBoard is, and their faults cost no training."""

import json
import logging
import pickle
from pathlib import Path

import pytest

from meqc_marl.cli import main
from meqc_marl.errors import InputError
from meqc_marl.jobs import tracking
from meqc_marl.jobs.run import Placement
from meqc_marl.jobs.tracking import PROJECT, TRACKERS, Tracker, check_trackers, tracked

TINY = ["--scenario", "small", "--env-steps", "400", "--learner", "hidden=[16]"]


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_ALLOW_FILE_STORE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # set again after the test to what it was
    for name in ("WANDB_MODE", "WANDB_DIR", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def runs_of_mlflow(folder):
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=(folder / "results" / "mlruns").as_uri())
    experiment = client.get_experiment_by_name(PROJECT)
    return client, client.search_runs([experiment.experiment_id])


def test_a_run_is_told_to_mlflow(tmp_path):
    pytest.importorskip("mlflow")
    with tracked(("mlflow",), tmp_path / "mine", {"gamma": 0.5, "scenario": "small"}) as tell:
        tell({"system/cost": 3.0, "evaluation/regret": 0.25}, 100)
        tell({"system/cost": 2.0}, 200)
    client, (run,) = runs_of_mlflow(tmp_path)
    assert run.info.run_name == "mine"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"gamma": "0.5", "scenario": "small"}
    points = client.get_metric_history(run.info.run_id, "system/cost")
    assert [(point.step, point.value) for point in points] == [(100, 3.0), (200, 2.0)]
    assert run.data.metrics["evaluation/regret"] == 0.25


def test_a_run_that_fails_is_told_so(tmp_path):
    pytest.importorskip("mlflow")

    def diverge():
        with tracked(("mlflow",), tmp_path / "mine", {}) as tell:
            tell({"system/cost": 3.0}, 100)
            raise InputError("training diverged.")

    with pytest.raises(InputError):
        diverge()
    _, (run,) = runs_of_mlflow(tmp_path)
    assert run.info.status == "FAILED"


class Broken:
    """Ray's callback of a server that is not there."""

    def __init__(self, when):
        self.when, self.calls = when, 0

    def __getattr__(self, name):
        def call(*_, **__):
            self.calls += 1
            if name == self.when:
                raise ConnectionError("no route\nto host")

        return call


@pytest.mark.parametrize("when", ["setup", "log_trial_start", "log_trial_result", "log_trial_end"])
def test_a_fault_is_told_once_and_costs_no_training(when, tmp_path, monkeypatch, caplog):
    broken = Broken(when)
    monkeypatch.setitem(TRACKERS, "mlflow", lambda: broken)
    with caplog.at_level(logging.WARNING), tracked(("mlflow",), tmp_path / "mine", {}) as tell:
        for step in range(5):
            tell({"system/cost": 3.0}, step)
    assert [record.getMessage() for record in caplog.records] == [
        "mlflow is told nothing more, training goes on: ConnectionError: no route to host"
    ]
    assert broken.calls == {"setup": 1, "log_trial_start": 2, "log_trial_result": 3, "log_trial_end": 8}[when]


@pytest.mark.parametrize("name", TRACKERS)
def test_one_that_is_not_installed_is_a_sentence(name, monkeypatch):
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=rf"pip install 'meqc-marl\[{name}\]'"):
        check_trackers((name,))


def test_names_are_those_that_a_placement_takes():
    assert Placement(track=tuple(TRACKERS)).track == tuple(TRACKERS)
    assert main(["train", "--track", "tensorflow"]) == 2


def test_tune_keeps_what_it_is_and_not_what_is_open():
    tracker = Tracker("mlflow", "sweep")
    tracker._callback = Broken("nothing")
    again = pickle.loads(pickle.dumps(tracker))
    assert (again._name, again._job, again._callback) == ("mlflow", "sweep", None)


@pytest.mark.long
def test_commands_tell_both(tmp_path):
    """A run, and a sweep of two trials: the same scalars as TensorBoard, and what was trained with."""
    pytest.importorskip("mlflow")
    pytest.importorskip("wandb")
    tracks = ["--track", "mlflow", "--track", "wandb"]
    assert main(["train", *TINY, "--num-traces", "1", "--out", "one", *tracks]) == 0
    sweep = ["sweep", *TINY, "--v", "1", "10", "--delta", "0.5", "--num-seeds", "1", "--out", "two", *tracks]
    assert main(sweep) == 0
    client, runs = runs_of_mlflow(tmp_path)
    assert len(runs) == 3
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(float(run.data.params["v"]) for run in runs) == [1.0, 1.0, 10.0]
    for run in runs:
        assert "evaluation/regret" in run.data.metrics
        assert client.get_metric_history(run.info.run_id, "system/cost")[-1].step == 400
    offline = list(Path("results/wandb").glob("offline-run-*"))
    assert len(offline) == 3
    assert all(list(path.glob("*.wandb")) for path in offline)
    assert json.loads(Path("one/comparison.json").read_text())
