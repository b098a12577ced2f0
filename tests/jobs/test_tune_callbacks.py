"""What a trial's ``result.json`` holds after its process has ended and begun again."""

import json
from pathlib import Path
from unittest.mock import Mock

import pyarrow.fs
import pytest

from meqc_marl.jobs.tune_callbacks import loggers


def log_of(local: Path, stored: Path) -> tuple[object, Mock]:
    """The log of a trial that has a checkpoint, with both its folders."""
    storage = Mock(storage_filesystem=pyarrow.fs.LocalFileSystem(), trial_fs_path=str(stored))
    return loggers("sweep")[1], Mock(local_path=str(local), storage=storage, config={}, checkpoint=True)


@pytest.mark.parametrize("here", [[1, 2, 3], None])
def test_rows_newer_than_the_storages_stay_and_those_of_the_storage_are_taken_where_there_are_none(tmp_path, here):
    local, stored = tmp_path / "local", tmp_path / "stored"
    for folder, rows in ((local, here), (stored, [1, 2])):
        folder.mkdir()
        if rows is not None:
            (folder / "result.json").write_text("".join(json.dumps({"training_iteration": n}) + "\n" for n in rows))
    log, trial = log_of(local, stored)
    log.log_trial_start(trial)
    log.log_trial_result(1, trial, {"training_iteration": 9})
    log.log_trial_end(trial)
    rows = [json.loads(line)["training_iteration"] for line in (local / "result.json").read_text().splitlines()]
    assert rows == [*(here or [1, 2]), 9]
