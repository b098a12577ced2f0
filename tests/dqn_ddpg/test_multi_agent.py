"""The stock path: the PettingZoo adapter, its episodes as rows, and training over it."""

import gymnasium as gym
import numpy as np
import pytest
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.tune.registry import register_env

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.multi_agent import ParallelEnvAdapter, episode_rows
from meqc_marl.dqn_ddpg.spaces import parse_action_space
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.lyapunov import BACKLOG_COLUMN
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.rl.config import offloading_config

HORIZON, DEVICES = 12, 11
BOX = gym.spaces.Box(0.0, 1.0, (1,), np.float32)


@pytest.fixture
def scenario():
    # Eleven devices: "mobile_10" would come before "mobile_2" if the names were sorted as text.
    return load_scenario("small", [f"horizon={HORIZON}", f"num_devices={DEVICES}"])


def local_actions(agents):
    return {agent: {"mode": 0, "fraction": np.zeros(1, np.float32)} for agent in agents}


def test_adapter_keeps_agents_in_order_and_ends_all_together(scenario):
    env = ParallelEnvAdapter(OffloadingParallelEnv(scenario))
    names = [f"mobile_{m}" for m in range(DEVICES)]
    assert env.agents == env.possible_agents == names
    observations, infos = env.reset(seed=3)
    assert list(observations) == list(infos) == names
    for slot in range(HORIZON):
        observations, rewards, terminated, truncated, infos = env.step(local_actions(names))
        assert list(observations) == list(rewards) == list(infos) == names
        assert all(env.get_observation_space(agent).contains(observations[agent]) for agent in names)
        last = slot == HORIZON - 1
        # The time limit truncates; nothing terminates.
        assert truncated == dict.fromkeys([*names, "__all__"], last)
        assert terminated == dict.fromkeys([*names, "__all__"], False)
    env.reset()
    assert env.agents == names


def test_adapter_passes_the_seed_on_and_continues_without_one(scenario):
    env, direct = ParallelEnvAdapter(OffloadingParallelEnv(scenario)), OffloadingParallelEnv(scenario)
    first = {}
    for seed in (3, None, 3):
        (ours, _), (theirs, _) = env.reset(seed=seed), direct.reset(seed=seed)
        for agent, observation in theirs.items():
            np.testing.assert_array_equal(ours[agent], observation)
        first.setdefault(seed, ours["mobile_0"])
    assert not np.array_equal(first[3], first[None])
    np.testing.assert_array_equal(first[3], ours["mobile_0"])


class OneOfTwoTerminates:
    """The parts of a ParallelEnv that the adapter uses; at the end agent a terminates and b is truncated or not."""

    possible_agents = ("a", "b")

    def __init__(self, second_terminates):
        self.agents, self.second = list(self.possible_agents), second_terminates

    def observation_space(self, agent):
        return BOX

    action_space = observation_space

    def step(self, actions):
        self.agents = []
        some = dict.fromkeys(self.possible_agents, 0.0)
        return some, some, {"a": True, "b": self.second}, {"a": False, "b": not self.second}, some


@pytest.mark.parametrize("second", [True, False])
def test_adapter_ends_the_episode_when_nobody_is_left(second):
    """A mixed end counts as terminated; RLlib's own wrapper leaves both flags False."""
    _, _, terminated, truncated, _ = ParallelEnvAdapter(OneOfTwoTerminates(second)).step({})
    assert (terminated["__all__"], truncated["__all__"]) == (True, False)
    assert (terminated["b"], truncated["b"]) == (second, not second)


LAYOUTS = {
    "shared": gym.spaces.Dict(mode=gym.spaces.Discrete(3), fraction=gym.spaces.Box(-1.0, 3.0, (1,), np.float32)),
    "two shared": gym.spaces.Dict(mode=gym.spaces.Discrete(3), z=gym.spaces.Box(-1.0, 3.0, (2,), np.float32), a=BOX),
    "own": gym.spaces.Tuple((gym.spaces.Discrete(2), BOX, gym.spaces.Box(-2.0, 2.0, (2,), np.float32))),
    "nested": gym.spaces.Tuple(
        (gym.spaces.Discrete(2), gym.spaces.Tuple((BOX, gym.spaces.Box(-2.0, 2.0, (2,), np.float32))))
    ),
}


