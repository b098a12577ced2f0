"""A trial goes on from a checkpoint that is whole, even where Tune's state names one that is gone."""

import shutil
from pathlib import Path

import pyarrow.fs
import pytest
from ray.train._internal.storage import StorageContext
from ray.tune import Checkpoint

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.jobs.study import run_study
from meqc_marl.jobs.trial import OffloadingTrial
from meqc_marl.jobs.trial_checkpoint import farthest, last_number, remove_others, seal
from tests.jobs.test_sweep import make


def sealed(folder, env_steps):
    (folder / "policy").mkdir(parents=True)
    (folder / "state.pkl").write_bytes(bytes(100))
    (folder / "policy" / "w").write_bytes(bytes(10))
    metrics = {"training_iteration": env_steps // 10, "timesteps_total": env_steps, "time_total_s": 1.0}
    seal(folder, metrics | {"other": object()}, [(0, {"cost": 2.0}), (env_steps, {"cost": 1.0})])
    return Checkpoint.from_directory(folder)


FILES = pyarrow.fs.LocalFileSystem()


@pytest.fixture
def trial(tmp_path):
    """Checkpoints that got 200, 300 and 100 steps far: a trial that was set back numbers them anew."""
    return [sealed(tmp_path / f"checkpoint_00000{number}", steps) for number, steps in enumerate((200, 300, 100))]


def test_a_checkpoint_tells_how_far_its_trial_was(tmp_path):
    assert farthest(FILES, str(tmp_path)) is None
    assert farthest(FILES, str(tmp_path / "gone")) is None
    made = sealed(tmp_path / "checkpoint_000004", 40)
    found = farthest(FILES, str(tmp_path))
    assert found.checkpoint.path == made.path
    assert found.metrics == {"training_iteration": 4, "timesteps_total": 40, "time_total_s": 1.0}
    assert found.env_steps == 40
    assert found.curve == [(0, {"cost": 2.0}), (40, {"cost": 1.0})]


@pytest.mark.parametrize("damage", ["gone", "cut", "missing file", "no seal", "torn seal"])
def test_the_whole_one_that_got_farthest_is_found(tmp_path, trial, damage):
    def spoil(number):
        folder = tmp_path / f"checkpoint_00000{number}"
        if damage == "gone":
            shutil.rmtree(folder)
        elif damage == "cut":
            (folder / "policy" / "w").write_bytes(bytes(9))
        elif damage == "missing file":
            (folder / "state.pkl").unlink()
        elif damage == "no seal":
            (folder / "complete.json").unlink()
        else:
            (folder / "complete.json").write_text((folder / "complete.json").read_text()[:40])

    for number in (1, 0, 2):
        assert farthest(FILES, str(tmp_path)).checkpoint.path == trial[number].path
        spoil(number)
    assert farthest(FILES, str(tmp_path)) is None


def test_a_storage_that_does_not_answer_is_not_taken_for_an_empty_one(tmp_path, trial):
    """Else a trial would begin anew and remove what it had."""

    class Silent:
        get_file_info = FILES.get_file_info

        def open_input_file(self, path):
            raise OSError(110, "Connection timed out")

    with pytest.raises(OSError, match="timed out"):
        farthest(Silent(), str(tmp_path))


def test_what_is_there_is_not_written_over_where_tune_counts_from_before(tmp_path, trial, monkeypatch):
    restored = []
    monkeypatch.setattr(DQNDDPG, "restore", lambda self, result: restored.append(result.checkpoint.path))
    mine = object.__new__(OffloadingTrial)
    mine._budget, mine._has_ended, mine._identity = 1_000, False, {}
    mine._storage = StorageContext(str(tmp_path.parent), tmp_path.name, trial_dir_name=".", current_checkpoint_index=0)
    mine._go_on()
    assert restored == [trial[1].path]
    mine._storage._update_checkpoint_index({})
    assert Path(mine._storage.checkpoint_fs_path).name == "checkpoint_000003"


def test_numbers_go_on_after_all_that_is_there(tmp_path, trial):
    assert last_number(FILES, str(tmp_path)) == 2
    (tmp_path / "checkpoint_000012").mkdir()
    assert last_number(FILES, str(tmp_path)) == 12
    assert last_number(FILES, str(tmp_path / "gone")) == -1


def test_all_others_are_removed(tmp_path, trial):
    (tmp_path / "result.json").write_text("")
    remove_others(trial[2])
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint_000002", "result.json"}
    assert farthest(FILES, str(tmp_path)).checkpoint.path == trial[2].path


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "lost", [pytest.param("the checkpoint's name", marks=pytest.mark.long), "the checkpoint", "Tune's state"]
)
def test_a_trial_ends_the_same_whatever_tune_knows_of_it(ray_session, tmp_path, lost):
    whole = run_study(make(v=(1.0,)), tmp_path / "a")
    (tmp_path / "b").mkdir()
    done = run_study(make(v=(1.0,)), tmp_path / "b")
    assert done[0].metrics == whole[0].metrics
    (folder,) = (tmp_path / "b" / "trials").glob("v=*")
    (checkpoint,) = folder.glob("checkpoint_*")
    before = len((folder / "result.json").read_text().splitlines())
    # Tune takes the trial for unfinished, at a checkpoint that is gone; or knows of no trial.
    (state,) = (tmp_path / "b" / "trials").glob("experiment_state*.json")
    state.write_text(state.read_text().replace('\\"TERMINATED\\"', '\\"PENDING\\"'))
    if lost == "the checkpoint's name":
        checkpoint.rename(folder / "checkpoint_000777")
    elif lost == "the checkpoint":
        shutil.rmtree(checkpoint)
    else:
        for path in (tmp_path / "b" / "trials").iterdir():
            if path.is_file():
                path.unlink()
    (again,) = run_study(make(v=(1.0,)), tmp_path / "b")
    assert (again.env_steps, again.metrics, again.error) == (whole[0].env_steps, whole[0].metrics, None)
    assert again.curve == whole[0].curve
    rows = len((folder / "result.json").read_text().splitlines())
    # What has ended is not trained again.
    assert rows == (2 * before if lost == "the checkpoint" else before)
