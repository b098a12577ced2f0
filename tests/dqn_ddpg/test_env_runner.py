"""The batched EnvRunner against the simulator and the queues driven by hand."""

import copy

import numpy as np
import pytest
import torch
from hybrid_envs import HybridIdentity

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.known_reward import KnownReward
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS
from meqc_marl.lyapunov import BACKLOG_COLUMN, VirtualQueues, scaled_backlog
from meqc_marl.physics.cost import Mode
from meqc_marl.rl.callbacks import LyapunovCallback
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.offloading_env import OffloadingBatchedEnv

HORIZON, ROWS, DEVICES = 12, 4, 3
ADMITTED = SUFFICIENT_COLUMNS.index("qpu_allowed")


@pytest.fixture
def scenario():
    return load_scenario("small", [f"horizon={HORIZON}"])


def make_runner(scenario, seed=0, epsilon=0.3, **env_runners) -> BatchedEnvRunner:
    config = offloading_config(scenario, seed=seed).training(epsilon=epsilon, hidden=(16,))
    config.env_runners(num_envs_per_env_runner=ROWS, **env_runners)

    def create(context):
        return OffloadingBatchedEnv(scenario, context.num_envs)

    return BatchedEnvRunner(config=config, env_creator=create, worker_index=0, num_workers=0)


def make_identity_runner(**training) -> BatchedEnvRunner:
    config = DQNDDPGConfig().training(hidden=(16,), **training).debugging(seed=0)
    config.env_runners(num_envs_per_env_runner=ROWS)
    return BatchedEnvRunner(
        config=config, env_creator=lambda context: HybridIdentity(horizon=7), worker_index=0, num_workers=0
    )


def stacked(fragment):
    return {name: np.stack(values) for name, values in vars(fragment).items() if len(values)}


def sampled(runner, slots, **kwargs):
    (fragment,) = runner.sample(num_timesteps=slots * ROWS, **kwargs)
    return stacked(fragment)


def executed_fraction(data):
    """The unit parameters of the mode taken; the slots are those of CPU and QPU."""
    both = data["parameters"]
    return np.where(data["mode"] == Mode.CPU, both[..., 0], both[..., 1])


def known_reward_of(module, data, slot):
    """What a module knows of the reward of the actions of a slot [E, M], in what its critic learns."""
    observation, parameters, mode = (
        torch.from_numpy(data[name][slot]).flatten(0, 1) for name in ("observation", "parameters", "mode")
    )
    known = KnownReward(module.spec, observation).value(parameters).gather(-1, mode.long().unsqueeze(-1))
    return known.reshape(data["mode"][slot].shape).numpy()


def test_next_observation_is_the_observation_of_the_next_slot(scenario):
    data = sampled(make_runner(scenario), 2 * HORIZON)
    same = (data["next_observation"][:-1] == data["observation"][1:]).all((1, 2, 3))
    # Only between the two episodes is there a jump.
    np.testing.assert_array_equal(np.flatnonzero(~same), [HORIZON - 1])
    assert not data["terminated"].any()


def test_gymnasium_rows_end_one_by_one_with_their_true_last_observation():
    runner = make_identity_runner()
    data = sampled(runner, 9)
    same = (data["next_observation"][:-1] == data["observation"][1:]).all((2, 3))
    np.testing.assert_array_equal(np.argwhere(~same), [[6, row] for row in range(ROWS)])


