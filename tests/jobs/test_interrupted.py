"""Ctrl-C in any job at any time is one sentence: what is kept, and how it goes on."""

from contextlib import contextmanager, nullcontext

import pytest

from meqc_marl.cli import main
from meqc_marl.jobs.ownership import owned
from meqc_marl.storage import Storage
from tests.sentences import is_one_sentence

SMALL = ["--scenario", "small", "--env-steps", "100"]
OF_EACH_KIND = {
    "train": ["train", *SMALL],
    "sweep": ["sweep", "--v", "1", "--delta", "0.5", *SMALL],
    "search": ["search", *SMALL],
    "population": ["search", "--scheduler", "pbt", *SMALL],
    "figure": ["figure", "5a", "--scale", "smoke"],
    "benchmark": ["benchmark", "quality", "--env-steps", "100"],
}


@pytest.fixture(params=OF_EACH_KIND)
def command(request, monkeypatch, tmp_path, capsys):
    """Gives the command; its exit code, and what it says last."""
    monkeypatch.chdir(tmp_path)

    def give():
        code = main([*OF_EACH_KIND[request.param], "--storage", str(tmp_path / "it")])
        *_, last = capsys.readouterr().err.splitlines()
        assert is_one_sentence(last.removeprefix("interrupted: ")), last
        return code, last

    return request.param, give


def stop(*args, **kwargs):
    raise KeyboardInterrupt


def test_while_ray_starts(command, monkeypatch, tmp_path):
    @contextmanager
    def starts(*args):
        stop()
        yield

    monkeypatch.setattr("meqc_marl.jobs.perform.local_ray", starts)
    _, give = command
    assert give() == (130, "interrupted: nothing has begun; the same command begins it.")
    assert not list(tmp_path.iterdir())


def test_while_something_is_evaluated_or_drawn(command, monkeypatch, tmp_path):
    """Where nothing of the job itself is asked: in the middle of what follows its training, or comes before it."""
    kind, give = command
    monkeypatch.setattr("meqc_marl.jobs.perform.local_ray", lambda *args: nullcontext())

    def begun(job, place, tell):
        if kind == "train":
            place.storage.write("run.json", job.run.model_dump_json().encode())
        stop()

    for name in ("train.TrainJob", "sweep.SweepJob", "search.SearchJob"):
        monkeypatch.setattr(f"meqc_marl.jobs.{name}.perform", begun)
    monkeypatch.setattr("experiments.figures.job.FigureJob.perform", begun)
    monkeypatch.setattr("experiments.benchmarks.job.BenchmarkJob.perform", begun)
    code, last = give()
    how = "the run goes on with --resume" if kind == "train" else "the same command goes on"
    assert (code, last) == (130, f"interrupted: what is finished is kept in '{tmp_path / 'it'}'; {how}.")
    # It is nobody's any more.
    with owned(Storage.open(tmp_path / "it"), "run"):
        pass


def test_before_a_run_is_written_down(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("meqc_marl.jobs.perform.local_ray", lambda *args: nullcontext())
    monkeypatch.setattr("meqc_marl.jobs.train.TrainJob.perform", stop)
    assert main([*OF_EACH_KIND["train"], "--out", str(tmp_path / "run")]) == 130
    out, err = capsys.readouterr()
    assert err == "interrupted: nothing has begun; the same command begins it.\n"
    assert "go on with" not in out
