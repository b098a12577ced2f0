"""Every kind of job on a cluster of three hosts, with its driver and a host killed in the middle of it.

Needs Linux and root, for network namespaces: ``pytest -m long tests/cluster/test_hosts_jobs.py``.
"""

import json
import shutil

import pytest

from meqc_marl.policies.learned import load_policy
from tests.cluster.hosts import available, wait_until
from tests.cluster.test_hosts import checkpoints, cluster  # noqa: F401 (a fixture)

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(not available(), reason="needs root and iproute2"),
]
SMALL = ["--scenario", "small", "--set", "horizon=100", "--learner", "replay_capacity=5000"]
TRAIN = ["train", *SMALL, "--learner", "hidden=[32,32]", "--env-steps", "200000", "--checkpoint-every-s", "2"]
SEARCH = ["search", *SMALL, "--num-trials", "3", "--env-steps", "100000", "--max-failures", "20"]
DRIVER = "meqc_marl.jobs.main"


def kill_driver(made):
    assert sum(host.kill(DRIVER) for host in made.hosts) >= 1


def kill_a_host(made, number=1):
    made.hosts[number].kill()
    made.wait_for_nodes(2)
    made.hosts[number].start()
    made.wait_for_nodes(3)


def disturbed(made, storage, out, job, faults, progress):
    """Submit, let the faults happen one after the other while there is progress, and give the command again."""
    command = made.submit(storage, out, job)
    for fault in faults:
        before = progress()
        wait_until(
            lambda before=before, command=command: command.poll() is not None or progress() > before, 300, "progress"
        )
        assert command.poll() is None, f"over before {fault.__name__}: {made.log.read_text()[-3000:]}"
        fault(made)
        if fault is kill_driver:
            assert command.wait(timeout=300) == 2, made.log.read_text()[-3000:]
            command = made.submit(storage, out, job)
    for _ in range(3):
        if command.wait(timeout=900) == 0:
            return
        command = made.submit(storage, out, job)
    raise AssertionError(made.log.read_text()[-3000:])


def newest(storage):
    """The iteration of a run's newest checkpoint."""
    return max((int(path.name.rpartition("_")[2]) for path in storage.glob("checkpoint_*")), default=-1)


def comparison(out):
    content = json.loads((out / "comparison.json").read_text())
    return content["policies"]


def test_a_run_ends_as_if_nothing_had_been(cluster):  # noqa: F811
    plain = cluster.work / "train-plain"
    assert cluster.submit(plain, cluster.work / "plain-out", TRAIN).wait(timeout=600) == 0, cluster.log.read_text()[
        -3000:
    ]
    storage, out = cluster.work / "train", cluster.work / "train-out"
    disturbed(cluster, storage, out, TRAIN, [kill_driver, kill_a_host], lambda: newest(storage))
    assert comparison(out) == comparison(cluster.work / "plain-out")
    assert load_policy(out).scenario.horizon == 100
    for folder in (plain, storage):
        shutil.rmtree(folder)


def test_a_run_with_a_sampler_on_another_host(cluster):  # noqa: F811
    storage, out = cluster.work / "remote", cluster.work / "remote-out"
    job = [*TRAIN, "--num-env-runners", "1"]

    def kill_sampler(made):
        samplers = [host for host in made.hosts if host.processes("ray::BatchedEnvRunner")]
        drivers = [host for host in made.hosts if host.processes(DRIVER)]
        assert samplers
        assert not set(samplers) & set(drivers)
        samplers[0].kill("ray::BatchedEnvRunner")

    disturbed(cluster, storage, out, job, [kill_sampler, kill_driver], lambda: newest(storage))
    assert load_policy(out).scenario.horizon == 100
    shutil.rmtree(storage)


def test_a_search_keeps_what_has_ended(cluster):  # noqa: F811
    storage, out = cluster.work / "search", cluster.work / "search-out"
    disturbed(cluster, storage, out, SEARCH, [kill_driver, kill_a_host], lambda: checkpoints(storage))
    trials = json.loads((out / "trials.json").read_text())["trials"]
    assert [trial["name"] for trial in trials] == [f"trial-{number:04}" for number in range(3)]
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    assert (out / "best.yaml").exists()
    rows = {name: (storage / "trials" / name / "result.json").read_bytes() for name in ("trial-0000", "trial-0002")}
    more = [*SEARCH, "--num-trials", "4"]
    assert cluster.submit(storage, out, more).wait(timeout=600) == 0, cluster.log.read_text()[-3000:]
    again = json.loads((out / "trials.json").read_text())["trials"]
    assert again[:3] == trials
    assert len(again) == 4
    assert {name: (storage / "trials" / name / "result.json").read_bytes() for name in rows} == rows
    shutil.rmtree(storage)


def test_a_figure_is_the_same(cluster):  # noqa: F811
    job = ["figure", "5a", "--scale", "smoke", "--max-failures", "20"]
    plain = cluster.work / "figure-plain"
    assert cluster.submit(plain, cluster.work / "f-out", job).wait(timeout=900) == 0
    storage, out = cluster.work / "figure", cluster.work / "figure-out"
    disturbed(cluster, storage, out, job, [kill_driver, kill_a_host], lambda: checkpoints(storage))
    for name in ("fig5a.json", "fig5a.png", "fig5a.pdf"):
        assert (out / name).read_bytes() == (cluster.work / "f-out" / name).read_bytes(), name
