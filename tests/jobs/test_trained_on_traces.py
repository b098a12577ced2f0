"""A run whose episodes are drawn from traces: what it is judged on, resumed exactly, and with no other traces."""

import json

import numpy as np
import pytest
from states import train_with_a_break

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.metrics import measure
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.jobs.job import Place
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.search import SearchJob
from meqc_marl.jobs.space import DEFAULT_SPACE
from meqc_marl.jobs.stored_study import begin_study
from meqc_marl.jobs.sweep import SweepJob
from meqc_marl.jobs.training import train
from meqc_marl.nature.library import LibraryFiles, open_library
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import load_any_trace, save_trace
from meqc_marl.policies.learned import load_policy
from meqc_marl.storage import Storage
from tests.sentences import is_one_sentence

pytestmark = pytest.mark.timeout(240)
SCENARIO = load_scenario("small", ["horizon=10", "num_devices=2"])
WORDS = ["--scenario", "small", "--set", "num_devices=2", "--set", "horizon=10", "--learner", "hidden=[8]"]


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "library"
    folder.mkdir()
    for number, name in enumerate(("monday", "tuesday", "sunday")):
        save_trace(generate_trace(SCENARIO, [number], num_slots=25), folder / f"{name}.npz")
    return folder


def weights(folder):
    policy = load_policy(folder)
    return [value.numpy() for part in (policy.actor, policy.critic) for value in part.state_dict().values()]


@pytest.mark.long
def test_a_run_goes_on_exactly_and_with_the_same_traces_only(library, tmp_path, ray_session, capsys):
    files = LibraryFiles.of([library], ["sunday"])
    run = Run(scenario=SCENARIO, env_steps=2_400, learner={"hidden": [8]}, trace=files)
    train(run, tmp_path / "whole")
    train_with_a_break(run, tmp_path / "run")
    for mine, theirs in zip(weights(tmp_path / "run"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # Elsewhere, but the same.
    moved = tmp_path / "moved"
    library.rename(moved)
    open_library.cache_clear()  # as in a new process
    out = ["--resume", "--out", str(tmp_path / "run")]
    assert main(["train", *out]) == 2
    assert "library/monday.npz' cannot be read" in capsys.readouterr().err
    assert main(["train", *out, "--trace", str(moved), "--env-steps", "2600", "--num-traces", "1"]) == 0
    capsys.readouterr()
    # Others.
    save_trace(generate_trace(SCENARIO, [77], num_slots=25), moved / "tuesday.npz")
    open_library.cache_clear()
    assert main(["train", *out, "--trace", str(moved)]) == 2
    told = capsys.readouterr().err
    assert "has trace.tuesday" in told
    assert "leave out --trace" in told
    assert main(["train", *out, "--held-out", "monday"]) == 2
    assert "has trace.held_out ['sunday'] and not ['monday']" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"tuesday\.npz' is another than the run was begun with"):
        train(Run(**(dict(run) | {"trace": moved_files(files, moved)})), tmp_path / "other")


def moved_files(files, folder):
    at = [file.model_copy(update={"where": str(folder / f"{file.name}.npz")}) for file in files.files]
    return files.model_copy(update={"files": tuple(at)})


def test_the_command_compares_on_what_training_has_not_seen(library, tmp_path, ray_session, capsys):
    out = tmp_path / "run"
    held = ["--trace", str(library), "--held-out", "sunday"]
    assert main(["train", *WORDS, *held, "--env-steps", "300", "--out", str(out)]) == 0
    shown = json.loads((out / "comparison.json").read_text())
    assert shown["trace"]["file"] == "held-out.npz"
    assert shown["trace"]["num_traces"] == 1
    trace = load_any_trace(out / "held-out.npz")
    np.testing.assert_array_equal(trace.gain, load_any_trace(library / "sunday.npz").gain[:10])
    again = tmp_path / "again.json"
    assert main(["evaluate", str(out), "--trace", str(out / "held-out.npz"), "--json", str(again)]) == 0
    evaluated = json.loads(again.read_text())["policies"]["learned"]["cost"]["per_trace"]
    assert evaluated == shown["policies"]["learned"]["cost"]["per_trace"]
    # In the run, and in its episodes.
    assert json.loads((out / "run.json").read_text())["trace"]["held_out"] == ["sunday"]


@pytest.mark.parametrize("env_runner", ["batched", "stock"])
def test_both_kinds_of_runners_sample_from_it(library, tmp_path, env_runner, ray_session):
    files = LibraryFiles.of([library / "monday.npz"])
    run = Run(scenario=SCENARIO, env_steps=40, learner={"hidden": [8]}, trace=files, env_runner=env_runner)
    train(run, tmp_path / "run")
    assert load_policy(tmp_path / "run").scenario == SCENARIO


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--vary", "tasks.data_bits=[[1e9, 2e9], [2e9, 3e9]]"], "has no effect where traces are given"),
        (["--held-out", "friday"], "'friday' is no row of the library"),
        (["--set", "num_devices=7"], "with 7 devices as in the scenario"),
    ],
)
def test_options_that_cannot_be(library, tmp_path, words, told, capsys):
    given = ["train", *WORDS, "--trace", str(library), *words, "--out", str(tmp_path / "run")]
    assert main(given) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_held_out_rows_need_traces(tmp_path, capsys):
    assert main(["train", "--held-out", "x", "--out", str(tmp_path / "run")]) == 2
    assert "held-out is 'x'; it is for traces, of which there are none" in capsys.readouterr().err


