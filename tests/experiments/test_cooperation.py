"""Cooperation: every setting is allowed, what is stored is what the module asks for, rounds cost what they cost."""

import json
from pathlib import Path

import numpy as np
import pytest

import experiments
from experiments.benchmarks.job import BENCHMARKS, module_of
from experiments.cooperation import learned, rounds, scarcity, solving
from experiments.measured import REFERENCE_SEEDS, first_seeds
from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic
from meqc_marl.entry.running import run_module
from meqc_marl.env.view import observation_columns
from meqc_marl.jobs.run import Run
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy
from meqc_marl.policies.learned import LearnedPolicy
from meqc_marl.rl.config import offloading_config

RESULTS = Path(experiments.__file__).parent / "results" / "cooperation"


def test_every_benchmark_has_its_module():
    for name in BENCHMARKS:
        module = module_of(name)
        assert module.SEEDS >= 1
        assert hasattr(module, "table")


@pytest.mark.parametrize("name", learned.SETTINGS)
def test_every_setting_is_allowed_and_learns_from_as_many_devices(name):
    run = learned.runs(1)[f"{name}-0"]
    config = offloading_config(run.scenario, learner=run.learner, env_steps=run.env_steps)
    assert run.scenario.lyapunov.reward == learned.SETTINGS[name].reward
    rows = 15 if config.context != "none" else 1
    assert config.train_batch_size_per_learner * rows == 510


def test_what_is_stored_was_trained_as_the_module_says():
    """The published table is that of the stored results, of runs as they are asked for now."""
    asked = learned.runs()
    stored = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*-[0-9].json"))}
    assert len(stored) >= 10
    for name, result in stored.items():
        assert Run.model_validate(result["run"]).identity() == asked[name].identity()
    page = (Path(learned.__file__).parent / "README.md").read_text().splitlines()
    docs = (Path(experiments.__file__).parents[1] / "docs" / "pooled.md").read_text().splitlines()
    for line in solving.table(json.loads((RESULTS / solving.RESULT).read_text())).splitlines():
        assert line in docs
    of_rounds = json.loads((RESULTS / rounds.RESULT).read_text())
    of_pools = json.loads((RESULTS / scarcity.RESULT).read_text())
    for table in (learned.table(stored), rounds.table(of_rounds), scarcity.table(of_pools)):
        assert set(table.splitlines()) <= set(page)


def test_the_table_by_hand():
    def result(regret):
        held_out = {"regret": regret, "deadline_missed": 0.02}
        return {"held_out": held_out, "held_out_devices": {"50": {"regret": 2 * regret}}, "training_s": 90.0}

    # Of five seeds the least and the greatest do not count.
    found = {f"mean-{seed}": result(regret) for seed, regret in enumerate([0.9, 0.01, 0.02, 0.03, 0.0])}
    (row,) = learned.table(found).splitlines()[2:]
    assert row.startswith("| all, mean embedding | difference | 5 | 2.00 [")
    assert row.endswith("| 90.00 % | 2.0 % | 4.00 % (5) | 90 |")


def test_rounds_are_counted_and_bring_the_total_down():
    scenario = load_scenario("pooled", ["num_devices=6"])
    trace, reference = generate_trace(scenario, [4, 5], num_slots=6), make_policy("joint-oracle", scenario)
    who = rounds.rules(scenario, {"nobody": make_policy("local-only", scenario)})
    found = {name: rounds.measured(who[name], scenario, trace, reference) for name in who}
    assert found["joint optimum"]["regret"] == pytest.approx(0.0, abs=1e-9)
    assert found["joint optimum"]["messages"] == 12
    one, settled = found["team best response, 1 round"], found["team best response, settled"]
    assert settled["regret"] <= one["regret"] < found["learned (nobody), one shot"]["regret"]
    assert found["learned (nobody), one shot"]["messages"] == 6
    assert settled["messages"] > one["messages"] > 12
    # Nobody sends anything away: a second round begins as the first one of everybody.
    for key in ("regret", "missed", "charged", "fraction"):
        assert found["learned (nobody), then one round"][key] == one[key]
    assert all(np.isfinite(list(each.values())).all() for each in found.values())
    assert "| joint optimum | 0.00 % |" in rounds.table({"rules": found})


def test_messages_of_learned_policies():
    """Fifteen places; all values and all places; or fifteen places after one broadcast."""
    pooled, told = load_scenario("pooled"), load_scenario("pooled", ["resources.broadcast=counts"])
    policies = {}
    for name, scenario, context in (("itself", pooled, "none"), ("mean", pooled, "mean"), ("broadcast", told, "none")):
        columns = observation_columns(scenario)
        spec = NetworkSpec(observation_size=len(columns), parameter_slots=((0, 0), (0, 1), (1, 2)), context=context)
        policies[name] = LearnedPolicy(spec, Actor(spec), Critic(spec), name, scenario, columns)
    found = rounds.rules(pooled, policies)
    messages = {name: found[f"learned ({name}), one shot"].messages(15) for name in policies}
    assert messages == pytest.approx({"itself": 15, "mean": 30, "broadcast": 16})


def test_solving_is_timed_beside_a_product():
    found = {str(devices): solving.measured(devices, 3) for devices in (4, 400)}
    assert found["4"]["gap"] == 0.0 < found["400"]["gap"]
    assert all(each["ms"] > 0.0 and each["products"] == each["ms"] / each["product_ms"] for each in found.values())
    assert "| proven |" in solving.table({"devices": found}).splitlines()[2]


def test_scarcer_pools_make_selfishness_and_ignorance_dearer(tmp_path, monkeypatch, capsys):
    """The command goes on where it was stopped, says what it kept, and draws."""
    words = ["--devices", "4", "--num-slots", "12", "--num-traces", "1", "--out", str(tmp_path), "--pools"]
    assert run_module(scarcity.Scarcity, [*words, "0.5"]) == 0
    monkeypatch.setattr(scarcity, "point", lambda devices, pools, *more, first=scarcity.point: first(4, 4.0, *more))
    assert run_module(scarcity.Scarcity, [*words, "0.5", "4"]) == 0
    kept = json.loads((tmp_path / scarcity.RESULT).read_text())["points"]
    assert list(kept) == ["4-0.5", "4-4"]
    for rule in ("selfish", "oblivious"):
        assert kept["4-0.5"][rule] > kept["4-4"][rule] >= 1.0 - 1e-3
    assert capsys.readouterr().out.count("| 4 | 0.5 |") == 2
    assert (tmp_path / scarcity.PICTURE).stat().st_size > 10_000
    assert run_module(scarcity.Scarcity, [*words, "0.5", "--num-slots", "13"]) == 2
    assert "other traces" in capsys.readouterr().err


def test_the_reference_traces_come_first():
    assert first_seeds(len(REFERENCE_SEEDS)) == REFERENCE_SEEDS
    assert first_seeds(9)[:6] == REFERENCE_SEEDS
