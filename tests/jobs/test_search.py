"""The search: finds, stores what `train` takes, goes on; with Optuna and with a population."""

import json
from dataclasses import replace

import pytest
import yaml

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.search import MUTATED, SPACE, Search, run_search
from meqc_marl.rl.config import offloading_config
from tests.hparams_tab import read_hparams_tab

pytest.importorskip("optuna", reason="needs pip install -e '.[search]'")


@pytest.fixture
def search(tmp_path):
    path = tmp_path / "system.yaml"
    path.write_text("num_devices: 3\nhorizon: 20\n")
    return lambda scheduler: Search(scheduler, str(path), num_trials=2, env_steps=1_600, out=tmp_path / "search")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("scheduler", ["asha", "pbt"])
def test_best_parameters_are_those_of_the_least_score(ray_session, search, scheduler):
    found = run_search(search(scheduler))
    folder = search(scheduler).out
    assert yaml.safe_load((folder / "best.yaml").read_text()) == found
    assert set(found) == set(SPACE)
    scores = {}
    for path in (folder / "trials").glob("trial-*/result.json"):
        last = json.loads(path.read_text().splitlines()[-1])
        params = json.loads((path.parent / "params.json").read_text())
        scores[last["score"]] = {name: params[name] for name in SPACE}
    assert len(scores) == 2
    assert scores[min(scores)] == found
    rows = read_hparams_tab(folder)[2]
    for cost, params in scores.items():
        assert any(params.items() <= cells.items() and values for cells, values, _ in rows.values()), cost
    config = offloading_config(load_scenario("small"), env_steps=1_000, learner=found)
    assert config.critic_lr == [[0, found["critic_lr"]], [300, found["critic_lr"]], [1_000, found["critic_lr"] / 100]]
    # Once more: nothing is left to do, and the result is the same.
    assert run_search(search(scheduler)) == found
    with pytest.raises(InputError, match="holds a search with other options"):
        run_search(replace(search(scheduler), num_trials=3))


def test_the_population_changes_parameters_of_the_space():
    assert set(MUTATED) <= set(SPACE)
