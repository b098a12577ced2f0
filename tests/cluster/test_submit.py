"""``meqc-marl submit``, without a cluster: what is checked and told before anything is sent."""

import shlex

import pytest
import tyro

from meqc_marl.cli import main
from meqc_marl.cli.sweep import SweepCommand, SweepOptions
from meqc_marl.cluster.archive import pack
from meqc_marl.config import load_scenario, save_scenario


def parsed(words):
    return tyro.cli(SweepCommand, args=words, config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes))


def test_the_command_for_the_cluster_is_the_same_sweep(tmp_path):
    save_scenario(load_scenario("small", ["devices.lambda_t=0.25", "name=mine"]), tmp_path / "mine.yaml")
    for options in (
        SweepOptions(),
        SweepOptions(scenario="static", overrides=("horizon=7",), v=(1e-3, 2.0), delta=(1.0,), num_seeds=1),
        SweepOptions(
            scenario=str(tmp_path / "mine.yaml"),
            overrides=("num_devices=4",),
            learner=("critic=joint", "hidden=[8, 8]"),
            env_steps=100,
            num_env_runners=2,
            learner_resource="driver",
            max_failures=-1,
            autoscaling=True,
        ),
    ):
        there = parsed(shlex.split(shlex.join([*options.words(), "--storage", "s3://b/x", "--resume"])))
        assert there.study() == options.study()
        assert there.placement() == options.placement()
        assert (there.storage, there.resume) == ("s3://b/x", True)


def test_a_dry_run_tells_what_would_be_done_and_reaches_nothing(capsys):
    words = ["submit", "--dry-run", "--storage", "gs://b/x", "--address", "http://127.0.0.1:9", "--v", "1", "2"]
    assert main([*words, "--num-env-runners", "2", "--env-steps", "100", "--driver-resource", "driver"]) == 0
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told["trials"] == "36, 3 CPUs each; all at once 108 CPUs"
    assert told["environment steps"] == "3,600 in all"
    assert told["driver"] == "on a machine with 'driver'"
    sweep = parsed(shlex.split(told["command"])[4:])
    assert (sweep.v, sweep.num_env_runners, sweep.storage, sweep.resume) == ((1.0, 2.0), 2, "gs://b/x", True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "storage is missing; it must be a bucket or a folder"),
        (["--storage", "ftp://b"], "begins with 'ftp://'"),
        (["--storage", "s3://me:secret@b"], "holds a secret"),
        (["--storage", "s3://b/x?sig=secret", "--dry-run"], "holds a secret"),
        (["--storage", "/", "--dry-run"], "is the root of the file system"),
        (["--storage", "s3://", "--dry-run"], "names no bucket"),
        (["--storage", "s3://b", "--address", "http://me:secret@b:8265", "--dry-run"], "has user info, a query"),
        (["--storage", "results/sweep"], "storage 'results/sweep' is not an absolute path"),
        (["--storage", "s3://b", "--delta", "2"], "lyapunov.delta is 2"),
        (["--storage", "s3://b", "--learner", "critic=x"], "must be one of multi-pass"),
        (["--storage", "s3://b", "--runtime-env", "missing.yaml"], "runtime-env 'missing.yaml' cannot be read"),
        (["--storage", "s3://b", "--address", "x"], "address 'x' is not allowed"),
        (["--storage", "s3://b", "--address", "http://127.0.0.1:9"], "cannot be reached"),
        (["--storage", "s3://b", "--learner-resource", "CPU"], "learner-resource is 'CPU'; it must be the name of a"),
        (["--storage", "s3://me:a/b@c/x"], "holds a secret"),
        (["--storage", "s3://b", "--max-failures", "-2"], "max-failures: -2 is not allowed"),
    ],
)
def test_mistakes_are_told_here(capsys, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["submit", "--scenario", "small", *words]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "secret@" not in told.out + told.err
    assert not list(tmp_path.iterdir())


class Cluster:
    """Stands in for the job API: a sweep that ends in a way, and a job that brings its report."""

    def __init__(self, status, log, message=""):
        self.jobs = {"sweep": (status, log, message)}
        self.sent = []

    def __call__(self, address):
        return self

    def check(self):
        """Fine."""

    def running(self, entrypoint, storage):
        """None."""

    def submit(self, entrypoint, storage, runtime_env, resources):
        name = "fetch" if "archive" in entrypoint else "sweep"
        self.sent.append(name)
        self.jobs["fetch"] = ("SUCCEEDED", pack({"sweep.png": b"picture"}), "")
        return name

    def follow(self, job):
        return self.jobs[job][1].splitlines()

    def status(self, job):
        return self.jobs[job][0], self.jobs[job][2]

    def log(self, job):
        return self.jobs[job][1]


@pytest.mark.parametrize(
    ("cluster", "told", "fetched"),
    [
        (Cluster("SUCCEEDED", "picture: s3://b/sweep.png\n"), "", True),
        (
            Cluster("FAILED", "picture: s3://b/sweep.png\nfailed: x\nerror: 1 of 36 trials failed.\n"),
            "error: job sweep has failed: 1 of 36 trials failed; the same command goes on with it.",
            True,
        ),
        (Cluster("FAILED", "error: storage is gone.\n"), "error: job sweep has failed: storage is gone;", False),
        (
            Cluster("FAILED", "waiting: it has not begun\n", "no driver"),
            "error: job sweep has failed: no driver; the same",
            False,
        ),
    ],
)
def test_a_report_is_fetched_wherever_there_is_one(capsys, monkeypatch, tmp_path, cluster, told, fetched):
    monkeypatch.setattr("meqc_marl.cluster.client.JobClient", cluster)
    code = main(["submit", "--scenario", "small", "--storage", "s3://b", "--out", str(tmp_path)])
    assert code == (2 if told else 0)
    assert told in capsys.readouterr().err
    assert cluster.sent == ["sweep", "fetch"][: 1 + fetched]
    assert (tmp_path / "sweep.png").exists() == fetched