def held_by(folder, job):
    """A job that begins in a storage, which remembers it."""
    storage = Storage.open(folder)
    job.begin(Place(storage, None, Placement(), True))
    return storage


@pytest.mark.parametrize("kind", ["sweep", "search", "pbt"])
def test_moved_files_are_the_same_and_changed_ones_are_not(library, tmp_path, kind):
    def job(folder):
        base = Run(scenario=SCENARIO, env_steps=40, trace=LibraryFiles.of([folder], ["sunday"]))
        if kind == "sweep":
            return SweepJob(base=base, v=(1.0,), delta=(0.5,))
        return SearchJob(base=base, space=DEFAULT_SPACE, num_trials=2, scheduler=kind.replace("search", "asha"))

    storage = held_by(tmp_path / "out", job(library))
    begin_study(storage, {"a": job(library).base}, True)
    moved = tmp_path / "moved"
    library.rename(moved)
    if kind == "pbt":
        with pytest.raises(InputError, match="its members go on with the files where they were; move them back"):
            held_by(tmp_path / "out", job(moved))
    else:
        held_by(tmp_path / "out", job(moved))
    begin_study(storage, {"a": job(moved).base, "b": job(moved).base}, True)
    save_trace(generate_trace(SCENARIO, [77], num_slots=25), moved / "tuesday.npz")
    with pytest.raises(InputError, match=r"trace\.tuesday is") as caught:
        held_by(tmp_path / "out", job(moved))
    assert is_one_sentence(str(caught.value))
    with pytest.raises(InputError, match=r"of 'a' trace\.tuesday is"):
        begin_study(storage, {"a": job(moved).base}, True)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sweep", "search"])
def test_a_study_trains_on_them_and_goes_on_where_they_were_moved_to(library, tmp_path, kind, ray_session, capsys):
    out, moved = tmp_path / "out", tmp_path / "moved"
    words = {
        "sweep": ["sweep", "--v", "0.1", "1", "--delta", "0.5", "--num-seeds"],
        "search": ["search", "--num-trials"],
    }[kind]
    rest = [*WORDS, "--held-out", "sunday", "--env-steps", "400", "--out", str(out)]
    assert main([*words, "2", *rest, "--trace", str(library)]) == 0
    first = json.loads((out / "trials.json").read_text())["trials"]
    assert len(first) == {"sweep": 4, "search": 2}[kind]
    library.rename(moved)
    open_library.cache_clear()
    capsys.readouterr()
    assert main([*words, "3", *rest, "--trace", str(moved)]) == 0, capsys.readouterr().err
    trials = json.loads((out / "trials.json").read_text())["trials"]
    assert len(trials) == {"sweep": 6, "search": 3}[kind]
    assert all(trial["error"] is None for trial in trials)
    for before in first:  # nothing was trained anew
        assert {k: v for k, v in before.items() if k != "policy"} in [
            {k: v for k, v in trial.items() if k != "policy"} for trial in trials
        ]
    if kind == "sweep":
        # What is told of a trial is what its policy reaches on the rows that training did not see.
        policy = load_policy(first[0]["policy"])
        trace = load_any_trace(moved / "sunday.npz").window(0, 10)
        scenario = policy.scenario
        measured = measure(rollout(policy, scenario, trace), scenario)
        assert first[0]["metrics"]["cost"] == pytest.approx(float(measured["cost"][0]), rel=1e-6)
