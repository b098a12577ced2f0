"""A run and a trial whose newest checkpoint is damaged, or another's, end as if nothing had been."""

import shutil

import pytest

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.run_folder import load_run
from meqc_marl.jobs.stored_study import has_finished, how_far
from meqc_marl.jobs.study import finished_records, run_study
from meqc_marl.jobs.training import train
from meqc_marl.jobs.trial_checkpoint import seal
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.policies.learned import load_policy
from meqc_marl.storage import Storage
from tests.jobs.test_sweep import make

OFTEN = Placement(checkpoint_every_s=0.0)


def make_run(devices=3):
    scenario = load_scenario("small", ["horizon=20", f"num_devices={devices}"])
    return Run(scenario=scenario, env_steps=1_600, seed=1, learner={"hidden": [8, 8]})


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def go_on(folder):
    """Resume; returns the last checkpoint."""
    checkpoint, finished = train(load_run(folder), folder, placement=OFTEN, resume=True)
    assert finished
    return checkpoint


@pytest.fixture(scope="module")
def runs(tmp_path_factory, ray_session):
    """A finished run of three devices and one of fifteen."""
    made = {}
    for devices in (3, 15):
        made[devices] = tmp_path_factory.mktemp("runs") / str(devices)
        train(make_run(devices), made[devices], placement=OFTEN)
    return made


@pytest.mark.timeout(120)
@pytest.mark.parametrize("what", ["replay_buffer", "learner_group", "policy"])
def test_a_run_goes_on_from_the_older_one(runs, tmp_path, capsys, what):
    folder = tmp_path / "run"
    shutil.copytree(runs[3], folder)
    newest = list_checkpoints(folder)[-1]
    weights = (newest / "policy" / "policy.safetensors").read_bytes()
    flip(max((path for path in (newest / what).rglob("*") if path.is_file()), key=lambda path: path.stat().st_size))
    if what == "policy":
        with pytest.raises(InputError, match="is damaged"):
            load_policy(folder)
    last = go_on(folder)
    assert f"{newest.name} is damaged ({what}/" in capsys.readouterr().err
    assert last.name == newest.name  # it was trained again, and ends equal
    assert (last / "policy" / "policy.safetensors").read_bytes() == weights
    load_policy(folder)


@pytest.mark.timeout(120)
def test_another_runs_checkpoint_does_not_count(runs, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(runs[3], folder)
    shutil.copytree(list_checkpoints(runs[15])[-1], folder / "checkpoint_000999")
    last = go_on(folder)
    assert "checkpoint_000999 is of another run (scenario.num_devices is 15, not 3)" in capsys.readouterr().err
    assert last.name == list_checkpoints(runs[3])[-1].name
    for checkpoint in list_checkpoints(folder):
        shutil.rmtree(checkpoint)
    shutil.copytree(list_checkpoints(runs[15])[-1], folder / "checkpoint_000999")
    with pytest.raises(InputError, match=r"holds no checkpoint to go on from: checkpoint_000999 is of another run"):
        go_on(folder)


def test_another_trials_checkpoint_does_not_count_as_an_end(tmp_path):
    """A study asks how far each trial is before it runs any."""
    study = make(v=(1.0,))
    ((name, run),) = study.items()
    metrics = {"training_iteration": 9, "timesteps_total": 1_000_000, "time_total_s": 1.0}
    for belongs_to in (run.identity(), make(v=(0.1,))["v=0.1,delta=0.5,seed=0"].identity()):
        folder = tmp_path / "trials" / name / "checkpoint_000001"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "state.pkl").write_bytes(b"1")
        seal(folder, metrics, [(0, {}), (1_000_000, {"cost": 1.0})], belongs_to)
        if belongs_to == run.identity():
            (record,) = run_study(study, tmp_path)
            assert record.env_steps == 1_000_000
    with pytest.raises(InputError, match=r"is of another trial \(scenario.lyapunov.v is 0.1, not 1.0\)"):
        run_study(study, tmp_path)


def test_a_finished_trial_whose_policy_is_damaged_is_trained_again(tmp_path):
    """What is reported must be what was trained: one bit in the policy, and the trial counts as not begun."""
    study = make(v=(1.0,))
    ((name, run),) = study.items()
    folder = tmp_path / "trials" / name / "checkpoint_000001"
    (folder / "policy").mkdir(parents=True)
    weights = folder / "policy" / "policy.safetensors"
    weights.write_bytes(bytes(64))
    steps = {"training_iteration": 9, "timesteps_total": 1_000_000, "time_total_s": 1.0}
    seal(folder, steps, [(1_000_000, {"cost": 1.0})], run.identity())
    storage, told = Storage.reading(tmp_path), []
    assert has_finished(how_far(storage, study, told.append)[name], run)
    weights.write_bytes(b"\x01" + bytes(63))
    assert told == []
    assert how_far(storage, study, told.append) == {name: None}
    assert told == [f"trial '{name}' is damaged (policy/policy.safetensors has another checksum); it is trained again"]
    assert finished_records(storage, study) == []
