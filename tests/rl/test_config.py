"""A configuration is whole: a process that knows only the learner reads a checkpoint of it."""

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from meqc_marl.config import load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS
from meqc_marl.env.view import observation_columns
from meqc_marl.errors import InputError
from meqc_marl.lyapunov.credit import beyond_local
from meqc_marl.lyapunov.queues import BACKLOG_COLUMN, growth, reward, scaled_backlog
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.modes import Mode
from meqc_marl.rl.callbacks import DifferenceCallback, LyapunovCallback
from meqc_marl.rl.config import default_env_steps, how_far_ahead, offloading_config, what_is_not_seen

ELSEWHERE = """
import json, logging, sys
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
for path in sys.argv[1:]:
    algorithm = DQNDDPG.from_checkpoint(path)
    before = algorithm.iteration
    result = algorithm.train()
    print(json.dumps([before, algorithm.iteration, result["env_runners"]["num_env_steps_sampled_lifetime"]]))
    algorithm.stop()
"""


def test_a_context_keeps_as_many_devices_and_needs_the_batched_runner():
    pooled = load_scenario("pooled")
    config = offloading_config(pooled, learner={"context": "mean"})
    config.validate()
    usual = offloading_config(pooled)
    assert config.replay_capacity == usual.replay_capacity // 15
    assert config.train_batch_size_per_learner == 2 * usual.train_batch_size_per_learner // 15
    given = {"context": "mean", "replay_capacity": 77, "train_batch_size_per_learner": 9}
    assert offloading_config(pooled, learner=given).options.model_dump().items() >= given.items()
    for learner in ({"context": "attention"}, {"whole_slots": True}):
        with pytest.raises(InputError, match=r"(context is attention|slots is True); it needs env-runner batched"):
            offloading_config(pooled, learner=learner, env_runner="stock")


def test_a_reward_that_is_learned_is_sampled_anew_and_what_is_given_stays() -> None:
    """As many slots as updates, from a short replay, of as many devices whether they are seen together or not."""
    queued, pooled = load_scenario("queued"), offloading_config(load_scenario("pooled"))
    config = offloading_config(queued, env_steps=9_600)
    assert config.updates_per_training_step == config.rollout_fragment_length == 4
    assert config.replay_capacity == 4_000 * 15 < pooled.replay_capacity
    assert config.epsilon[-1] == [9_600, 0.01]
    together = offloading_config(queued, learner={"context": "mean"})
    assert 15 * together.train_batch_size_per_learner == pytest.approx(config.train_batch_size_per_learner, rel=0.01)
    given = {"updates_per_training_step": 16, "epsilon": 0.1, "train_batch_size_per_learner": 9}
    assert offloading_config(queued, learner=given).options.model_dump().items() >= given.items()
    offloading_config(queued, env_steps=1).validate()


@pytest.mark.timeout(120)
def test_later_slots_count_where_work_waits_for_them_and_the_run_says_so():
    """In the reward where that is what a device adds to the total, by gamma where it is not, not at all elsewhere."""
    own = load_scenario("queued", ["lyapunov.reward=own", "lyapunov.discount=0.5"])
    for scenario, gamma, sentence in (
        (load_scenario("queued"), 0.0, "discount 0.9: what the work that is left costs later slots is learned"),
        (own, 0.5, "discount 0.5: work that is left waits for later slots"),
        (load_scenario("pooled"), 0.0, "discount 0: nothing that an action does reaches later slots"),
        (load_scenario("paper"), 0.0, "discount 0: nothing that an action does reaches later slots"),
    ):
        config = offloading_config(scenario)
        assert config.gamma == gamma
        assert config.callbacks_class is (LyapunovCallback if gamma else DifferenceCallback)
        assert how_far_ahead(scenario, config.gamma).startswith(sentence)
    assert offloading_config(own, learner={"gamma": 0.9}).gamma == 0.9
    with pytest.raises(InputError, match=r"learner parameter gamma is 0.9; with lyapunov.reward = difference"):
        offloading_config(load_scenario("queued"), learner={"gamma": 0.9})


def test_a_checkpoint_is_read_where_nothing_else_was_imported(ray_session, tmp_path):
    steps = []
    for env_runner in ("batched", "stock"):
        config = offloading_config(load_scenario("small", ["horizon=10"]), env_steps=400, env_runner=env_runner)
        config.training(hidden=(8,), replay_capacity=500).reporting(min_sample_timesteps_per_iteration=20)
        algorithm = config.build_algo()
        steps.append(algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"])
        algorithm.save_to_path(str(tmp_path / env_runner))
        algorithm.stop()
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "batched"), str(tmp_path / "stock")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [row[:2] for row in told] == [[1, 2], [1, 2]]
    assert all(after > before for (_, _, after), before in zip(told, steps, strict=True))


