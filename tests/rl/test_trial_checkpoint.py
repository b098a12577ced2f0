"""A trial goes on from a checkpoint that is whole, even where Tune's state names one that is gone."""

import json
import shutil

import pytest
from ray.tune import Checkpoint

from meqc_marl.rl.study import run_study
from meqc_marl.rl.trial_checkpoint import newest, progress, seal
from tests.rl.test_sweep import make


def sealed(folder, iteration):
    (folder / "policy").mkdir(parents=True)
    (folder / "state.pkl").write_bytes(bytes(100))
    (folder / "policy" / "w").write_bytes(bytes(10))
    seal(folder, {"training_iteration": iteration, "time_total_s": 1.0, "other": object()})
    return Checkpoint.from_directory(folder)


@pytest.fixture
def trial(tmp_path):
    return [sealed(tmp_path / f"checkpoint_00000{number}", number) for number in range(3)]


def test_a_whole_checkpoint_is_taken_as_named(trial):
    assert newest(trial[0]).path == trial[0].path
    assert progress(trial[0]) == {"training_iteration": 0, "time_total_s": 1.0}


@pytest.mark.parametrize("damage", ["gone", "cut", "missing file", "no seal"])
def test_otherwise_the_newest_whole_one(tmp_path, trial, damage):
    def spoil(number):
        folder = tmp_path / f"checkpoint_00000{number}"
        if damage == "gone":
            shutil.rmtree(folder)
        elif damage == "cut":
            (folder / "policy" / "w").write_bytes(bytes(9))
        elif damage == "missing file":
            (folder / "state.pkl").unlink()
        else:
            (folder / "complete.json").unlink()

    spoil(0)
    assert newest(trial[0]).path == trial[2].path
    spoil(2)
    assert newest(trial[0]).path == trial[1].path
    spoil(1)
    assert newest(trial[0]) is None


@pytest.mark.timeout(180)
@pytest.mark.parametrize("left", [True, False])
def test_a_trial_ends_the_same_though_tunes_state_names_a_checkpoint_that_is_gone(ray_session, tmp_path, left):
    whole = run_study(make(v=(1.0,)), tmp_path / "a")
    (tmp_path / "b").mkdir()
    done = run_study(make(v=(1.0,)), tmp_path / "b")
    assert done[0].metrics == whole[0].metrics
    (folder,) = (tmp_path / "b" / "trials").glob("v=*")
    (checkpoint,) = folder.glob("checkpoint_*")
    if left:
        checkpoint.rename(folder / "checkpoint_000777")
    else:
        shutil.rmtree(checkpoint)
    # Tune takes the trial for unfinished, at the checkpoint that is gone.
    (state,) = (tmp_path / "b" / "trials").glob("experiment_state*.json")
    state.write_text(state.read_text().replace('\\"TERMINATED\\"', '\\"PENDING\\"'))
    (again,) = run_study(make(v=(1.0,)), tmp_path / "b")
    assert (again.env_steps, again.metrics) == (whole[0].env_steps, whole[0].metrics)
    assert again.error is None
    rows = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
    assert len(rows) > 1
