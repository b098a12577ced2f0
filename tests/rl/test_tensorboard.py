"""The scalars of a run: names, missing values, and an evaluation that is right and disturbs nothing."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.comparison import compare
from meqc_marl.evaluation.held_out import HELD_OUT_SEED, NUM_TRACES
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.training import train
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy
from meqc_marl.policies.learned import load_policy
from meqc_marl.report.mode_map import mode_cells
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import (
    evaluate_against_oracle,
    mode_map,
    mode_map_rollouts,
    policy_of,
)
from meqc_marl.rl.tensorboard import CHARTS, SCALARS, layout, scalars


def test_what_is_missing_or_not_finite_is_left_out():
    result = {"env_runners": {"lyapunov": {"cost": np.float32(2.5), "drift": float("nan"), "penalty": float("inf")}}}
    assert scalars(result) == {"system/cost": 2.5}
    assert scalars({"env_runners": 3}) == {}


def test_names_and_sources_are_distinct():
    assert len(set(SCALARS.values())) == len(SCALARS)
    assert all(len(tag.split("/")) == 2 for tag in SCALARS)


def test_charts_show_scalars_that_exist():
    shown = [tag for charts in CHARTS.values() for tags in charts.values() for tag in tags]
    assert set(shown) <= set(SCALARS)
    for charts in layout().values():
        for kind, patterns in charts.values():
            assert kind == "Multiline"
            for pattern in patterns:
                assert sum(bool(re.search(pattern, tag)) for tag in SCALARS) == 1


def test_evaluation_curves_are_what_the_saved_policy_scores(ray_session, tmp_path):
    """The last point against ``compare`` of the saved policy with the oracle on the same held-out traces."""
    scenario, folder = load_scenario("small", ["horizon=20", "num_devices=4"]), tmp_path / "run"
    # Fewer than twenty iterations: all are evaluated, the last too.
    train(Run(scenario=scenario, env_steps=1_500, seed=2), folder, placement=Placement(checkpoint_every_s=1e9))
    seeds = list(range(HELD_OUT_SEED, HELD_OUT_SEED + NUM_TRACES))
    result = compare([make_policy("oracle", scenario), load_policy(folder)], scenario, generate_trace(scenario, seeds))
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    plugin = accumulator.SummaryMetadata("custom_scalars__config__").plugin_data
    assert plugin.plugin_name == "custom_scalars"
    for tag, metric in (
        ("evaluation/cost", "cost"),
        ("evaluation/gap_to_oracle", "gap_to_oracle"),
        ("evaluation/regret", "regret"),
        ("evaluation/mean_fraction", "fraction"),
        ("evaluation/worst_device_fraction", "fraction_worst"),
        ("evaluation/deadline_miss_share", "deadline_missed_feasible"),
    ):
        shown = accumulator.Scalars(tag)[-1].value
        assert shown == pytest.approx(float(result.metrics["learned"][metric].mean()), rel=1e-5, abs=1e-7), tag
    maps = accumulator.Images("modes/map")
    assert {point.step for point in maps} <= {point.step for point in accumulator.Scalars("evaluation/cost")}
    assert maps[-1].step == accumulator.Scalars("evaluation/cost")[-1].step
    shown = np.asarray(Image.open(io.BytesIO(maps[-1].encoded_image_string)))
    np.testing.assert_array_equal(shown, mode_map(load_policy(folder)))


def test_mode_map_is_of_the_policy_and_the_oracle_on_the_held_out_trace(ray_session):
    """Cell by cell the modes that ``rollout`` gives; that the picture shows them is tested beside ``draw_mode_map``."""
    scenario = load_scenario("small", ["horizon=120"])
    algorithm = offloading_config(scenario, env_steps=2_000).build_algo()
    policy = policy_of(algorithm)
    algorithm.stop()
    records = mode_map_rollouts(policy)
    trace = generate_trace(scenario, [HELD_OUT_SEED], num_slots=100)
    for name, each in (("learned", policy), ("exact oracle", make_policy("oracle", scenario))):
        expected = rollout(each, scenario, trace)
        mode, fraction = mode_cells(records.pop(name))
        np.testing.assert_array_equal(mode, expected.mode[:, 0].T)
        np.testing.assert_array_equal(fraction, expected.fraction[:, 0].T)
    assert not records


def test_stock_runner_gives_the_same_scalars(ray_session, tmp_path):
    """Only epsilon is known to our own runner alone."""
    scenario, reports = load_scenario("small", ["horizon=20"]), []
    train(Run(scenario=scenario, env_steps=960, env_runner="stock"), tmp_path / "run", reports.append)
    of_pools = {"sharing/price_of_anarchy", "sharing/price_of_ignorance"}
    of_queues = {name for name in SCALARS if name.startswith("waiting/")}
    of_comings = {"sharing/devices_present"}
    assert set(reports[-1].scalars) == set(SCALARS) - {"exploration/epsilon"} - of_pools - of_queues - of_comings
    assert load_policy(tmp_path / "run").scenario == scenario


def test_evaluation_disturbs_nothing(ray_session):
    """No random state moves, so a run does not depend on how often it is evaluated."""
    algorithm = offloading_config(load_scenario("small", ["horizon=20"]), env_steps=2_000).build_algo()
    algorithm.train()

    def states():
        generator = algorithm.env_runner.module["default_policy"].generator.get_state()
        replay = algorithm.replay_buffer.get_state()["rng"]
        _, keys, position, *_ = np.random.get_state()  # noqa: NPY002 (it must be left alone)
        return torch.get_rng_state().tolist(), keys.tolist(), position, generator.tolist(), replay

    def weights():
        return {name: value.clone() for name, value in algorithm.get_module().state_dict().items()}

    states_before, weights_before = states(), weights()
    first, second = evaluate_against_oracle(algorithm), evaluate_against_oracle(algorithm)
    assert first == second
    np.testing.assert_array_equal(mode_map(policy_of(algorithm)), mode_map(policy_of(algorithm)))
    assert states() == states_before
    assert all(torch.equal(value, weights_before[name]) for name, value in weights().items())
    algorithm.stop()
