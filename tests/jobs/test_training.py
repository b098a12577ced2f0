"""A small training run, and what TensorBoard shows of it."""

import math
import os
import signal

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.run_folder import load_run
from meqc_marl.jobs.training import train
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.tensorboard import SCALARS

OFTEN, NEVER = Placement(checkpoint_every_s=0.0), Placement(checkpoint_every_s=1e9)


def small(env_steps=1_600, devices=3):
    scenario = load_scenario("small", ["horizon=20", f"num_devices={devices}"])
    return Run(scenario=scenario, env_steps=env_steps, seed=1)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, ray_session):
    """Train for a number of devices; returns the folder and the reported progress."""

    def run(devices):
        folder = tmp_path_factory.mktemp("run") / "a"
        reports = []
        checkpoint, finished = train(small(devices=devices), folder, reports.append, placement=OFTEN)
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
    of_pools = {"sharing/price_of_anarchy", "sharing/price_of_ignorance"}  # where nothing is shared there are none
    of_queues = {name for name in SCALARS if name.startswith("waiting/")}
    assert set(found) == set(SCALARS) - of_pools - of_queues - {"sharing/devices_present"}
    for points in found.values():
        assert all(math.isfinite(point.value) for point in points)
    steps = [point.step for point in found["system/cost"]]
    assert steps == [report.env_steps for report in reports]
    assert steps[-1] >= 1_600
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
    checkpoint, finished = train(load_run(folder), folder, reports.append, placement=OFTEN, resume=True)
    assert finished
    assert not reports
    assert checkpoint == before[-1]


def test_a_folder_holds_one_run(run_of):
    folder, _ = run_of[3]
    with pytest.raises(InputError, match=r"holds a run already; resume it with --resume, or name another\.$"):
        train(small(), folder)


class Crash(Exception):
    pass


def test_resuming_after_a_crash_shows_every_step_once(ray_session, tmp_path):
    """The crash comes after the last checkpoint: what was logged in between is logged again."""
    run, folder, reports = small(3_200), tmp_path / "run", []

    def crash_after(iterations):
        def report(progress):
            reports.append(progress)
            if len(reports) == iterations:
                raise Crash

        return report

    # Before the first checkpoint: the run begins again.
    with pytest.raises(Crash):
        train(run, folder, crash_after(2), placement=NEVER)
    assert not list_checkpoints(folder)
    (folder / ".incomplete-x").mkdir()
    with pytest.raises(Crash):
        train(run, folder, crash_after(5), placement=OFTEN, resume=True)
    assert [report.env_steps for report in reports] == [320, 640, 320, 640, 960]
    (saved,) = list_checkpoints(folder)[-1:]
    assert saved.name == "checkpoint_000002"
    reports.clear()
    checkpoint, finished = train(load_run(folder), folder, reports.append, placement=OFTEN, resume=True)
    assert finished
    assert checkpoint.name == "checkpoint_000010"
    assert not list(folder.glob(".*"))
    assert [report.env_steps for report in reports] == list(range(960, 3_201, 320))
    assert [point.step for point in events(folder)["system/cost"]] == list(range(320, 3_201, 320))


def test_a_signal_ends_training_with_a_checkpoint(ray_session, tmp_path):
    reports = []

    def report(progress):
        reports.append(progress)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    checkpoint, finished = train(small(), tmp_path / "run", report)
    assert not finished
    assert len(reports) == 1
    assert checkpoint == tmp_path / "run" / "checkpoint_000001"
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_folders_that_cannot_be_used(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(InputError, match=r"output folder '.*' cannot be written: .*\.$"):
        train(small(), in_the_way / "run")
    with pytest.raises(InputError, match=r"run folder '.*' holds no run to resume\.$"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text('{"env_steps": 5')
    with pytest.raises(InputError, match=r"holds no readable run.json to resume from \(.*\)\.$"):
        load_run(tmp_path)


@pytest.mark.parametrize("env_steps", [1, 9, 10, 11])
def test_any_budget_has_schedules(env_steps):
    config = offloading_config(load_scenario("small"), env_steps=env_steps)
    for schedule in (config.critic_lr, config.actor_lr, config.epsilon):
        steps = [step for step, _ in schedule]
        assert steps == sorted(set(steps))
