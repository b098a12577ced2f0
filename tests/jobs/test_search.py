"""The search: finds, stores what `train` takes, goes on, grows; with Optuna and with a population."""

import json
import threading

import optuna
import psutil
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.asha import JOURNAL, BucketJournal
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.perform import perform
from meqc_marl.jobs.population import MUTABLE
from meqc_marl.jobs.protocol import Report, TrialsProgress
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.search import SearchJob
from meqc_marl.jobs.space import DEFAULT_SPACE, Choice, Interval, parse_space
from meqc_marl.rl.config import offloading_config
from tests.sentences import is_one_sentence

SPACE = {"critic_lr": Interval(low=3e-4, high=1e-2, log=True), "hidden": Choice(values=([8, 8], [16, 16]))}


def search(scheduler="asha", num_trials=2, env_steps=1_600, **more):
    base = Run(scenario=load_scenario("small", ["horizon=20"]), env_steps=env_steps)
    return SearchJob(**({"base": base, "space": SPACE, "num_trials": num_trials, "scheduler": scheduler} | more))


def run(job, folder, placement=None):
    """Carry it out; the messages."""
    said = []
    perform(Description(job, str(folder), placement or Placement()), said.append)
    return said


def trials(folder):
    return json.loads((folder / "trials.json").read_text())["trials"]


def lines(folder):
    return {path.parent.name: len(path.read_text().splitlines()) for path in folder.glob("trials/*/result.json")}


@pytest.mark.timeout(200)
def test_the_best_of_all_trials_and_more_of_them_later(ray_session, tmp_path):
    said = run(search(), tmp_path)
    assert [message.files for message in said if isinstance(message, Report)] == [("best.yaml", "trials.json")]
    first, before = trials(tmp_path), lines(tmp_path)
    assert [trial["name"] for trial in first] == ["trial-0000", "trial-0001"]
    best = min((trial for trial in first if trial["state"] == "complete"), key=lambda trial: trial["score"])
    assert yaml.safe_load((tmp_path / "best.yaml").read_text()) == best["learner"]
    config = offloading_config(load_scenario("small"), env_steps=1_000, learner=best["learner"])
    rate = best["learner"]["critic_lr"]
    assert config.critic_lr == [[0, rate], [300, rate], [1_000, rate / 100]]
    for trial in first:
        row = json.loads((tmp_path / "trials" / trial["name"] / "result.json").read_text().splitlines()[-1])
        assert trial["score"] == row["evaluation"]["regret"]

    run(search(), tmp_path)  # nothing is left to do
    assert (trials(tmp_path), lines(tmp_path)) == (first, before)

    said = run(search(num_trials=3), tmp_path)
    assert trials(tmp_path)[:2] == first
    assert {name: count for name, count in lines(tmp_path).items() if name in before} == before
    assert len(trials(tmp_path)) == 3
    last = [message for message in said if isinstance(message, TrialsProgress)][-1]
    assert (last.finished, last.failed, last.total) == (3, 0, 3)

    with pytest.raises(InputError, match=r"than this search \(base.env_steps is 1600, not 3200\)") as told:
        run(search(env_steps=3_200), tmp_path)
    assert is_one_sentence(str(told.value))
    # What others read, such as optuna-dashboard.
    study = optuna.load_study(study_name="search", storage=JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL))))
    shown = [trial.value or list(trial.intermediate_values.values())[-1] for trial in study.trials]
    assert shown == [trial["score"] for trial in trials(tmp_path)]


@pytest.mark.timeout(200)
def test_a_population(ray_session, tmp_path):
    run(search("pbt"), tmp_path)
    first, before = trials(tmp_path), lines(tmp_path)
    assert [trial["state"] for trial in first] == ["complete"] * 2
    best = min(first, key=lambda trial: trial["score"])
    assert yaml.safe_load((tmp_path / "best.yaml").read_text()) == best["learner"]
    assert set(best["learner"]) == set(SPACE)
    run(search("pbt"), tmp_path)
    assert (trials(tmp_path), lines(tmp_path)) == (first, before)
    with pytest.raises(InputError, match=r"^num-trials: the population in .* has 2 members, and its size is fixed"):
        run(search("pbt", num_trials=3), tmp_path)


