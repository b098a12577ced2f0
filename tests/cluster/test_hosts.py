"""A cluster of three hosts: closed to strangers, and a sweep that outlives every fault and ends as if none had been.

Needs Linux and root, for network namespaces: ``pytest -m long tests/cluster/test_hosts.py``.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import requests

from tests.busy import slowdown
from tests.cluster.hosts import (
    DASHBOARD,
    NETWORK,
    PORT,
    Host,
    alive_nodes,
    available,
    environment,
    network,
    new_token,
    run,
    wait_until,
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(2_400),
    pytest.mark.skipif(not available(), reason="needs root and iproute2"),
]
SWEEP = [
    *("sweep", "--scenario", "small", "--set", "horizon=100", "--v", "0.1", "1", "--delta", "0.5", "--num-seeds", "2"),
    *("--env-steps", "250000", "--learner", "hidden=[32,32]", "--learner", "replay_capacity=5000"),
    *("--max-failures", "20"),
]
TRIALS = 4


class Cluster:
    """The hosts, and what a user outside does with them."""

    def __init__(self, hosts, work):
        self.hosts, self.work = hosts, work
        self.log = work / "submit.log"

    def command(self, storage, out, job=SWEEP):
        words = ["submit", *job, "--address", DASHBOARD, "--storage", str(storage), "--out", str(out)]
        return [sys.executable, "-m", "meqc_marl.cli", *words, "--python", sys.executable]

    def submit(self, storage, out, job=SWEEP):
        with self.log.open("a") as log:
            return subprocess.Popen(
                self.command(storage, out, job),
                stdout=log,
                stderr=log,
                env=environment(self.hosts[0].token),
                cwd=self.work,
                start_new_session=True,
            )

    def nodes(self):
        return alive_nodes(self.hosts[0].token)

    def wait_for_nodes(self, count=3, patience_s=120):
        wait_until(lambda: self.nodes() == count, patience_s, f"{count} nodes")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    work = tmp_path_factory.mktemp("cluster")
    token = new_token(work)
    # A disk for results that is small, so that it can be full; there before the hosts, or they do not see it.
    disk = work / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(disk))
    try:
        # A head without work, and two workers with a CPU each.
        with network([Host(number, work, token, 0 if number == 0 else 1) for number in range(3)]) as hosts:
            made = Cluster(hosts, work)
            made.wait_for_nodes()
            yield made
    finally:
        run("umount", "--lazy", str(disk))


def points(folder):
    return json.loads((folder / "sweep-points.json").read_text())


def iterations(storage):
    """Iterations and environment steps at the end of each trial."""
    found = {}
    for path in (storage / "trials").glob("*/result.json"):
        last = json.loads(path.read_text().splitlines()[-1])  # those before may be torn by a fault
        found[path.parent.name] = last["training_iteration"], last["timesteps_total"]
    return found


def checkpoints(storage):
    """How many checkpoints all trials have written; the newest of each is kept and tells its number."""
    newest = {}
    for path in storage.glob("trials/*/checkpoint_*"):
        number = int(path.name.rpartition("_")[2]) + 1
        newest[path.parent.name] = max(newest.get(path.parent.name, 0), number)
    return sum(newest.values())


STRANGER = {
    "job": ["job", "submit", "--address", DASHBOARD, "--", "touch", "/tmp/stranger-was-here"],
    "list": ["job", "list", "--address", DASHBOARD],
    "status": ["status", "--address", f"{NETWORK}.1:{PORT}"],
}


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_stranger_gets_nothing(cluster, tmp_path, token):
    if token is not None:
        (tmp_path / "token").write_text("f" * 64)
    env = environment(None if token is None else tmp_path / "token")
    ray = os.path.join(os.path.dirname(sys.executable), "ray")
    for words in STRANGER.values():
        refused = subprocess.run([ray, *words], env=env, capture_output=True, text=True, timeout=120)
        assert refused.returncode != 0, refused.stdout + refused.stderr
    assert not os.path.exists("/tmp/stranger-was-here")
    driver = f"import ray; ray.init('{NETWORK}.1:{PORT}', _node_ip_address='{NETWORK}.254'); print('IN', ray.nodes())"
    client = f"import ray; ray.init('ray://{NETWORK}.1:10001'); print('IN', ray.nodes())"
    for code in (driver, client):
        refused = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=180)
        assert refused.returncode != 0
        assert "IN" not in refused.stdout
    headers = {} if token is None else {"Authorization": "Bearer " + "f" * 64}
    for page in ("/api/jobs/", "/nodes?view=summary", "/api/cluster_status", "/api/v0/nodes", "/logs/"):
        assert requests.get(DASHBOARD + page, headers=headers, timeout=10).status_code in (401, 403), page
    sentence = subprocess.run(
        cluster.command(tmp_path / "store", tmp_path / "out"), env=env, capture_output=True, text=True, timeout=60
    )
    assert sentence.returncode == 2
    what = "asks for a token" if token is None else "refuses the token"
    assert re.search(rf"error: the cluster at .* {what}; set RAY_AUTH_MODE", sentence.stderr)


def test_what_is_wrong_is_told_in_time(cluster, tmp_path):
    env = environment(cluster.hosts[0].token)

    def refused(storage=tmp_path / "store", address=DASHBOARD, more=()):
        words = [*cluster.command(storage, tmp_path / "out"), "--address", address, *more]
        started, slower = time.monotonic(), slowdown()
        told = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300)
        assert told.returncode == 2, told.stdout + told.stderr
        assert time.monotonic() - started < 30 * max(slower, slowdown())
        return told.stderr.strip().splitlines()[-1]

    assert "cannot be reached" in refused(address="http://127.0.0.1:9")
    (tmp_path / "file").write_text("")
    assert "cannot be written: Not a directory" in refused(storage=tmp_path / "file" / "below")
    assert "a trial needs 10 CPUs and the cluster has 2" in refused(more=("--num-env-runners", "9"))
    for option in ("--driver-resource", "--learner-resource"):
        assert "has the resource 'nowhere'; name another" in refused(more=(option, "nowhere"))
    headers = {"Authorization": f"Bearer {cluster.hosts[0].token.read_text()}"}
    jobs = requests.get(f"{DASHBOARD}/api/jobs/", headers=headers, timeout=10).json()
    assert all(job["status"] not in ("RUNNING", "PENDING") for job in jobs)


@pytest.fixture(scope="module")
def undisturbed(cluster):
    storage, out = cluster.work / "undisturbed", cluster.work / "undisturbed-out"
    assert cluster.submit(storage, out).wait(timeout=600) == 0, cluster.log.read_text()[-3000:]
    return storage, out


def test_nothing_is_lost_and_the_table_is_the_same(cluster, undisturbed):
    sweep = DisturbedSweep(cluster)
    for fault in FAULTS:
        sweep.suffer(fault)
    sweep.finish()
    assert iterations(sweep.storage) == iterations(undisturbed[0])
    assert len(iterations(sweep.storage)) == TRIALS
    assert points(sweep.out) == points(undisturbed[1])


class DisturbedSweep:
    """A sweep that is followed from outside, and given again by its user when something sinks it."""

    def __init__(self, cluster):
        self.cluster, self.disk = cluster, cluster.work / "disk"
        self.head, *self.workers = cluster.hosts
        self.storage, self.out = self.disk / "sweep", cluster.work / "out"
        self.command = cluster.submit(self.storage, self.out)

    def suffer(self, fault):
        """Let a fault happen while trials are at work."""
        before = checkpoints(self.storage)
        wait_until(lambda: self.command.poll() is not None or checkpoints(self.storage) > before, 300, "progress")
        assert self.command.poll() is None, f"over before {fault.__name__}: {self.cluster.log.read_text()[-3000:]}"
        started = time.monotonic()
        fault(self)
        print(f"{fault.__name__}: {time.monotonic() - started:.0f} s", flush=True)

    def again(self):
        """The command has told that its job is gone; the user gives it again."""
        wait_until(lambda: self.command.poll() is not None, 200, "end of the command")
        self.command = self.cluster.submit(self.storage, self.out)

    def finish(self):
        """A job that a fault has sunk later than the command was looked at is given again."""
        for _ in range(3):
            if self.command.wait(timeout=900) == 0:
                return
            self.again()
        raise AssertionError(self.cluster.log.read_text()[-3000:])

    def kill_trial(self):
        assert sum(host.kill("ray::OffloadingTrial") for host in self.workers) >= 1

    def kill_host(self, number=0):
        host = self.workers[number]
        host.kill()
        self.cluster.wait_for_nodes(2)
        host.start()
        self.cluster.wait_for_nodes(3)

    def kill_other_host(self):
        self.kill_host(1)

    def cut_link(self):
        host = self.workers[1]
        host.link("down")
        time.sleep(30)
        host.link("up")
        # A host that was given up for dead leaves, and what supervises it starts it again.
        wait_until(lambda: self.cluster.nodes() == 3 or not host.is_up(), 120, "three nodes")
        time.sleep(10)
        if not host.is_up():
            host.kill()
            host.start()
        self.cluster.wait_for_nodes(3)

    def kill_driver(self):
        assert self.head.kill("meqc_marl.jobs.main") >= 1
        self.again()

    def kill_head(self):
        for host in self.cluster.hosts:
            host.kill()
        self.command.kill()
        for host in self.cluster.hosts:
            host.start()
        self.cluster.wait_for_nodes(3)
        self.again()

    def fill_disk(self):
        filler = self.disk / "filler"
        with filler.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        time.sleep(20)
        filler.unlink()
        time.sleep(5)
        if self.command.poll() is not None:
            self.again()


FAULTS = (
    DisturbedSweep.kill_trial,
    DisturbedSweep.kill_host,
    DisturbedSweep.kill_driver,
    DisturbedSweep.kill_trial,
    DisturbedSweep.cut_link,
    DisturbedSweep.fill_disk,
    DisturbedSweep.kill_trial,
    DisturbedSweep.kill_head,
    DisturbedSweep.kill_other_host,
    DisturbedSweep.kill_driver,
)


def test_a_trial_whose_sampler_dies_goes_on(cluster):
    storage, out = cluster.work / "samplers", cluster.work / "samplers-out"
    sweep = [*SWEEP, "--v", "1", "--num-seeds", "1", "--num-env-runners", "1", "--env-steps", "100000"]
    command = cluster.submit(storage, out, sweep)
    for _ in range(2):
        before = checkpoints(storage)
        wait_until(lambda before=before: checkpoints(storage) > before, 200, "progress")
        assert sum(host.kill("ray::BatchedEnvRunner") for host in cluster.hosts[1:]) >= 1
    assert command.wait(timeout=600) == 0, cluster.log.read_text()[-3000:]
    ((_, steps),) = iterations(storage).values()
    assert steps >= 100_000
    shutil.rmtree(storage)