_ZETA = "paper, though drawn: server.zeta; observation=sufficient shows server.zeta."


@pytest.mark.parametrize(
    ("preset", "view", "vary", "told"),
    [
        (
            "queued",
            "paper",
            ["slot_s=2,6", "lyapunov.v=1,2"],
            "paper, though drawn: slot_s; observation=sufficient shows slot_s.",
        ),
        ("queued", "sufficient", ["slot_s=2,6", "resources.server_hz=1e10,2e10", "lyapunov.delta=0,0.5"], ""),
        (
            "queued",
            "sufficient",
            ["local.rho=1e-28,1e-27", "cost.deadline_penalty=10,20", "slot_s=2,6"],
            "sufficient, though drawn: cost.deadline_penalty.",
        ),
        ("pooled", "sufficient", ["resources.server_hz=1e10,2e10"], ""),
        (
            "pooled",
            "paper",
            ["resources.qpu_tiles=[1, 2]"],
            "paper, though drawn: resources.qpu_tiles; observation=sufficient shows resources.qpu_tiles.",
        ),
        ("paper", "sufficient", ["local.rho=1e-28,1e-27", "lyapunov.delta=0,0.5"], ""),
        ("paper", "paper", ["server.zeta=[2, 3]", "lyapunov.delta=0,0.5"], _ZETA),
    ],
)
def test_what_varies_and_is_not_seen_is_told(preset, view, vary, told):
    scenario = load_scenario(preset, [f"observation={view}"])
    assert what_is_not_seen(scenario, vary) == (told and f"not seen with observation={told}")
    assert what_is_not_seen(scenario, []) == ""


@pytest.mark.parametrize(
    "base", [[], ["cost.deadline=penalty"], ["cost.latency=sequential"], ["lyapunov.queue=literal"]]
)
@pytest.mark.parametrize(("change", "of"), [("quantum.circuit=literal", Mode.QPU), ("server.rho=4e-27", Mode.CPU)])
def test_what_a_mode_is_not_told_does_not_concern_it(base, change, of):
    """In two systems on the same nature that differ in one place alone, what all other modes are told and what they
    earn is the same."""
    here = load_scenario("paper", [*base, "num_devices=30"])
    there = load_scenario(here, [change])
    told = offloading_config(here).mode_columns
    assert {mode for mode, _ in told} == set(Mode)
    trace = generate_trace(here, [5], num_slots=40)
    backlog = np.random.default_rng(3).exponential(20.0, (1, 30))
    for asked in Mode:
        (seen, earned, _), (seen_there, earned_there, _) = (
            _seen_and_earned(each, trace, asked, backlog) for each in (here, there)
        )
        both = np.isfinite(earned) & np.isfinite(earned_there)  # where nothing meets a deadline, the fastest is taken
        assert both.mean() > 0.3
        alike = np.array_equal(
            *(each[both][:, [i for mode, i in told if mode == asked]] for each in (seen, seen_there))
        )
        assert alike == (asked != of)
        assert np.array_equal(earned[both], earned_there[both]) == (asked != of)


@pytest.mark.parametrize(
    "base", [[], ["cost.latency=sequential"], ["lyapunov.reward=difference"], ["cost.deadline=penalty"]]
)
def test_what_a_mode_is_told_tells_its_reward(base):
    """Read off its own columns and no others: costs in lines between three shares, the queue, whether it is late."""
    scenario = load_scenario("paper", [*base, "num_devices=30", "lyapunov.v=2"])
    columns, told = observation_columns(scenario), offloading_config(scenario).mode_columns
    shared = [name for name in columns if sum(column == columns.index(name) for _, column in told) > 1]
    assert shared == ["backlog"]
    assert len({column for _, column in told}) == len(columns)
    trace = generate_trace(scenario, [5], num_slots=40)
    backlog = np.random.default_rng(3).exponential(20.0, (1, 30))
    for asked, place in ((Mode.LOCAL, "local"), (Mode.CPU, "cpu"), (Mode.QPU, "qpu")):
        seen, earned, share = _seen_and_earned(scenario, trace, asked, backlog)
        own = {columns[column].removeprefix(f"{place}_"): seen[..., column] for mode, column in told if mode == asked}
        expected = np.expm1(own["backlog"]) * share
        if asked != Mode.LOCAL:
            shares = [own[name] for name in ("low", "middle", "high")]
            costs = [np.sign(x) * np.expm1(abs(x)) for x in (own[f"cost_{name}"] for name in ("low", "middle", "high"))]
            expected = expected - _in_lines(share, shares, costs)
        if scenario.cost.deadline == "penalty":
            within = 1.0 if asked == Mode.LOCAL else (own["first"] <= share) & (share <= own["last"])
            expected = expected - scenario.cost.miss_penalty * (1.0 - own["meets"] * within)
        done = np.isfinite(earned)
        assert done.mean() > 0.3
        close = np.isclose(earned[done], expected[done], atol=2e-3, rtol=1e-3)
        assert close.mean() > 0.999, (asked, close.mean())  # a share within float32 of an end may be late or not


