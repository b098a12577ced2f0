"""How an episode ends, agent by agent: an end in a state of value zero, or one that is only cut."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner
from meqc_marl.dqn_ddpg.multi_agent import ParallelEnvAdapter, episode_rows
from meqc_marl.dqn_ddpg.spaces import parse_action_space

SEEN = Box(-1.0, 1.0, (3,), np.float32)
HYBRID = Dict(mode=Discrete(2), share=Box(0.0, 1.0, (1,), np.float32))
GAMMA, AGENTS, LENGTH = 0.9, ("a", "b"), 3


class Pair(MultiAgentEnv):
    """Two agents for three steps, which end as they are told to."""

    def __init__(self, terminated, truncated):
        super().__init__()
        self.possible_agents = self.agents = list(AGENTS)
        self.observation_spaces = dict.fromkeys(AGENTS, SEEN)
        self.action_spaces = dict.fromkeys(AGENTS, HYBRID)
        self.flags = terminated, truncated

    def _seen(self):
        return {agent: np.full(3, 0.1, np.float32) for agent in AGENTS}

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self._seen(), {}

    def step(self, action):
        self.t += 1
        flags = self.flags if self.t == LENGTH else ({"__all__": False}, {"__all__": False})
        return self._seen(), dict.fromkeys(AGENTS, 1.0), *flags, {}


def runner_of(make):
    config = DQNDDPGConfig().training(hidden=(8,), gamma=GAMMA).debugging(seed=0)
    names = set(getattr(make(), "possible_agents", None) or ["default_policy"])
    if names == set(AGENTS):
        config.multi_agent(policies=names, policy_mapping_fn=lambda agent, episode=None, **kwargs: agent)
    config.env_runners(num_envs_per_env_runner=2)
    config.validate()
    return BatchedEnvRunner(config=config, env_creator=lambda context: make(), worker_index=0, num_workers=0)


def last_factors(make):
    """The last steps' bootstrap factors of each module, of its only agent in the first row."""
    (fragment,) = runner_of(make).sample(num_timesteps=2 * LENGTH)
    found = {
        name: fragment.rows(GAMMA, 1, part)["discount"].reshape(LENGTH, 2) for name, part in fragment.parts.items()
    }
    assert all((factors[:-1] == np.float32(GAMMA)).all() for factors in found.values())
    return {name: float(factors[-1, 0]) for name, factors in found.items()}


ALL = {"a": True, "b": True, "__all__": True}
NONE = {"a": False, "b": False, "__all__": False}
ENDS = {
    "all terminated": (ALL, NONE, {"a": 0.0, "b": 0.0}),
    "all truncated": (NONE, ALL, {"a": GAMMA, "b": GAMMA}),
    "all truncated, only told of all": ({"__all__": False}, {"__all__": True}, {"a": GAMMA, "b": GAMMA}),
    "one each": ({**NONE, "a": True}, {**NONE, "b": True}, {"a": 0.0, "b": GAMMA}),
    "one has terminated where all are truncated": ({**NONE, "a": True}, {"__all__": True}, {"a": 0.0, "b": GAMMA}),
    "the same, all truncated by name": ({**NONE, "a": True}, ALL, {"a": 0.0, "b": GAMMA}),
    "one is truncated where all terminate": ({"__all__": True}, {"a": True}, {"a": GAMMA, "b": 0.0}),
    "both": (ALL, ALL, {"a": 0.0, "b": 0.0}),
    "both, told of all": ({"__all__": True}, {"__all__": True}, {"a": 0.0, "b": 0.0}),
}


@pytest.mark.parametrize(("terminated", "truncated", "expected"), ENDS.values(), ids=ENDS)
def test_every_agent_ends_as_its_own_flags_say(terminated, truncated, expected):
    assert last_factors(lambda: Pair(terminated, truncated)) == pytest.approx(expected)


class Parallel:
    """The same as a PettingZoo environment, which tells of agents only."""

    def __init__(self, terminated, truncated):
        self.pair = Pair(terminated, truncated)
        self.possible_agents, self.agents = list(AGENTS), list(AGENTS)
        self.unwrapped = self

    def observation_space(self, agent):
        return SEEN

    def action_space(self, agent):
        return HYBRID

    def reset(self, seed=None, options=None):
        self.agents = list(AGENTS)
        return self.pair.reset()

    def step(self, action):
        seen, rewards, *flags, infos = self.pair.step(action)
        flags = [{agent: flag.get(agent, False) for agent in AGENTS} for flag in flags]
        if self.pair.t == LENGTH:
            self.agents = []
        return seen, rewards, *flags, infos

    def close(self):
        pass


BY_NAME = {name: ends for name, ends in ENDS.items() if all(set(AGENTS) <= flags.keys() for flags in ends[:2])}


@pytest.mark.parametrize(("terminated", "truncated", "expected"), BY_NAME.values(), ids=BY_NAME)
def test_a_parallel_environment_ends_so_in_rows_and_over_rllibs_episodes(terminated, truncated, expected):
    assert last_factors(lambda: Parallel(terminated, truncated)) == pytest.approx(expected)
    env = ParallelEnvAdapter(Parallel(terminated, truncated))
    episode = MultiAgentEpisode(
        observation_space=dict.fromkeys(AGENTS, SEEN),
        action_space=dict.fromkeys(AGENTS, HYBRID),
        agent_to_module_mapping_fn=lambda agent, episode: agent,
    )
    episode.add_env_reset(observations=env.reset()[0])
    while not episode.is_done:
        actions = {agent: HYBRID.sample() for agent in AGENTS}
        seen, rewards, ends, cuts, _ = env.step(actions)
        episode.add_env_step(seen, actions, rewards, terminateds=ends, truncateds=cuts)
    rows = episode_rows(episode, GAMMA, dict.fromkeys(AGENTS, parse_action_space(HYBRID)))
    assert {agent: float(rows[agent]["discount"][-1]) for agent in AGENTS} == pytest.approx(expected)


class Ends(gym.Env):
    """Ends by itself in the third step."""

    observation_space, action_space = SEEN, HYBRID

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.full(3, 0.5, np.float32), 1.0, self.t == LENGTH, False, {}


@pytest.mark.parametrize(("limit", "expected"), [(LENGTH, 0.0), (LENGTH + 1, 0.0)])
def test_an_end_on_the_limit_of_time_is_an_end(limit, expected):
    """Gymnasium's TimeLimit then sets both flags."""
    env = gym.wrappers.TimeLimit(Ends(), limit)
    assert last_factors(lambda: gym.wrappers.TimeLimit(Ends(), limit)) == {"default_policy": expected}
    episode = SingleAgentEpisode(observation_space=SEEN, action_space=HYBRID)
    episode.add_env_reset(env.reset()[0])
    while not episode.is_done:
        action = HYBRID.sample()
        seen, reward, terminated, truncated, _ = env.step(action)
        episode.add_env_step(seen, action, reward, terminated=terminated, truncated=truncated)
    assert episode.is_truncated == (limit == LENGTH)
    rows = episode_rows(episode, GAMMA, {"default_policy": parse_action_space(HYBRID)})
    assert rows["default_policy"]["discount"].tolist() == pytest.approx([GAMMA, GAMMA, expected])