@pytest.mark.parametrize("knows_the_price", [True, False])
def test_rewards_and_backlogs_equal_simulator_and_queues_driven_by_hand(scenario, knows_the_price):
    runner = make_runner(scenario)
    assert runner.module["default_policy"].spec.price_columns
    if not knows_the_price:  # as weights from before there were known prices
        runner.module["default_policy"].take_options_of_weights({})
    data = sampled(runner, 2 * HORIZON)
    fraction = executed_fraction(data)
    simulator = OffloadingSimulator(scenario, ROWS)
    queues = VirtualQueues(scenario.lyapunov, scenario.cost.miss_penalty, ROWS, DEVICES)
    for slot in range(2 * HORIZON):
        if slot % HORIZON == 0:
            simulator.reset(runner.env.get_state()["seeds"] if slot == 0 else None)
            queues.reset()
        shown = simulator.observation.copy()
        shown[..., BACKLOG_COLUMN] = scaled_backlog(scenario.lyapunov, queues.backlog)
        np.testing.assert_array_equal(data["observation"][slot], shown)
        outcome, before = simulator.step(data["mode"][slot], fraction[slot]), queues.backlog
        step = queues.advance(outcome.cost, outcome.fraction, outcome.deadline_missed)
        # What the action brings more than leaving the task on the device, in units of V; where the module has to learn
        # what the queue brings, too, over 1 + z / (V C), C = 15.
        more = outcome.local_cost - outcome.cost + before / scenario.lyapunov.v * outcome.fraction
        if not knows_the_price:
            more /= 1.0 + before / (15.0 * scenario.lyapunov.v)
        np.testing.assert_allclose(data["reward"][slot], more, rtol=1e-5, atol=1e-5)
        # What the module knows of it is all but costs.
        known = known_reward_of(runner.module["default_policy"], data, slot)
        costs = outcome.local_cost - outcome.cost
        if knows_the_price:
            np.testing.assert_allclose(15.0 * known, more - costs, rtol=1e-4, atol=1e-4)
        else:
            assert not known.any()
        after = simulator.observation.copy()
        after[..., BACKLOG_COLUMN] = scaled_backlog(scenario.lyapunov, step.backlog)
        np.testing.assert_array_equal(data["next_observation"][slot], after)
    assert step.backlog.any()


def test_a_callback_that_pays_another_reward_than_the_module_knows_is_refused(scenario):
    config = offloading_config(scenario).training(hidden=(16,)).callbacks(LyapunovCallback)
    env = lambda context: OffloadingBatchedEnv(scenario, context.num_envs)  # noqa: E731
    runner = BatchedEnvRunner(config=config, env_creator=env, worker_index=0, num_workers=0)
    with pytest.raises(ConfigurationError, match="callbacks are LyapunovCallback, and the module knows"):
        sampled(runner, 1)