def _in_lines(x, xs, ys):
    """Linear interpolation between three points, arrays."""
    lower, upper = ((x - a) / np.where(b > a, b - a, 1.0) for a, b in pairwise(xs))
    return np.where(x < xs[1], ys[0] + lower * (ys[1] - ys[0]), ys[1] + upper * (ys[2] - ys[1]))


def _seen_and_earned(scenario, trace, asked, backlog):
    """Observations [T, 1, M, K], the learner's reward of a mode, NaN where another was carried out, and shares."""
    simulator, seen, earned, shares = OffloadingSimulator(scenario, 1, trace), [], [], []
    config = scenario.lyapunov
    simulator.reset()
    for _ in range(trace.num_slots):
        seen.append(simulator.observation.copy())
        seen[-1][..., BACKLOG_COLUMN] = scaled_backlog(config, backlog)
        outcome = simulator.step(np.full((1, 30), asked), np.full((1, 30), 0.6), None)
        grown, penalty = growth(config, outcome.fraction), scenario.cost.miss_penalty
        own = reward(config, outcome.cost, backlog, grown, outcome.deadline_missed, penalty)
        earned.append(np.where(outcome.mode == asked, beyond_local(config, backlog, outcome.local_cost, own), np.nan))
        shares.append(outcome.fraction)
    return np.stack(seen), np.stack(earned), np.stack(shares)


def test_columns_of_modes_are_told_where_a_slot_is_all_that_counts():
    """Not where others or later slots matter, nor to a learner that cannot keep its passes apart."""
    for scenario, learner in (
        ("pooled", {}),
        ("queued", {}),
        ("paper-literal", {}),
        (load_scenario("paper", ["lyapunov.reward=team"]), {}),
        (load_scenario("paper", ["lyapunov.reward=difference", "cost.deadline=penalty"]), {}),
        ("paper", {"gamma": 0.9}),
        ("paper", {"critic": "joint"}),
        ("paper", {"critic": "separate"}),
        ("paper", {"context": "mean"}),
    ):
        system = load_scenario(scenario)
        config = offloading_config(system, learner=learner)
        config.validate()
        assert config.mode_columns == config.price_columns == ()
        assert default_env_steps(system, learner) == 160_000
    assert default_env_steps(load_scenario("paper", ["cost.deadline=penalty"])) == 80_000
    assert default_env_steps(load_scenario("paper")) == 40_000
    assert default_env_steps(load_scenario("paper"), {"hidden": [8]}) == 40_000


def test_prices_are_told_where_they_are_all_that_the_queue_adds():
    """Not where a queue grows by anything but Delta less the share, or another share is carried out than asked for."""
    for changes, learner, scale in (
        ([], {}, 1 / 15),
        (["cost.latency=sequential", "lyapunov.v=3"], {"reward_scale": 0.5}, 0.5),
        (["lyapunov.reward=difference"], {}, 1 / 15),
        (["cost.deadline=penalty"], {}, None),
        (["lyapunov.queue=literal"], {}, None),
        (["observation=paper"], {}, None),
    ):
        config = offloading_config(load_scenario("paper", changes), learner=learner)
        config.validate()
        backlog = len(SUFFICIENT_COLUMNS) - 1
        assert config.price_columns == (() if scale is None else ((0, backlog, scale), (1, backlog, scale)))
        names = {(Mode(mode).name, SUFFICIENT_COLUMNS[column], unit) for mode, column, unit in config.unit_columns}
        of_places = {f"cost_{at}": True for at in ("low", "middle", "high")} | {"slope_low": False, "slope_high": False}
        costs = {
            (place.upper(), f"{place}_{name}", unit) for place in ("cpu", "qpu") for name, unit in of_places.items()
        }
        assert names == (set() if scale is None else {("LOCAL", "local_cost", True), *costs})