@pytest.mark.parametrize("to_numpy", [False, True])
@pytest.mark.parametrize("end", ["terminated", "truncated", "mixed", "cut"])
@pytest.mark.parametrize("name", list(LAYOUTS))
def test_episode_rows_equal_transitions_recorded_by_hand(name, end, to_numpy):
    space = LAYOUTS[name]
    layout = parse_action_space(space, parameterless=(0,) if "shared" in name else ())
    rng, agents, steps = np.random.default_rng(0), ["mobile_0", "mobile_1"], 5
    observation_space = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)
    episode = MultiAgentEpisode(
        observation_space=dict.fromkeys(agents, observation_space),
        action_space=dict.fromkeys(agents, space),
    )
    observe = lambda: {agent: rng.uniform(-1, 1, 4).astype(np.float32) for agent in agents}  # noqa: E731
    now = observe()
    episode.add_env_reset(observations=now)
    expected = {agent: [] for agent in agents}
    for step in range(steps):
        actions, rewards, then = {}, {agent: float(rng.normal()) for agent in agents}, observe()
        last = step == steps - 1
        for agent in agents:
            mode = np.int64(rng.integers(layout.num_modes))
            unit = rng.random(layout.num_parameters, np.float32)
            actions[agent] = layout.build(mode, layout.scale(unit))
            # Of shared Boxes only those of the mode taken can be known.
            own = np.isin(np.arange(layout.num_parameters), np.r_[layout.slots[mode]])
            known = unit * own if "shared" in name else unit
            dies = last and (end == "terminated" or (end == "mixed" and agent == "mobile_0"))
            discount = 0.0 if dies else 0.5
            expected[agent].append((now[agent], mode, known, rewards[agent], then[agent], discount))
        names = {"terminated": {*agents, "__all__"}, "mixed": {"mobile_0", "__all__"}}.get(end, set())
        terminated = {name: last and name in names for name in (*agents, "__all__")}
        names = {"truncated": {*agents, "__all__"}, "mixed": {"mobile_1"}}.get(end, set())
        truncated = {name: last and name in names for name in (*agents, "__all__")}
        episode.add_env_step(
            observations=then,
            actions=actions,
            rewards=rewards,
            terminateds=terminated,
            truncateds=truncated,
        )
        now = then
    rest = episode.cut(len_lookback_buffer=1) if end == "cut" else None
    (rows,) = episode_rows(episode.to_numpy() if to_numpy else episode, 0.5, {"default_policy": layout}).values()
    columns = [np.array(column) for column in zip(*(expected["mobile_0"] + expected["mobile_1"]), strict=True)]
    for column, values in zip(("obs", "mode", "parameters", "rewards", "new_obs", "discount"), columns, strict=True):
        np.testing.assert_allclose(rows[column], values, rtol=1e-5, atol=1e-6, err_msg=column)
    assert {column: values.dtype.name for column, values in rows.items()} == {
        "obs": "float32",
        "mode": "int8",
        "parameters": "float32",
        "rewards": "float32",
        "new_obs": "float32",
        "discount": "float32",
    }
    if rest is not None:
        # The next chunk does not repeat what its lookback buffer holds.
        rest.add_env_step(observations=observe(), actions=actions, rewards=rewards)
        np.testing.assert_array_equal(
            episode_rows(rest, 0.5, {"default_policy": layout})["default_policy"]["obs"],
            [now[agent] for agent in agents],
        )


def test_a_nested_tuple_without_a_box_for_each_mode_is_refused():
    with pytest.raises(ValueError, match="a Box for each mode"):
        parse_action_space(gym.spaces.Tuple((gym.spaces.Discrete(3), gym.spaces.Tuple((BOX, BOX)))))


def stock_config(scenario):
    # With a discount the rewards are the shaped ones, as the wrapper's.
    config = offloading_config(scenario, env_runner="stock", env_steps=1000, learner={"gamma": 0.5})
    config.training(hidden=(16,), num_steps_before_learning=20, epsilon=0.5)
    config.env_runners(rollout_fragment_length=10)
    return config.reporting(min_sample_timesteps_per_iteration=30)


