"""``meqc-marl submit``, without a cluster: what is checked and told before anything is sent."""

import os
import subprocess
import sys

import pytest

from meqc_marl.cli import main
from meqc_marl.cli.submit import SubmitCommand
from meqc_marl.cluster.archive import pack
from meqc_marl.cluster.entry import NO_PYTHON, job_command
from meqc_marl.config import load_scenario, save_scenario
from meqc_marl.entry.parsing import parse
from meqc_marl.errors import InputError
from meqc_marl.jobs.kinds import VARIABLE, Description
from meqc_marl.jobs.protocol import Failure, Report, Said, decode, encode
from meqc_marl.jobs.run import Placement
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import save_trace
from tests.sentences import is_one_sentence


def parsed(words):
    return parse(SubmitCommand, words, ()).job


SWEEP, WHOLE = ["sweep", "--v", "0.001", "2", "--delta", "1", "--num-seeds", "1"], ["--scenario", "mine.yaml"]


@pytest.mark.parametrize(
    "words",
    [
        ["sweep"],
        [*SWEEP, "--scenario", "static", "--set", "horizon=7", "--max-failures", "-1", "--autoscaling"],
        [*SWEEP, *WHOLE, "--learner", "critic=joint", "--learner", "hidden=[8, 8]", "--num-env-runners", "2"],
        ["train", *WHOLE, "--seed", "3", "--env-steps", "100", "--from", "s3://b/run", "--gpus", "0.5"],
        ["search", *WHOLE, "--num-trials", "3", "--scheduler", "pbt", "--learner-resource", "driver"],
        ["sweep", "--policy", "s3://b/run", "--v", "1"],
        ["figure", "5a", "--scale", "smoke"],
        ["benchmark", "ablation", "--seeds", "1"],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_the_description_for_the_cluster_is_the_same_job(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    save_scenario(load_scenario("small", ["devices.lambda_t=0.25", "name=mine"]), tmp_path / "mine.yaml")
    given = parsed(words)
    description = Description(given.job(), "s3://b/x", given.placement())
    there = Description.from_json(description.to_json())
    assert there == description
    assert there.job.runs() == description.job.runs()
    if "mine.yaml" in words:  # the file is not there
        assert {run.scenario.name for run in there.job.runs().values()} == {"mine"}


def test_a_description_of_another_version_is_told_in_a_sentence():
    text = Description(parsed(["sweep"]).job(), "s3://b/x", Placement()).to_json()
    for worse in (text.replace('"num_seeds"', '"number"'), text.replace('"sweep"', '"swep"'), "{}", "no"):
        with pytest.raises(InputError) as told:
            Description.from_json(worse)
        assert is_one_sentence(str(told.value)), told.value


def test_a_dry_run_tells_what_would_be_done_and_reaches_nothing(capsys):
    words = [
        "submit",
        "sweep",
        "--dry-run",
        "--storage",
        "gs://b/x",
        "--address",
        "http://127.0.0.1:9",
        "--v",
        "1",
        "2",
    ]
    assert main([*words, "--num-env-runners", "2", "--env-steps", "100", "--driver-resource", "driver"]) == 0
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told["trials"] == "36, 3 CPUs each; all at once 108 CPUs"
    assert told["environment steps"] == "3,600 in all"
    assert told["driver"] == "on a machine with 'driver'"
    description = Description.from_json(told["description"])
    assert (description.job.v, description.job.base.num_env_runners, description.where) == ((1.0, 2.0), 2, "gs://b/x")


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
    assert main(["submit", "sweep", "--scenario", "small", *words]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "secret@" not in told.out + told.err
    assert not list(tmp_path.iterdir())


class Cluster:
    """Stands in for the job API: a sweep that ends in a way, and a job that brings its report."""

    def __init__(self, status, messages, message=""):
        self.jobs = {"sweep": (status, messages, message)}
        self.sent, self.description = [], None

    def __call__(self, address):
        return self

    def check(self):
        """Fine."""

    def running(self, storage, digest):
        """None."""

    def submit(self, entrypoint, metadata, runtime_env, needs):
        name = "fetch" if "archive" in entrypoint else "sweep"
        if name == "sweep":
            self.description = Description.from_json(runtime_env["env_vars"][VARIABLE])
        self.sent.append(name)
        self.jobs["fetch"] = ("SUCCEEDED", [pack({"sweep.png": b"picture"})], "")
        return name

    def follow(self, job):
        return [encode(each) if not isinstance(each, str) else each for each in self.jobs[job][1]]

    def status(self, job):
        return self.jobs[job][0], self.jobs[job][2]

    def log(self, job):
        return "\n".join(self.jobs[job][1])


REPORT = Report(files=("sweep.png",))
STRANGE = Report(files=("../evil",))


@pytest.mark.parametrize(
    ("cluster", "told", "fetched"),
    [
        (Cluster("SUCCEEDED", ["a library's line", REPORT]), "", True),
        (
            Cluster("FAILED", [REPORT, Said(text="failed: x"), Failure(sentence="1 of 36 trials failed.")]),
            "error: job sweep has failed: 1 of 36 trials failed.\n",
            True,
        ),
        (Cluster("FAILED", [Failure(sentence="storage is gone.")]), "has failed: storage is gone.\n", False),
        (Cluster("FAILED", ["waiting: it has not begun"], "no driver"), "has failed: no driver; the same", False),
        (Cluster("FAILED", ["Traceback", "Error: x"], "exit code 1"), "has failed: Error: x; the same", False),
        (
            Cluster("FAILED", ["sh: 1: python: not found"], "failed with exit code 127, last logs"),
            "has failed: the cluster has no 'python'; name its Python that has this package (--python); the same",
            False,
        ),
        (Cluster("SUCCEEDED", [STRANGE]), "error: the job names '../evil' in its report, which no sweep has.", False),
    ],
)
def test_a_report_is_fetched_wherever_there_is_one(capsys, monkeypatch, tmp_path, cluster, told, fetched):
    monkeypatch.setattr("meqc_marl.cluster.client.JobClient", cluster)
    code = main(["submit", "sweep", "--scenario", "small", "--storage", "s3://b", "--out", str(tmp_path)])
    assert code == (2 if told else 0)
    assert told in capsys.readouterr().err
    assert cluster.sent == ["sweep", "fetch"][: 1 + fetched]
    assert (tmp_path / "sweep.png").exists() == fetched
    assert cluster.description.job.base.scenario == load_scenario("small")


@pytest.mark.parametrize("python", [sys.executable, "/no/such/python"])
def test_which_python_runs_a_job(tmp_path, python):
    """One without the package says so as a message; one that is not there is the shell's to tell."""
    (tmp_path / "meqc_marl").mkdir()
    (tmp_path / "meqc_marl" / "__init__.py").write_text("raise ModuleNotFoundError('no module', name='tyro')")
    command = job_command(python)
    assert "\n" not in command
    env = os.environ | {"PYTHONPATH": str(tmp_path), VARIABLE: "{}"}
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    if python == sys.executable:
        message = decode(done.stdout.splitlines()[-1])
        assert isinstance(message, Failure)
        assert f"the job's Python, {sys.executable}, has no module 'tyro'" in message.sentence
        assert is_one_sentence(message.sentence)
        assert done.returncode == 2
    else:
        assert done.returncode == NO_PYTHON


@pytest.mark.parametrize("kind", ["train", "sweep", "search"])
def test_traces_must_be_where_every_node_reaches_them(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scenario = load_scenario("small", ["horizon=10"])
    save_trace(generate_trace(scenario, [1], num_slots=25), "mine.npz")
    words = ["submit", kind, "--scenario", "small", "--set", "horizon=10", "--storage", "s3://b/x", "--dry-run"]
    assert main([*words, "--trace", "mine.npz"]) == 2
    told = capsys.readouterr().err
    assert "trace 'mine.npz' is not an absolute path; every node must reach it" in told
    assert main([*words, "--trace", str(tmp_path / "mine.npz")]) == 0
    assert str(tmp_path / "mine.npz") in capsys.readouterr().out
