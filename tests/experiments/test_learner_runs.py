"""The experiments on the learner, at a tiny scale: what is stored, what is not repeated, what the tables say."""

import json

import numpy as np
import pytest

from experiments.benchmarks.ablation import OPTIONS, Ablation
from experiments.benchmarks.ablation import runs as ablation_runs
from experiments.benchmarks.ablation import table as ablation_table
from experiments.benchmarks.learner_runs import file_of, perform
from experiments.benchmarks.quality import Quality, table
from experiments.benchmarks.quality import runs as quality_runs
from meqc_marl.config import load_scenario
from meqc_marl.jobs.run import Run
from meqc_marl.rl.config import offloading_config


def test_a_run_is_trained_and_evaluated_on_other_numbers_of_devices_too(ray_session):
    learner = {"critic": "separate", "hidden": [16, 16]}
    run = Run(scenario=load_scenario("small", ["horizon=20"]), env_steps=600, seed=1, learner=learner)
    result = perform(run, (40,))
    assert result["run"]["learner"] == run.learner
    for where in (result["held_out"], result["held_out_devices"][40]):
        assert np.isfinite(list(where.values())).all()
        assert where["cost"] > 0
    assert result["held_out"]["cost"] != result["held_out_devices"][40]["cost"]
    assert result["curve_regret"][-1][0] >= 600
    json.dumps(result)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_the_ablation_is_allowed(name):
    config = offloading_config(load_scenario("small"), learner=OPTIONS[name])
    for parameter, value in OPTIONS[name].items():
        assert getattr(config, parameter) == value


def stored(runs, folder, metric):
    for run in runs:
        values = {"gap_to_oracle": 0.0, "regret": metric(run)}
        held_out = values | {"deadline_missed_feasible": 0.002, "shortfall": 0.01 * (run.seed % 2)}
        result = {
            "run": {"env_steps": run.env_steps},
            "held_out": held_out,
            "held_out_devices": {"1000": held_out},
            "training_s": 100.0,
        }
        file_of(run, folder).write_text(json.dumps(result))


def test_tables_show_interquartile_means_of_what_is_stored(tmp_path):
    quality = Quality(out=tmp_path)
    # Of five seeds the least and the greatest do not count.
    stored(quality_runs(quality)[::6], tmp_path, lambda run: [0.9, 0.01, 0.02, 0.03, 0.0][run.seed - 100])
    (row,) = table(quality).splitlines()[2:]
    assert row.startswith("| paper | 0.1 | 240,000 | 5 | 2.000 % [")
    assert "| 90.000 % | +0.00 % [" in row
    assert "| 0.20 % (worst 0.20) | 0.010 | 2.000 % |" in row
    ablation = Ablation(out=tmp_path)
    stored(ablation_runs(ablation), tmp_path, lambda run: 0.01)
    assert [line.split("`")[1] for line in ablation_table(ablation).splitlines()[2:]] == list(OPTIONS)