@pytest.mark.timeout(240)
def test_trains_over_the_stock_runner_and_stores_the_right_rows(ray_session, scenario):
    algorithm = stock_config(scenario).build_algo()
    try:
        before = algorithm.learner_group.get_weights()["device"]
        results = [algorithm.train() for _ in range(2)]
        after = algorithm.learner_group.get_weights()["device"]
        columns = algorithm.replay_buffer.get_state()["columns"]
        env = algorithm.env_runner.env.unwrapped.envs[0].unwrapped.env
        seed = env.simulator.get_state()["seeds"][0]
    finally:
        algorithm.stop()
    assert [result["env_runners"]["num_env_steps_sampled_lifetime"] for result in results] == [30, 60]
    assert np.isfinite(results[-1]["learners"]["device"]["critic_loss"])
    assert any(not np.array_equal(value, after[name]) for name, value in before.items())
    assert len(columns["rewards"]) == 60 * DEVICES
    check_rows(columns, scenario, seed)


def check_rows(columns, scenario, seed):
    """Replay the stored actions through the wrapper.

    A fragment of ten slots is stored agent by agent, in parts where an episode of twelve ends in it.
    """
    env = LyapunovParallelEnv(OffloadingParallelEnv(scenario))
    start = 0
    for slot in range(60):
        first = max(slot // 10 * 10, slot // HORIZON * HORIZON)
        length = min(first // 10 * 10 + 10, first // HORIZON * HORIZON + HORIZON) - first
        if slot == first:
            start = first * DEVICES
        rows = [start + m * length + slot - first for m in range(DEVICES)]
        if slot % HORIZON == 0:
            observations, _ = env.reset(seed=seed if slot == 0 else None)
        np.testing.assert_allclose(columns["obs"][rows], list(observations.values()), rtol=1e-6, atol=1e-6)
        actions = {}
        for agent, row in zip(env.possible_agents, rows, strict=True):
            mode, parameters = int(columns["mode"][row]), columns["parameters"][row]
            fraction = parameters[mode - 1 : mode] if mode else np.zeros(1, np.float32)
            # The slot of the mode not taken is empty.
            assert parameters.sum() == fraction.sum()
            actions[agent] = {"mode": mode, "fraction": fraction}
        observations, rewards, *_ = env.step(actions)
        np.testing.assert_allclose(columns["rewards"][rows], list(rewards.values()), rtol=1e-5)
        np.testing.assert_allclose(columns["new_obs"][rows], list(observations.values()), rtol=1e-6, atol=1e-6)
    assert columns["obs"][:, BACKLOG_COLUMN].max() > 0
    # Episodes are truncated, never terminated.
    assert (columns["discount"] == 0.5).all()


def test_the_stock_configuration_is_multi_agent(scenario):
    assert offloading_config(scenario, env_runner="stock").is_multi_agent


@pytest.mark.timeout(240)
def test_stock_ppo_trains_on_the_pettingzoo_environment(ray_session, scenario):
    register_env(
        "lyapunov_parallel", lambda context: ParallelEnvAdapter(LyapunovParallelEnv(OffloadingParallelEnv(scenario)))
    )
    config = (
        PPOConfig()
        .environment("lyapunov_parallel")
        .multi_agent(policies={"device"}, policy_mapping_fn=lambda agent, episode: "device")
        .env_runners(num_env_runners=0, rollout_fragment_length=HORIZON)
        .training(train_batch_size_per_learner=2 * HORIZON, minibatch_size=2 * HORIZON, num_epochs=1)
        .debugging(seed=0, log_level="ERROR")
    )
    algorithm = config.build_algo()
    try:
        before = algorithm.learner_group.get_weights()["device"]
        results = [algorithm.train() for _ in range(2)]
        after = algorithm.learner_group.get_weights()["device"]
    finally:
        algorithm.stop()
    assert [result["env_runners"]["num_env_steps_sampled_lifetime"] for result in results] == [2 * HORIZON, 4 * HORIZON]
    assert results[-1]["env_runners"]["episode_len_mean"] == HORIZON
    assert results[-1]["env_runners"]["episode_return_mean"] < 0
    assert np.isfinite(results[-1]["learners"]["device"]["policy_loss"])
    assert any(not np.array_equal(value, after[name]) for name, value in before.items())
