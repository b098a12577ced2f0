"""A small training run, and what TensorBoard shows of it."""

import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.rl.checkpoint import list_checkpoints
from meqc_marl.rl.tensorboard import SCALARS
from meqc_marl.rl.training import TrainingRun, load_run, train

RUN = TrainingRun(env_steps=4_000, seed=1, checkpoint_every_s=0.0)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, ray_session):
    """Train for a number of devices; returns the folder and the reported progress."""

    def run(devices):
        folder = tmp_path_factory.mktemp("run") / "a"
        reports = []
        scenario = load_scenario("small", ["horizon=20", f"num_devices={devices}"])
        checkpoint, finished = train(scenario, RUN, folder, reports.append)
        assert finished
        assert checkpoint == list_checkpoints(folder)[-1]
        return folder, reports

    return {devices: run(devices) for devices in (3, 12)}


def events(folder):
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return {tag: accumulator.Scalars(tag) for tag in accumulator.Tags()["scalars"]}


@pytest.mark.parametrize("devices", [3, 12])
def test_tensorboard_has_all_scalars_over_env_steps(run_of, devices):
    folder, reports = run_of[devices]
    found = events(folder)
    assert set(found) == set(SCALARS)
    for points in found.values():
        assert all(math.isfinite(point.value) for point in points)
    steps = [point.step for point in found["system/cost"]]
    assert steps == [report.env_steps for report in reports]
    assert steps[-1] >= RUN.env_steps
    shares = [found[f"mode/{name}"][-1].value for name in ("local", "cpu", "qpu", "partial_cpu", "partial_qpu")]
    assert 0.9 < sum(shares) <= 1.0 + 1e-6


def test_only_the_newest_checkpoints_stay(run_of):
    folder, reports = run_of[3]
    assert len(reports) > 2
    assert len(list_checkpoints(folder)) == 2
    assert not list(folder.glob(".*"))


def test_a_finished_run_is_not_trained_further(run_of):
    folder, _ = run_of[3]
    reports = []
    before = list_checkpoints(folder)
    checkpoint, finished = train(
        load_scenario(folder / "scenario.yaml"), load_run(folder), folder, reports.append, True
    )
    assert finished
    assert not reports
    assert checkpoint == before[-1]


def test_a_folder_holds_one_run(run_of):
    folder, _ = run_of[3]
    with pytest.raises(InputError, match=r"holds a run already; resume it with --resume, or name another\.$"):
        train(load_scenario("small"), RUN, folder)


def test_folders_that_cannot_be_used(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(InputError, match=r"output folder '.*' cannot be written: .*\.$"):
        train(load_scenario("small"), RUN, in_the_way / "run")
    with pytest.raises(InputError, match=r"holds no readable run.json to resume from"):
        load_run(tmp_path)
