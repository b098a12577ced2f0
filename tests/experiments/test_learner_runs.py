"""The experiments on the learner, at a tiny scale: what is stored, what is not repeated, what the tables say."""

import json
from pathlib import Path

import numpy as np
import pytest

import experiments
from experiments.benchmarks import ablation, quality
from experiments.benchmarks.ablation import OPTIONS
from experiments.benchmarks.job import BenchmarkJob
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.perform import perform
from meqc_marl.jobs.protocol import Report
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.rl.config import default_env_steps, offloading_config


@pytest.mark.timeout(120)
def test_a_benchmark_trains_evaluates_and_keeps_what_it_has(ray_session, tmp_path, monkeypatch):
    learner = {"critic": "separate", "hidden": [16, 16]}

    def runs(seeds=1, env_steps=600):
        scenario = load_scenario("small", ["horizon=20"])
        return {
            f"separate-{seed}": Run(scenario=scenario, env_steps=env_steps, seed=seed, learner=learner)
            for seed in range(seeds)
        }

    monkeypatch.setattr(ablation, "runs", runs)
    monkeypatch.setattr(ablation, "DEVICES", (40,))
    said = []

    def measure(seeds):
        job = BenchmarkJob(name="ablation", seeds=seeds, env_steps=600)
        perform(Description(job, str(tmp_path), Placement()), said.append)
        (report,) = [message for message in said if isinstance(message, Report)][-1:]
        assert all(job.reports(name) for name in report.files)
        return {path.name: path.read_bytes() for path in tmp_path.glob("separate-*.json")}

    first = measure(1)
    result = json.loads(first["separate-0.json"])
    assert result["run"]["learner"] == learner
    for where in (result["held_out"], result["held_out_devices"]["40"]):
        assert np.isfinite(list(where.values())).all()
        assert where["cost"] > 0
    assert result["held_out"]["cost"] != result["held_out_devices"]["40"]["cost"]
    assert result["curve_regret"][-1][0] >= 600
    assert result["training_s"] > 0
    assert (tmp_path / "ablation.md").read_text() == ablation.table({"separate-0": result}) + "\n"
    again = measure(2)  # one seed more
    assert set(again) == {"separate-0.json", "separate-1.json"}
    assert again["separate-0.json"] == first["separate-0.json"]


def test_an_unknown_benchmark_is_told_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"benchmark 'qualty' is unknown \(did you mean 'quality'?"):
        perform(Description(BenchmarkJob(name="qualty", seeds=1, env_steps=1), str(tmp_path), Placement()), print)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_the_ablation_is_allowed(name):
    config = offloading_config(load_scenario("small"), learner=OPTIONS[name])
    for parameter, value in OPTIONS[name].items():
        assert getattr(config, parameter) == value


def results(runs, metric):
    found = {}
    for name, run in runs.items():
        values = {"gap_to_oracle": 0.0, "regret": metric(run)}
        held_out = values | {"deadline_missed_feasible": 0.002, "shortfall": 0.01 * (run.seed % 2)}
        found[name] = {
            "run": {"env_steps": run.env_steps},
            "held_out": held_out,
            "held_out_devices": {"1000": held_out},
            "training_s": 100.0,
        }
    return found


def test_tables_show_interquartile_means_of_what_is_stored():
    runs = {name: run for name, run in quality.runs().items() if name.startswith("paper-v0.1-")}
    assert len(runs) == 5
    # Of five seeds the least and the greatest do not count.
    found = results(runs, lambda run: [0.9, 0.01, 0.02, 0.03, 0.0][run.seed - 100])
    (row,) = quality.table(found).splitlines()[2:]
    assert row.startswith("| paper | 0.1 | 40,000 | 5 | 2.000 [")
    assert "| 90.000 % | +0.00 [" in row
    assert "| 0.20 % (worst 0.20) | 0.010 | 2.000 % |" in row
    table = ablation.table(results(ablation.runs(), lambda run: 0.01))
    assert [line.split("`")[1] for line in table.splitlines()[2:]] == list(OPTIONS)


def test_quality_trains_for_the_budget_of_the_first_command():
    asked = quality.runs()
    assert {default_env_steps(run.scenario) for run in asked.values()} == {quality.ENV_STEPS}
    assert {run.env_steps for run in asked.values()} == {quality.ENV_STEPS}


def test_the_published_table_of_quality_is_that_of_the_stored_results():
    """Of runs as they are asked for now; regret is never negative and no deadline is missed that can be met."""
    asked, folder = quality.runs(), Path(experiments.__file__).parent
    names = (name for name in asked if (folder / "results" / "quality" / f"{name}.json").exists())
    stored = {name: json.loads((folder / "results" / "quality" / f"{name}.json").read_text()) for name in names}
    assert stored
    page = (folder / "README.md").read_text().splitlines()
    assert set(quality.table(stored).splitlines()) <= set(page)
    for name, result in stored.items():
        run = Run.model_validate(result["run"])
        assert (run.identity(), run.env_steps) == (asked[name].identity(), quality.ENV_STEPS)
        for where in (result["held_out"], *result["held_out_devices"].values()):
            assert where["regret"] >= 0.0
            assert where["deadline_missed_feasible"] == 0.0
