"""A node that is lost in mid-study costs time and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meqc_marl.jobs.study import run_study
from tests.cluster import lose_a_node


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_study_outlives_a_node_and_ends_the_same(ray_session, tmp_path):
    undisturbed = json.loads(json.dumps(lose_a_node.told(run_study(lose_a_node.study(), tmp_path / "a"))))
    env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, lose_a_node.__file__, str(tmp_path / "b")],
        env=env | {"OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"},
        cwd=Path(lose_a_node.__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")] or [done.stderr[-3000:]]
    result = json.loads(line.removeprefix("RESULT "))
    assert result["lost"] == 1
    assert result["told"] == undisturbed
