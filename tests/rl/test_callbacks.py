"""The Lyapunov callback against the PettingZoo wrapper and the definitions of the evaluation."""

import pickle
from dataclasses import fields

import numpy as np
import pytest
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.batched_env import BatchedStep
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.evaluation.metrics import measure
from meqc_marl.evaluation.rollout import Rollout
from meqc_marl.lyapunov import BACKLOG_COLUMN
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.physics.cost import Outcome
from meqc_marl.rl.callbacks import DifferenceCallback, LyapunovCallback
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.offloading_env import OffloadingBatchedEnv
from meqc_marl.rl.tensorboard import SCALARS

HORIZON = 30
KINDS = ("batched", "stock")
QUEUES = ("backlog", "drift", "objective")
OUTCOME = tuple(field.name for field in fields(Outcome) if field.name != "present")


@pytest.fixture
def scenario():
    # V of 0.5 so that backlog, drift and cost all count; misses that could be avoided are carried out.
    overrides = ["lyapunov.v=0.5", "tasks.deadline_s=[4.0, 12.0]", "cost.deadline=penalty"]
    return load_scenario("small", [f"horizon={HORIZON}", *overrides])


class Recorder:
    """A runner of either kind; its samples as arrays [T, E, M, ...]."""

    def __init__(self, kind, scenario):
        # Without the mask a policy asks for QPUs that do not admit; epsilon leaves room for both kinds of action.
        config = offloading_config(scenario, env_runner=kind).training(hidden=(16,), epsilon=0.7, mask_columns=())
        config.callbacks(LyapunovCallback).training(price_columns=())
        self.rows = 3 if kind == "batched" else 1
        config.env_runners(num_envs_per_env_runner=self.rows)
        self.kind = kind
        if kind == "batched":
            self.runner = BatchedEnvRunner(
                config=config,
                env_creator=lambda context: OffloadingBatchedEnv(scenario, context.num_envs),
                worker_index=0,
                num_workers=0,
            )
        else:
            self.runner = MultiAgentEnvRunner(config=config, worker_index=0, num_workers=0)

    def seeds(self):
        env = self.runner.env if self.kind == "batched" else self.runner.env.unwrapped.envs[0].unwrapped.env
        return env.simulator.get_state()["seeds"]

    def sample(self, slots, **kwargs):
        samples = self.runner.sample(num_timesteps=slots * self.rows, **kwargs)
        if self.kind == "batched":
            data = {name: np.stack(values) for name, values in vars(samples[0]).items() if len(values)}
            mode, parameters = data["mode"], data["parameters"]
            fraction = np.where(mode == 1, parameters[..., 0], parameters[..., 1]) * (mode > 0)
            return {n: data[n] for n in ("observation", "next_observation", "reward", "mode")} | {"fraction": fraction}
        return joined([episode_arrays(episode) for episode in samples])

    def logged(self):
        metrics = self.runner.get_metrics()["lyapunov"]
        return {name: float(value.reduce(compile=True)) for name, value in metrics.items()}


def episode_arrays(episode):
    agents = [episode.agent_episodes[f"mobile_{m}"] for m in range(3)]
    observation = np.stack([single.get_observations() for single in agents], 1)[:, None]
    actions = [single.get_actions() for single in agents]
    return {
        "observation": observation[:-1],
        "next_observation": observation[1:],
        "reward": np.stack([single.get_rewards() for single in agents], 1)[:, None],
        "mode": np.stack([action["mode"] for action in actions], 1)[:, None],
        "fraction": np.stack([action["fraction"][:, 0] for action in actions], 1)[:, None],
    }


def joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def replay(scenario, seed, data, row):
    """Observations, next observations, rewards and infos of the wrapper [T, M, ...] under the recorded actions."""
    env = LyapunovParallelEnv(OffloadingParallelEnv(scenario))
    agents, infos = env.possible_agents, []
    out = {"observation": [], "next_observation": [], "reward": []}
    for slot in range(len(data["mode"])):
        if slot % HORIZON == 0:
            observation, _ = env.reset(seed=seed if slot == 0 else None)
        actions = {
            agent: {"mode": int(data["mode"][slot, row, m]), "fraction": data["fraction"][slot, row, m : m + 1]}
            for m, agent in enumerate(agents)
        }
        out["observation"].append([observation[a] for a in agents])
        observation, reward, _, _, info = env.step(actions)
        out["next_observation"].append([observation[a] for a in agents])
        out["reward"].append([reward[a] for a in agents])
        infos.append({name: [info[a][name] for a in agents] for name in info[agents[0]]})
    record = {name: np.array([info[name] for info in infos]) for name in infos[0]}
    return {name: np.array(values) for name, values in out.items()}, record


@pytest.mark.parametrize(
    "changes",
    [
        ["cost.deadline=kept"],
        ["cost.deadline=penalty"],
        [*(f"resources.{part}=pooled" for part in ("band", "server", "qpu")), "lyapunov.reward=difference"],
    ],
    ids=["kept", "penalty", "pooled"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_rewards_observations_and_backlogs_equal_the_wrappers(kind, changes, scenario):
    scenario = load_scenario(scenario, changes)
    recorder = Recorder(kind, scenario)
    # Fragments that end neither with the first episode nor together with it.
    data = joined([recorder.sample(slots) for slots in (7, 11, 2 * HORIZON - 20)])
    assert len(data["mode"]) == 2 * HORIZON - 2
    assert len(np.unique(data["mode"])) == 3
    for row, seed in enumerate(recorder.seeds()):
        expected, record = replay(scenario, seed, data, row)
        for name, values in expected.items():
            np.testing.assert_allclose(data[name][:, row], values, rtol=1e-6, atol=1e-6, err_msg=f"{name} of row {row}")
        shown = np.expm1(data["next_observation"][:, row, :, BACKLOG_COLUMN]) * scenario.lyapunov.v
        np.testing.assert_allclose(shown, record["backlog"], rtol=1e-5, atol=1e-5)
        assert record["backlog"][HORIZON - 1].max() > 1.0
        assert not data["observation"][HORIZON, row, :, BACKLOG_COLUMN].any()
        kept = scenario.cost.deadline == "kept"
        assert record["overruled"].any() == kept
        assert (record["deadline_missed"] & record["deadline_feasible"]).any() != kept


@pytest.mark.parametrize("kind", KINDS)
def test_an_aborted_episode_leaves_no_backlog_behind(kind, scenario):
    recorder = Recorder(kind, scenario)
    assert recorder.sample(9)["next_observation"][..., BACKLOG_COLUMN].max() > 0.5
    again = recorder.sample(2, force_reset=True)
    fraction = np.where(again["mode"] > 0, np.maximum(again["fraction"], scenario.cost.min_fraction), 0.0)
    backlog = np.maximum(0.0, scenario.lyapunov.delta - fraction[0])
    shown = np.expm1(again["next_observation"][0, ..., BACKLOG_COLUMN]) * scenario.lyapunov.v
    np.testing.assert_allclose(shown, backlog, rtol=1e-5, atol=1e-6)


def measured(scenario, records):
    """Rollout [T, E, M] of the replayed rows, under the definitions of the evaluation."""
    stacked = {name: np.stack([record[name] for record in records], 1) for name in (*OUTCOME, *QUEUES)}
    backlog = np.concatenate([np.zeros_like(stacked["backlog"][:1]), stacked["backlog"]])
    outcome = {name: stacked[name] for name in OUTCOME}
    record = Rollout(**outcome, objective=stacked["objective"], reward=stacked["cost"], backlog=backlog)
    return {name: float(values.mean()) for name, values in measure(record, scenario).items()}, stacked


@pytest.mark.parametrize("kind", KINDS)
def test_logged_metrics_follow_the_definitions_of_the_evaluation(kind, scenario):
    recorder = Recorder(kind, scenario)
    data = recorder.sample(HORIZON)
    logged = recorder.logged()
    records = [replay(scenario, seed, data, row)[1] for row, seed in enumerate(recorder.seeds())]
    metrics, happened = measured(scenario, records)
    feasible, missed = happened["deadline_feasible"], happened["deadline_missed"]
    expected = {name: metrics[name] for name in metrics if name.startswith("mode_")}
    expected |= {name: metrics[name] for name in ("cost", "latency_s", "energy_j", "backlog_mean", "objective")}
    expected |= {
        "fraction_mean": metrics["fraction"],
        "episode_fraction_mean": metrics["fraction"],
        "episode_fraction_worst": metrics["fraction_worst"],
        "backlog_max": happened["backlog"].max(),
        "drift": happened["drift"].mean(),
        "penalty": scenario.lyapunov.v * happened["cost"].mean(),
        "deadline_miss_share": (missed & feasible).sum() / feasible.sum(),
        "overruled_share": metrics["overruled"],
        "qpu_rejected_share": metrics["qpu_rejected"],
        "users_cpu": (happened["mode"] == 1).sum(-1).mean(),
        "users_qpu": (happened["mode"] == 2).sum(-1).mean(),
    }
    assert set(logged) == set(expected)
    for name, value in expected.items():
        assert logged[name] == pytest.approx(value, rel=1e-5, abs=1e-9), name
    # None of these is equal for want of an event; whole tasks are rare.
    assert 0 < metrics["deadline_infeasible"] < 1
    rare = {"mode_cpu", "mode_qpu", "overruled_share"}
    assert all(value > 0 for name, value in expected.items() if name not in rare)


def test_whole_tasks_and_infeasible_deadlines_are_told_apart(scenario):
    """One slot put together by hand: the shares are of all device-slots."""
    mode = np.array([[0, 1, 1, 2, 2], [0, 1, 1, 2, 2]], np.int8)
    fraction = np.array([[0.0, 1.0, 0.5, 1.0, 0.25]] * 2)
    feasible = np.array([[True] * 5, [True, True, False, False, False]])
    missed = np.array([[False, True, False, False, False], [False, True, True, True, True]])
    ones = np.ones((2, 5))
    outcome = Outcome(mode, fraction, ones, ones, ones, ones, missed, feasible, ~missed, missed)
    env = OffloadingBatchedEnv(scenario.model_copy(update={"num_devices": 5}), 2)
    none = np.zeros(2, bool)
    step = BatchedStep(np.zeros((2, 5), np.float32), np.zeros((2, 5, 4), np.float32), none, none, outcome)
    logged = {}

    class Logger:
        def log_value(self, key, value, **kwargs):
            logged[key[1]] = value

    callback = LyapunovCallback()
    callback.on_environment_created(env=env)
    callback.on_episode_start(env_index=0)
    callback.on_episode_step(episode=step, env_index=0)
    callback.on_sample_end(metrics_logger=Logger())
    expected = {"mode_local": 0.2, "mode_cpu": 0.2, "mode_cpu_partial": 0.1, "mode_qpu": 0.1, "mode_qpu_partial": 0.1}
    assert {name: logged[name] for name in expected} == pytest.approx(expected)
    assert logged["deadline_miss_share"] == logged["overruled_share"] == pytest.approx(2 / 7)
    penalty = scenario.cost.miss_penalty
    np.testing.assert_allclose(step.reward, -scenario.lyapunov.v * (1.0 + penalty * missed), rtol=1e-6)


def test_the_largest_backlog_is_that_of_all_fragments(scenario):
    recorder = Recorder("batched", scenario)
    # The second fragment runs past the end of the episode, where the queues are emptied.
    largest = max(
        float(np.expm1(recorder.sample(slots)["next_observation"][..., BACKLOG_COLUMN]).max()) * scenario.lyapunov.v
        for slots in (HORIZON - 1, 3)
    )
    assert recorder.logged()["backlog_max"] == pytest.approx(largest, rel=1e-4)


def queued():
    """Three devices that fill both queues."""
    pools = ["slot_s=0.1", "resources.server_hz=1e9", "resources.band_hz=4e8"]
    return load_scenario("queued", ["num_devices=3", f"horizon={HORIZON}", *pools])


@pytest.mark.parametrize("kind", KINDS)
def test_waits_are_logged_as_the_wrapper_tells_them(kind):
    scenario = queued()
    recorder = Recorder(kind, scenario)
    data = recorder.sample(HORIZON)
    logged = recorder.logged()
    records = [replay(scenario, seed, data, row) for row, seed in enumerate(recorder.seeds())]
    for row, (expected, _) in enumerate(records):
        for name, values in expected.items():
            np.testing.assert_allclose(data[name][:, row], values, rtol=1e-5, atol=1e-4, err_msg=name)
    waits = {name: np.stack([told[name] for _, told in records]) for name in ("cpu_wait_s", "qpu_wait_s")}
    for name, values in waits.items():
        assert values.max() > 1.0
        assert logged[name] == pytest.approx(values.mean(), rel=1e-5)
    assert logged["wait_max_s"] == pytest.approx(max(values.max() for values in waits.values()), rel=1e-5)


def test_a_runner_goes_on_exactly_in_the_middle_of_a_queue():
    """From the state of another runner, past the end of the episode: observations, rewards and waits."""
    one, other = Recorder("batched", queued()), Recorder("batched", queued())
    one.sample(11)
    assert min(wait.max() for wait in one.runner.env.simulator.waits) > 0.0
    other.runner.set_state(pickle.loads(pickle.dumps(one.runner.get_state())))
    expected, got = one.sample(HORIZON), other.sample(HORIZON)
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    for mine, theirs in zip(one.runner.env.simulator.waits, other.runner.env.simulator.waits, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_every_logged_metric_has_a_tensorboard_tag():
    recorder = Recorder("batched", queued())
    recorder.sample(HORIZON)
    logged = {*recorder.logged(), "devices_present"}  # where devices come and go: tests/rl/test_presence.py
    assert {path[2] for path in SCALARS.values() if path[:2] == ("env_runners", "lyapunov")} == logged


def test_a_reward_is_divided_by_what_the_queue_puts_at_stake_and_older_runs_go_on_as_they_began():
    """By 1 + z / (15 V), at least 1, with z by hand; the state tells whether."""
    scenario = load_scenario("small", ["horizon=30", "lyapunov.v=0.2"])
    rng = np.random.default_rng(5)
    fractions = rng.random((30, scenario.num_devices, 1)).astype(np.float32)
    before = DifferenceCallback()
    before.set_state({name: part for name, part in before.get_state().items() if name != "divided"})
    rewards = []
    for started in (DifferenceCallback(), before):
        env = OffloadingBatchedEnv(scenario)
        started.on_environment_created(env=env)
        env.reset([3])
        started.on_episode_start(env_index=0)
        told = []
        for fraction in fractions:
            step = env.step({"mode": np.ones((1, scenario.num_devices), int), "fraction": fraction[None]})
            started.on_episode_step(episode=step, env=env, env_index=0)
            told.append(step.reward[0].copy())
            backlog = 0.2 * np.expm1(step.next_observation[0, :, BACKLOG_COLUMN].astype(float))
        rewards.append(np.array(told))
    assert backlog.max() > 0.5
    ratio = rewards[1] / rewards[0]
    assert (ratio >= 1.0).all()
    z, expected = np.zeros(scenario.num_devices), []
    simulator = OffloadingSimulator(scenario)
    simulator.reset([3])
    for fraction in fractions:
        expected.append(1.0 + z / (0.2 * 15.0))
        outcome = simulator.step(np.ones((1, scenario.num_devices), int), fraction[None, :, 0])
        z = np.maximum(z + scenario.lyapunov.delta - outcome.fraction[0], 0.0)
    np.testing.assert_allclose(ratio, expected, rtol=1e-4)
    assert before.get_state()["divided"] is False