@pytest.mark.parametrize("kwargs", [{"num_episodes": 3}, {"num_timesteps": ROWS * HORIZON, "force_reset": True}])
def test_a_fresh_start_in_mid_episode_is_complete_and_empties_the_queues(scenario, kwargs):
    runner = make_runner(scenario)
    assert sampled(runner, 5)["next_observation"][..., BACKLOG_COLUMN].any()
    (fragment,) = runner.sample(explore=False, **kwargs)
    data = stacked(fragment)
    assert data["reward"].shape == (HORIZON, ROWS, DEVICES)
    assert not data["observation"][0, ..., BACKLOG_COLUMN].any()
    fraction = executed_fraction(data) * (data["mode"] > 0)
    fraction = np.where(data["mode"] > 0, np.maximum(fraction, scenario.cost.min_fraction), 0.0)
    backlog = np.zeros((ROWS, DEVICES))
    for slot in range(HORIZON):
        backlog = np.maximum(0.0, backlog + scenario.lyapunov.delta - fraction[slot])
        expected = np.log1p(backlog / scenario.lyapunov.v)
        np.testing.assert_allclose(data["next_observation"][slot, ..., BACKLOG_COLUMN], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("in_evaluation", [False, True])
def test_a_later_start_shows_other_nature_except_in_evaluation(scenario, in_evaluation):
    """A restarted worker learns how far training has come, and must not see the first episodes again."""

    def first_seeds(lifetime):
        runner = make_runner(scenario)
        runner.config.in_evaluation = in_evaluation
        runner.set_state({"num_env_steps_sampled_lifetime": lifetime})
        sampled(runner, 1)
        return runner.env.get_state()["seeds"]

    assert first_seeds(0) == first_seeds(0)
    assert (set(first_seeds(0)) & set(first_seeds(800)) != set()) == in_evaluation
    runner = make_runner(scenario)
    runner.config.in_evaluation = in_evaluation
    both = [sampled(runner, 3, force_reset=True)["observation"][0] for _ in range(2)]
    assert np.array_equal(*both) == in_evaluation


def test_without_exploration_actions_are_those_of_the_networks(scenario):
    runner = make_runner(scenario, epsilon=1.0)
    (fragment,) = runner.sample(num_episodes=ROWS, explore=False)
    data = stacked(fragment)
    observation = torch.from_numpy(data["observation"].reshape(-1, data["observation"].shape[-1]))
    greedy = runner.module["default_policy"].forward_inference({"obs": observation})
    np.testing.assert_array_equal(data["mode"].reshape(-1), greedy["mode"])
    assert (sampled(runner, HORIZON)["mode"].reshape(-1) != greedy["mode"].numpy()).any()


@pytest.mark.parametrize("kwargs", [{"explore": True}, {"explore": False}, {"random_actions": True}])
def test_a_qpu_that_does_not_admit_is_never_chosen(scenario, kwargs):
    runner = make_runner(scenario)
    # Nothing but the mask may keep the policy from the QPU.
    with torch.no_grad():
        runner.module["default_policy"].critic.head.bias[int(Mode.QPU)] += 100.0
    data = sampled(runner, 10 * HORIZON, **kwargs)
    on_qpu, admitted = data["mode"] == Mode.QPU, data["observation"][..., ADMITTED] > 0.5
    assert not (on_qpu & ~admitted).any()
    assert (~admitted).sum() > 100
    assert on_qpu.sum() > 100


def test_random_actions_are_random_whatever_epsilon():
    data = sampled(make_identity_runner(epsilon=0.0, exploration_noise=0.0), 200, random_actions=True)
    assert abs(data["mode"].mean() - 0.5) < 6 * 0.5 / np.sqrt(200 * ROWS)
    np.testing.assert_allclose(np.quantile(data["parameters"], [0.25, 0.75]), [0.25, 0.75], atol=0.1)


def test_returns_of_several_steps_span_fragments_and_lose_nothing(scenario):
    """Fragments of two slots give the rows that one long fragment gives."""
    long, short = make_runner(scenario), make_runner(scenario)
    for runner in (long, short):
        runner.config.n_step = 3
    (fragment,) = long.sample(num_timesteps=24 * ROWS)
    expected = fragment.rows(0.9, 3)
    parts = []
    for _ in range(12):
        (fragment,) = short.sample(num_timesteps=2 * ROWS)
        parts.append(fragment.rows(0.9, 3))
    assert parts[0] == {}
    for name, values in expected.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts if part]), values, err_msg=name)
    assert len(expected["rewards"]) == 22 * ROWS * DEVICES


def test_pending_steps_survive_a_restore_but_not_a_fresh_start(scenario):
    first, other = make_runner(scenario), make_runner(scenario, seed=7)
    for runner in (first, other):
        runner.config.n_step = 3
    sampled(first, 5)
    other.set_state(copy.deepcopy(first.get_state()))
    assert len(sampled(other, 2)["reward"]) == 4
    assert len(sampled(other, 2, force_reset=True)["reward"]) == 2


def returns(runner):
    metrics = runner.get_metrics()
    return [float(np.mean(metrics[name].peek())) for name in ("episode_return_mean", "episode_len_mean")]


def test_a_state_of_mid_episode_goes_on_bit_identically(scenario):
    first = make_runner(scenario)
    sampled(first, HORIZON + 5)
    state = first.get_state()
    kept = copy.deepcopy(state)
    expected = sampled(first, 2 * HORIZON)
    other = make_runner(scenario, seed=7)
    sampled(other, 3)
    for restored in (other, first):
        restored.get_metrics()
        restored.set_state(state)
        actual = sampled(restored, 2 * HORIZON)
        for name, values in expected.items():
            np.testing.assert_array_equal(actual[name], values, err_msg=name)
    # Sampling on did not change the state that was handed out.
    for name in ("observation", "episode_return", "episode_length"):
        np.testing.assert_array_equal(state["sampling"][name], kept["sampling"][name])


