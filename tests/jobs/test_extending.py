"""Runs and studies that grow, start from others, diverge, and end with their budget."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from states import differences, last_state

from experiments.capacity.trials import StandIn
from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.errors import InputError
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.perform import perform
from meqc_marl.jobs.room import check_size
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.run_folder import WARM_START, load_run
from meqc_marl.jobs.stored_study import stored_study
from meqc_marl.jobs.study import run_study
from meqc_marl.jobs.sweep import SweepJob, sweep_study
from meqc_marl.jobs.training import train
from meqc_marl.jobs.warm_start import start_warm
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.policies.learned import load_policy
from meqc_marl.rl.evaluation import policy_of
from meqc_marl.storage import Storage
from tests.sentences import is_one_sentence

SMALL = load_scenario("small", ["horizon=20"])
NEVER = Placement(checkpoint_every_s=1e9)
#: No schedule of these depends on the budget.
CONSTANT = {
    "hidden": [16, 16],
    "critic_lr": [[0, 1e-3], [1_000_000, 1e-3]],
    "actor_lr": [[0, 1e-3], [1_000_000, 1e-3]],
    "epsilon": 0.2,
    "num_steps_before_learning": 320,
}


def run(env_steps=1_600, **more):
    return Run(**({"scenario": SMALL, "env_steps": env_steps, "seed": 1, "learner": {"hidden": [16, 16]}} | more))


@pytest.mark.timeout(240)
def test_n_steps_and_n_more_are_2_n_steps_where_no_schedule_depends_on_the_budget(ray_session, tmp_path):
    whole = run(3_200, learner=CONSTANT)
    train(whole, tmp_path / "whole", placement=NEVER)
    train(run(1_600, learner=CONSTANT), tmp_path / "extended", placement=NEVER)
    with pytest.raises(InputError, match="has 1,600 env-steps; leave out --env-steps, or give more"):
        train(run(800, learner=CONSTANT), tmp_path / "extended", resume=True)
    checkpoint, finished = train(whole, tmp_path / "extended", placement=NEVER, resume=True)
    assert finished
    assert load_run(tmp_path / "extended") == whole
    assert differences(last_state(tmp_path / "whole"), last_state(tmp_path / "extended")) == []
    assert checkpoint.name == list_checkpoints(tmp_path / "whole")[-1].name


@pytest.mark.timeout(120)
def test_an_extended_run_follows_the_schedules_of_its_larger_budget(ray_session, tmp_path):
    told = []
    train(run(1_600), tmp_path / "run", told.append, placement=NEVER)
    train(run(3_200), tmp_path / "run", told.append, placement=NEVER, resume=True)
    rates = {each.env_steps: each.scalars["learner/critic_learning_rate"] for each in told}
    assert list(rates) == list(range(320, 3_201, 320))
    assert rates[1_600] == pytest.approx(3e-3 / 100, rel=0.3)
    for steps in (2_240, 2_880, 3_200):  # three tenths held, then in a line to a hundredth
        share = (steps - 960) / (3_200 - 960)
        assert rates[steps] == pytest.approx(3e-3 * (1 - share) + 3e-5 * share, rel=0.3)
    assert rates[2_240] > 10 * rates[1_600]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("overrides", "budget"), [(["horizon=5000"], 4_000), (["horizon=20"], 1_000), (["horizon=20"], 3)]
)
def test_the_last_iteration_ends_with_the_budget(ray_session, tmp_path, monkeypatch, overrides, budget):
    # On traces of 5,000 slots it takes long, and is not what is asked here.
    monkeypatch.setattr("meqc_marl.rl.evaluation.evaluate_against_oracle", lambda algorithm: {"cost": 1.0})
    told, scenario = [], load_scenario("small", overrides)
    rows = configuration(run(scenario=scenario)).num_envs_per_env_runner
    train(run(budget, scenario=scenario), tmp_path / "run", told.append, placement=NEVER)
    steps = [each.env_steps for each in told]
    assert budget <= steps[-1] < budget + rows
    tenth, a_round = -(-budget // 10), 4 * rows
    assert max(np.diff([0, *steps])) <= max(1, -(-tenth // a_round)) * a_round


@pytest.mark.timeout(120)
def test_a_run_that_diverges_is_a_sentence_and_makes_room_for_another(ray_session, tmp_path, monkeypatch):
    step = DQNDDPG.train

    def diverge(self):
        if self.iteration == 2:
            raise FloatingPointError("the gradient of critic is nan:\na learning rate is too high.")
        return step(self)

    monkeypatch.setattr(DQNDDPG, "train", diverge)
    often = Placement(checkpoint_every_s=0.0)
    with pytest.raises(InputError, match=r"training diverged after 640 env-steps \(the gradient") as told:
        train(run(), tmp_path / "run", placement=often)
    assert is_one_sentence(str(told.value)), told.value
    assert list_checkpoints(tmp_path / "run")
    with pytest.raises(InputError, match="diverged"):
        train(run(), tmp_path / "run", placement=often)
    monkeypatch.undo()
    other = run(learner={"hidden": [8, 8]})
    assert train(other, tmp_path / "run", placement=NEVER)[1]
    assert load_run(tmp_path / "run") == other
    assert load_policy(tmp_path / "run").spec.hidden == (8, 8)
    with pytest.raises(InputError, match="holds a run already"):
        train(run(), tmp_path / "run")


@pytest.mark.timeout(120)
def test_a_run_starts_with_the_weights_of_another(ray_session, tmp_path):
    train(run(640), tmp_path / "first", placement=NEVER)
    first = load_policy(tmp_path / "first")
    elsewhere = load_scenario("small", ["horizon=20", "num_devices=5", "lyapunov.v=2"])
    second = run(640, scenario=elsewhere, seed=7, warm_start=str(tmp_path / "first"))
    algorithm = configuration(second.model_copy(update={"learner": {"hidden": [16, 16]}})).build_algo()
    assert not _alike(policy_of(algorithm), first)
    start_warm(algorithm, tmp_path / "first")
    assert _alike(policy_of(algorithm), first)
    algorithm.learner_group.foreach_learner(_assert_targets_follow)
    algorithm.stop()

    for learner, sentence in (
        ({"hidden": [8, 8]}, r"its hidden is \[16, 16\] and this run's is \[8, 8\]"),
        ({"hidden": [16, 16], "gamma": 0.5}, "its modes see their own places alone, and this run's gamma is 0.5"),
        (
            {"hidden": [16, 16], "reward_scale": 0.5},
            r"price_columns are \[\[0, 22, 0.06.* this run's are \[\[0, 22, 0.5\]",
        ),
    ):
        with pytest.raises(InputError, match=sentence) as told:
            train(second.model_copy(update={"learner": learner}), tmp_path / "second")
        assert is_one_sentence(str(told.value)), told.value
        assert not (tmp_path / "second" / "run.json").exists()
    train(second, tmp_path / "second", placement=NEVER)
    assert _alike(load_policy(tmp_path / "second" / WARM_START), first)
    assert not _alike(load_policy(tmp_path / "second"), first)
    assert load_policy(tmp_path / "second").scenario == elsewhere


def _alike(one, other):
    pairs = zip(one.actor.parameters(), other.actor.parameters(), strict=True)
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in pairs)


def _assert_targets_follow(learner):
    for _, module in learner.module.items():
        for main, target in module.unwrapped().get_target_network_pairs():
            for a, b in zip(main.parameters(), target.parameters(), strict=True):
                assert torch.equal(a, b)


@pytest.mark.timeout(120)
def test_a_study_takes_more_trials_and_repeats_none(ray_session, tmp_path):
    trainable = StandIn.of({"scalars": {}, "evaluation": {"cost": 2.0}}, 2, 0.0, 0.0)
    base = run(2)

    def grid(v):
        return sweep_study(base, v, (0.5,), (0,))

    def written():
        return {path.parent.name: path.read_bytes() for path in Path(tmp_path).glob("trials/*/result.json")}

    run_study(grid((0.1, 1.0)), tmp_path, trainable=trainable)
    before = written()
    told = []
    records = run_study(grid((0.1, 1.0, 2.0)), tmp_path, told.append, trainable=trainable)
    assert [record.labels["v"] for record in records] == [0.1, 1.0, 2.0]
    assert (told[0].finished, told[0].total) == (2, 3)
    assert (told[-1].finished, told[-1].running, told[-1].failed, told[-1].total) == (3, 0, 0, 3)
    after = written()
    assert set(after) - set(before) == {"v=2.0,delta=0.5,seed=0"}
    assert {name: after[name] for name in before} == before
    assert list(stored_study(Storage.reading(tmp_path))) == list(grid((0.1, 1.0, 2.0)))
    with pytest.raises(InputError, match="holds other trials"):
        run_study(sweep_study(run(3), (0.1,), (0.5,), (0,)), tmp_path, trainable=trainable)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_grid_of_2_x_2_and_then_3_x_3_trains_five_and_keeps_four(ray_session, tmp_path):
    def sweep(v, delta, scenario=SMALL):
        job = SweepJob(base=run(640, scenario=scenario), v=v, delta=delta, num_seeds=1)
        perform(Description(job, str(tmp_path), Placement()), print)
        trials = json.loads((tmp_path / "trials.json").read_text())["trials"]
        points = json.loads((tmp_path / "sweep-points.json").read_text())["points"]
        return {trial["name"]: trial for trial in trials}, points

    four, _ = sweep((0.1, 1.0), (0.3, 0.7))
    before = {path.parent.name: path.read_bytes() for path in tmp_path.glob("trials/*/result.json")}
    nine, points = sweep((0.1, 1.0, 2.0), (0.3, 0.5, 0.7))
    assert len(four) == 4
    assert len(nine) == len(points) == 9
    assert {name: nine[name] for name in four} == four
    assert {name: (tmp_path / "trials" / name / "result.json").read_bytes() for name in before} == before
    # A single new value: the report is still of all.
    ten, points = sweep((5.0,), (0.9,))
    assert len(ten) == len(points) == 10
    with pytest.raises(InputError, match="holds other work than this sweep"):
        sweep((0.1,), (0.3,), load_scenario("small", ["horizon=30"]))


def test_graphics_processors_are_asked_for_and_missed(ray_session):
    config = configuration(run(), Placement(gpus=0.5))
    assert DQNDDPG.default_resource_request(config).required_resources["GPU"] == 0.5
    with pytest.raises(InputError, match=r"a trial needs 0\.5 GPUs and the cluster has 0; give it fewer") as told:
        check_size([config])
    assert is_one_sentence(str(told.value)), told.value
