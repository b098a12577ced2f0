"""Several policies: one a device, one a group, one for all; with different spaces; over both kinds of EnvRunner."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.tune.registry import register_env

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.batched_env import BatchedStep
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner
from meqc_marl.dqn_ddpg.errors import ConfigurationError

UNIT = Box(0, 1, (1,), np.float32)
#: Observation length, number of modes and first mode of each agent.
SIZES = {"a": (2, 2, 0), "b": (4, 3, 5), "c": (2, 2, 0)}


class Unlike(MultiAgentEnv):
    """Each agent sees its own number and is paid for the share that it sees, in the mode that it sees."""

    def __init__(self, leaves_early=False):
        super().__init__()
        self.possible_agents = self.agents = list(SIZES)
        self.observation_spaces = {name: Box(-1, 9, (size,), np.float32) for name, (size, _, _) in SIZES.items()}
        self.action_spaces = {
            name: Dict(mode=Discrete(modes, start=start), share=UNIT) for name, (_, modes, start) in SIZES.items()
        }
        self.leaves_early, self.rng, self.t = leaves_early, np.random.default_rng(0), 0

    def _observe(self):
        seen = {}
        for number, (name, (size, _, _)) in enumerate(SIZES.items()):
            seen[name] = np.full(size, number, np.float32)
            seen[name][1] = self.rng.random()
        self.shown = seen
        return dict(seen)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self._observe(), {}

    def step(self, action_dict):
        rewards = {}
        for name, action in action_dict.items():
            assert self.action_spaces[name].contains(action), (name, action)
            rewards[name] = -abs(float(action["share"][0]) - float(self.shown[name][1]))
        self.t += 1
        over, seen = self.t == 6, self._observe()
        ends = {"__all__": over}
        if self.leaves_early and self.t >= 3:
            ends["c"] = True
            if self.t > 3:
                seen.pop("c")
                rewards.pop("c", None)
                ends.pop("c")
        return seen, rewards, ends, {"__all__": False}, {}


class Alike:
    """A BatchedEnv of four agents with the same spaces; agent m sees m and is paid m."""

    num_agents = 4
    observation_space = Box(-1, 9, (2,), np.float32)
    action_space = Dict(mode=Discrete(2), share=UNIT)

    def __init__(self, num_envs):
        self.num_envs = num_envs
        self.rng = np.random.default_rng(0)

    def _observe(self):
        seen = self.rng.random((self.num_envs, 4, 2)).astype(np.float32)
        seen[..., 0] = np.arange(4)
        return seen

    def reset(self, seeds):
        return self._observe()

    def reset_rows(self, rows):
        return self._observe()

    def step(self, action):
        assert action["mode"].shape == (self.num_envs, 4)
        assert action["share"].shape == (self.num_envs, 4, 1)
        self.last = action
        ends = np.zeros(self.num_envs, bool)
        return BatchedStep(np.tile(np.arange(4, dtype=np.float32), (self.num_envs, 1)), self._observe(), ends, ends)

    def get_state(self):
        return {"rng": self.rng.bit_generator.state}

    def set_state(self, state):
        self.rng.bit_generator.state = state["rng"]
        return self._observe()


POLICIES = {
    "one each": (["a", "b", "c"], lambda agent, episode, **kwargs: agent),
    "one a group": (["pair", "b"], lambda agent, episode, **kwargs: "b" if agent == "b" else "pair"),
}


def config_of(env, runner=BatchedEnvRunner, **training):
    register_env("several_agents", env)
    config = DQNDDPGConfig().environment("several_agents")
    config.training(**{"gamma": 0.5, "hidden": (16,), "num_steps_before_learning": 50, "epsilon": 0.5} | training)
    config.env_runners(env_runner_cls=runner, num_envs_per_env_runner=2, rollout_fragment_length=10)
    return config.reporting(min_sample_timesteps_per_iteration=200).debugging(seed=0, log_level="ERROR")


def local(make, policies=None, mapping=None, **training):
    config = config_of(make, **training)
    if policies:
        config.multi_agent(policies=set(policies), policy_mapping_fn=mapping)
    config.validate()
    return BatchedEnvRunner(config=config, env_creator=make, worker_index=0, num_workers=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("runner", [BatchedEnvRunner, MultiAgentEnvRunner])
@pytest.mark.parametrize("name", list(POLICIES))
def test_every_policy_trains_on_the_rows_of_its_own_agents(ray_session, tmp_path, name, runner):
    policies, mapping = POLICIES[name]
    config = config_of(lambda context: Unlike(), runner, twin_critics=True, target_noise=0.1, n_step=2)
    config.multi_agent(policies=set(policies), policy_mapping_fn=mapping)
    algorithm = config.build_algo()
    before = algorithm.learner_group.get_weights()
    result = algorithm.train()
    after = algorithm.learner_group.get_weights()
    runners = algorithm.env_runner.get_state()["rl_module"]
    stored = {policy: buffer.get_state()["columns"] for policy, buffer in algorithm.replay.buffers.items()}
    path = str(tmp_path / "checkpoint")
    algorithm.save_to_path(path)
    states = {policy: buffer.get_state() for policy, buffer in algorithm.replay.buffers.items()}
    algorithm.train()
    algorithm.restore_from_path(path)
    for policy, buffer in algorithm.replay.buffers.items():
        again = buffer.get_state()
        assert again["rng"] == states[policy]["rng"]
        assert again["num_added"] == states[policy]["num_added"]
        assert all(np.array_equal(again["columns"][key], value) for key, value in states[policy]["columns"].items())
    algorithm.stop()
    numbers = {name: number for number, name in enumerate(SIZES)}
    for policy in policies:
        own = [agent for agent in SIZES if mapping(agent, None) == policy]
        columns = stored[policy]
        size, modes, _ = SIZES[own[0]]
        assert columns["obs"].shape[1] == size
        assert set(columns["obs"][:, 0]) == {numbers[agent] for agent in own}
        assert columns["mode"].max() < modes
        assert columns["parameters"].shape[1] == modes
        assert np.isfinite(result["learners"][policy]["critic_loss"])
        for head in ("actor.head.weight", "critic.head.weight"):
            assert not np.array_equal(before[policy][head], after[policy][head])
            np.testing.assert_array_equal(after[policy][head], runners[policy][head])
    # Different generators: two policies do not explore alike.
    if runner is BatchedEnvRunner and name == "one each":
        assert not np.array_equal(stored["a"]["parameters"][:40], stored["c"]["parameters"][:40])


def test_rows_of_alike_agents_go_to_their_own_policies():
    mapping = lambda agent, episode: "even" if int(agent[-1]) % 2 == 0 else "odd"  # noqa: E731
    runner = local(lambda context: Alike(context.num_envs), ("even", "odd"), mapping)
    (fragment,) = runner.sample(num_timesteps=2 * 8)
    for policy, agents in (("even", (0, 2)), ("odd", (1, 3))):
        rows = fragment.rows(0.9, 1, fragment.parts[policy])
        assert set(rows["obs"][:, 0]) == set(rows["rewards"]) == set(agents)
        np.testing.assert_array_equal(rows["obs"][:, 0], rows["rewards"])
        whole = fragment.rows(0.9, 1, fragment.parts[policy], whole_slots=True)
        assert whole["obs"].shape == (16, 2, 2)
        for column, value in rows.items():
            np.testing.assert_array_equal(whole[column].reshape(value.shape), value)
    # What was executed is what is stored, for every agent.
    share = runner.env.last["share"][..., 0]
    mode = fragment.mode[-1]
    taken = np.take_along_axis(fragment.parameters[-1], mode[..., None].astype(int), -1)[..., 0]
    np.testing.assert_array_equal(runner.env.last["mode"], mode)
    np.testing.assert_allclose(share, taken, rtol=1e-6)


def test_a_module_may_look_at_the_others_of_its_slot():
    """Whole slots reach the module as [B, M, D]."""
    runner = local(lambda context: Alike(context.num_envs), whole_slots=True)
    shapes, module = [], runner.module["default_policy"]
    plain = module.forward_exploration
    module.forward_exploration = lambda batch, **kwargs: (shapes.append(batch["obs"].shape), plain(batch, **kwargs))[1]
    runner.sample(num_timesteps=2 * 3)
    assert {tuple(shape) for shape in shapes} == {(2, 4, 2)}


def test_agents_that_come_and_go_are_refused_where_they_cannot_be_served():
    policies, mapping = POLICIES["one each"]
    runner = local(lambda context: Unlike(leaves_early=True), policies, mapping)
    with pytest.raises(
        ValueError, match=r"agent 'c' ended before the others; .* take env_runner_cls=MultiAgentEnvRunner"
    ):
        runner.sample(num_timesteps=40)


@pytest.mark.timeout(120)
def test_agents_that_come_and_go_train_over_rllibs_runner(ray_session):
    policies, mapping = POLICIES["one each"]
    config = config_of(lambda context: Unlike(leaves_early=True), MultiAgentEnvRunner)
    config.multi_agent(policies=set(policies), policy_mapping_fn=mapping, policies_to_train=["a", "c"])
    algorithm = config.build_algo()
    before = algorithm.learner_group.get_weights()
    algorithm.train()
    after = algorithm.learner_group.get_weights()
    buffers = {policy: buffer.get_state()["columns"] for policy, buffer in algorithm.replay.buffers.items()}
    algorithm.stop()
    changed = {
        policy: any(not np.array_equal(value, after[policy][key]) for key, value in before[policy].items())
        for policy in policies
    }
    assert changed == {"a": True, "b": False, "c": True}
    assert set(buffers) == {"a", "c"}
    # Agent c leaves in the third of six steps, in a state of value zero.
    assert abs(len(buffers["c"]["rewards"]) / len(buffers["a"]["rewards"]) - 0.5) < 0.05
    assert abs((buffers["c"]["discount"] == 0).mean() - 1 / 3) < 0.05


@pytest.mark.parametrize(
    ("policies", "mapping", "sentence"),
    [
        (["x", "y"], lambda agent, episode: "x", "policy 'y' has no agent; policy_mapping_fn gives"),
        (["x"], lambda agent, episode: "z", "policy_mapping_fn gives 'z' for agent 'a'; the policies are"),
        (["x"], lambda agent, episode: episode.id_, "policy_mapping_fn fails for agent 'a' without an episode"),
        (["x"], lambda agent, episode: "x", "policy 'x' has agents of different spaces, such as 'b'"),
        (None, None, "policy 'default_policy' has agents of different spaces, such as 'b'"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(policies, mapping, sentence):
    with pytest.raises(ConfigurationError, match=rf"^{sentence}.*\.$"):
        local(lambda context: Unlike(), policies, mapping)


def test_policies_of_which_none_is_trained_are_refused(ray_session):
    policies, mapping = POLICIES["one each"]
    config = config_of(lambda context: Unlike())
    config.multi_agent(policies=set(policies), policy_mapping_fn=mapping, policies_to_train=[])
    with pytest.raises(ConfigurationError, match=r"policies_to_train is \[\]; the policies are"):
        config.build_algo()


class Parallel:
    """The parts of a PettingZoo ParallelEnv that matter here."""

    possible_agents = ("left", "right")

    def __init__(self):
        self.agents = list(self.possible_agents)

    def observation_space(self, agent):
        return Box(0, 1, (1 + (agent == "right"),), np.float32)

    def action_space(self, agent):
        return Dict(mode=Discrete(2), share=UNIT)

    def _observe(self):
        return {agent: self.observation_space(agent).sample() for agent in self.possible_agents}

    def reset(self, seed=None, options=None):
        self.t, self.agents = 0, list(self.possible_agents)
        return self._observe(), {}

    def step(self, actions):
        assert all(self.action_space(agent).contains(action) for agent, action in actions.items())
        self.t += 1
        over = self.t == 5
        self.agents = [] if over else self.agents
        flags = dict.fromkeys(self.possible_agents, over)
        return self._observe(), dict.fromkeys(flags, 1.0), dict.fromkeys(flags, False), flags, {}

    def close(self):
        pass


def test_a_parallel_environment_needs_no_adapter():
    runner = local(lambda context: Parallel(), ("left", "right"), lambda agent, episode: agent)
    (fragment,) = runner.sample(num_timesteps=2 * 10)
    done = np.stack(fragment.done)
    np.testing.assert_array_equal(np.flatnonzero(done[:, 0]), [4, 9])
    assert not np.stack(fragment.terminated).any()
    assert gym.spaces.utils.flatdim(runner.spaces["right"][0]) == 2