def test_returns_after_a_restore_are_those_of_whole_episodes(scenario):
    runner = make_runner(scenario)
    before = sampled(runner, 5)["reward"].sum()
    other = make_runner(scenario, seed=7)
    other.set_state(runner.get_state())
    after = sampled(other, HORIZON - 5)["reward"].sum()
    np.testing.assert_allclose(returns(other), [(before + after) / ROWS, HORIZON], rtol=1e-6)


def test_a_restored_gymnasium_environment_begins_a_new_episode():
    runner, other = make_identity_runner(), make_identity_runner()
    sampled(runner, 5)
    other.set_state(runner.get_state())
    reward = sampled(other, 7)["reward"]
    np.testing.assert_allclose(returns(other), [reward.sum() / ROWS, 7], rtol=1e-5)


@pytest.mark.parametrize("seq_no", [0, 2, 5, 6])
def test_weights_are_loaded_whatever_their_number(scenario, seq_no):
    runner, other = make_runner(scenario), make_runner(scenario, seed=1)
    runner.set_state(runner.get_state() | {"weights_seq_no": 5})
    state = other.get_state() | {"weights_seq_no": seq_no}
    weights = state["rl_module"]["default_policy"]
    assert not np.array_equal(
        runner.get_state()["rl_module"]["default_policy"]["actor.head.weight"], weights["actor.head.weight"]
    )
    runner.set_state(state)
    loaded = runner.get_state()
    assert loaded["weights_seq_no"] == seq_no
    for name, value in weights.items():
        np.testing.assert_array_equal(loaded["rl_module"]["default_policy"][name], value)


def test_metrics_count_steps_and_episodes(scenario):
    runner = make_runner(scenario, epsilon=[[0, 1.0], [100, 0.0]])
    data = sampled(runner, HORIZON)
    assert runner.num_env_steps_sampled_lifetime == HORIZON * ROWS
    sampled(runner, 3)
    metrics = {name: value.peek() if hasattr(value, "peek") else value for name, value in runner.get_metrics().items()}
    steps = (HORIZON + 3) * ROWS
    for name, value in {
        "num_env_steps_sampled": steps,
        "num_env_steps_sampled_lifetime": steps,
        "num_episodes": ROWS,
        "num_episodes_lifetime": ROWS,
        "episode_len_mean": HORIZON,
        "episode_return_mean": data["reward"].sum((0, 2)).mean(),
        # The last slot acts on the steps sampled before it.
        "epsilon": 1.0 - (steps - ROWS) / 100,
    }.items():
        assert np.mean(metrics[name]) == pytest.approx(value, rel=1e-5), name
    assert metrics["num_agent_steps_sampled"]["all"].peek() == steps * DEVICES


@pytest.mark.timeout(240)  # Ray starts two processes, which a busy machine takes a minute for
def test_two_remote_runners_count_together_and_differ(ray_session, scenario):
    config = offloading_config(scenario, num_env_runners=2).training(hidden=(16,), num_steps_before_learning=10**6)
    config.env_runners(num_envs_per_env_runner=ROWS, num_cpus_per_env_runner=0.5, rollout_fragment_length=4)
    config.reporting(min_sample_timesteps_per_iteration=HORIZON * ROWS * 2)
    algorithm = config.build_algo()
    try:
        total = 0
        for _ in range(2):
            result = algorithm.train()["env_runners"]
            total += int(result["num_env_steps_sampled"])
            assert result["num_env_steps_sampled_lifetime"] == total
        assert total == 2 * HORIZON * ROWS * 2
        assert result["num_episodes_lifetime"] == 2 * ROWS * 2
        assert result["episode_len_mean"] == HORIZON
        assert result["lyapunov"]["cost"] > 0
        group = algorithm.env_runner_group
        counters = group.foreach_env_runner(lambda r: r.num_env_steps_sampled_lifetime, local_env_runner=False)
        seeds = group.foreach_env_runner(lambda r: r.env.get_state()["seeds"], local_env_runner=False)
        assert counters == [total, total]
        assert len({seed for row in seeds for seed in row}) == 2 * ROWS
        rows = algorithm.replay_buffer.get_state()["columns"]
        assert len(rows["rewards"]) == total * DEVICES
    finally:
        algorithm.stop()
