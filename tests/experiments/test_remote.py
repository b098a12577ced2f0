"""Pieces of work that Ray does: as many at once as there are cores, none twice."""

import json

from experiments.benchmarks import public
from experiments.benchmarks.job import BenchmarkJob
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.perform import perform
from meqc_marl.jobs.protocol import TrialsProgress
from meqc_marl.jobs.run import Placement


def test_those_that_wait_for_a_core_do_not_run(ray_session, tmp_path, monkeypatch):
    def record(task, seed):
        shared = {"task": task, "env_steps": 100, "episodes": 10, "success": 0.5, "return": 1.0 + seed}
        return shared | {"curve": [[50, 0.0, 0.1], [100, 1.0, 0.5]]}

    def cases(seeds, env_steps):
        return {
            f"{task}-{seed}": lambda task=task, seed=seed: record(task, seed)
            for seed in range(seeds)
            for task in public.TASKS
        }

    monkeypatch.setattr(public, "cases", cases)

    def told(seeds):
        said = []
        job = BenchmarkJob(name="public", seeds=seeds, env_steps=100)
        perform(Description(job, str(tmp_path), Placement()), said.append)
        return [message for message in said if isinstance(message, TrialsProgress)]

    first = told(2)
    assert [message.running for message in first] == [2, 2, 2, 2, 2, 1, 0]
    assert [message.finished for message in first] == list(range(7))
    assert json.loads((tmp_path / "goal-1.json").read_text()) == record("goal", 1)
    (tmp_path / "goal-1.json").write_text(json.dumps(record("goal", 5)))
    second = told(3)
    assert [message.finished for message in second] == [6, 7, 8, 9]
    assert json.loads((tmp_path / "goal-1.json").read_text()) == record("goal", 5)