@pytest.mark.timeout(200)
def test_trials_that_had_not_ended_go_on_under_their_names(ray_session, tmp_path):
    """Their process is killed and no failure allowed, as when a machine and the driver are lost."""
    job = search(num_trials=1, env_steps=24_000)
    killer = threading.Thread(target=_kill_after_a_checkpoint, args=(tmp_path,))
    killer.start()
    with pytest.raises(InputError, match=r"1 of 1 trials failed.*; the same command tries them again"):
        run(job, tmp_path, Placement(max_failures=0))
    killer.join()
    backend = JournalFileBackend(str(tmp_path / JOURNAL))
    (lost,) = optuna.load_study(study_name="search", storage=JournalStorage(backend)).trials
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"op_code": 5, "wor')  # what a killed driver did not write to its end
    run(job, tmp_path)
    (ended,) = trials(tmp_path)
    assert (ended["name"], ended["state"]) == ("trial-0000", "complete")
    assert ended["learner"]["critic_lr"] == lost.params["critic_lr"]
    rows = [json.loads(row) for row in (tmp_path / "trials/trial-0000/result.json").read_text().splitlines()]
    pids = list(dict.fromkeys(row["pid"] for row in rows))
    assert len(pids) == 2
    assert next(row for row in rows if row["pid"] == pids[1])["training_iteration"] > 1


def _kill_after_a_checkpoint(folder):
    # The one before the second is whole; the newest may be on its way.
    while not list(folder.glob("trials/*/checkpoint_000001")):
        threading.Event().wait(0.02)
    for process in psutil.Process().children(recursive=True):
        if "ray::OffloadingTrial" in " ".join(process.cmdline()):
            process.kill()


def test_a_bucket_holds_the_study_as_a_file_that_optuna_reads(tmp_path):
    class Bucket:
        """A storage that cannot append."""

        def __init__(self):
            self.content = None

        def read_named(self, name):
            return self.content

        def write(self, name, content):
            self.content = content

    bucket = Bucket()
    study = optuna.create_study(study_name="search", storage=JournalStorage(BucketJournal(bucket)))
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=3)
    (tmp_path / JOURNAL).write_bytes(bucket.content)
    for backend in (BucketJournal(bucket), JournalFileBackend(str(tmp_path / JOURNAL))):
        again = optuna.load_study(study_name="search", storage=JournalStorage(backend))
        assert [trial.params for trial in again.trials] == [trial.params for trial in study.trials]
        assert again.best_value == study.best_value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"critic_lr": {"low": 1.0, "high": 0.1}}, "critic_lr: low must be below high"),
        ({"critic_lr": {"low": 0, "high": 1.0, "log": True}}, "critic_lr: low must be above 0 on a logarithmic scale"),
        ({"critic_lr": {"low": "a", "high": 1.0}}, "critic_lr.low: it is 'a' and must be a number"),
        ({"critic_lr": {"high": 1.0}}, "critic_lr.low: is missing"),
        ({"critic_lr": 3}, "critic_lr: 3 is neither an interval nor a list"),
        ({"critic_lr": {"low": 0.1, "high": 1.0, "lag": True}}, "critic_lr.lag: is not known"),
        ({"critic_lr": {"low": 0.1, "high": 1.0, "log": 1}}, "critic_lr.log: it is 1 and must be true or false"),
        ({"bounds": ["clamp"]}, "bounds: must have two or more values, each once"),
        ({"bounds": ["clamp", "clamp"]}, "bounds: must have two or more values, each once"),
        ({}, "is empty"),
    ],
)
def test_bad_spaces(given, message):
    with pytest.raises(InputError) as told:
        parse_space("space 'mine.yaml'", given)
    assert message in str(told.value)
    assert is_one_sentence(str(told.value)), told.value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"critc_lr": [0.1, 0.2]}, "did you mean 'critic_lr'?"),
        ({"bounds": ["clamp", "none"]}, "must be one of"),
        ({"gamma": {"low": 0.5, "high": 2.0}}, "gamma"),
    ],
)
def test_what_a_learner_cannot_take_is_refused_at_once(given, message):
    with pytest.raises(InputError, match=message):
        search(space=parse_space("space", given)).check()
    with pytest.raises(InputError, match="nothing that a population can change"):
        search("pbt", space=parse_space("space", {"bounds": ["clamp", "sigmoid"]})).check()


def test_defaults_are_allowed():
    search(space=DEFAULT_SPACE).check()
    assert set(DEFAULT_SPACE) & set(MUTABLE)
