"""PettingZoo's own checks of both kinds of environment."""

import warnings

import numpy as np
import pytest
from pettingzoo.test import api_test, parallel_api_test
from pettingzoo.utils import parallel_to_aec

from meqc_marl.env import offloading_v0
from meqc_marl.env.actions import action_mask
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv

OVERRIDES = ["horizon=20"]
#: Of a Dict the check says so; everything else it says is an error.
DICT = "Action space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete"


@pytest.mark.parametrize("make", [offloading_v0.env, offloading_v0.raw_env])
def test_agents_that_act_in_turn(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", DICT)
        api_test(make("small", OVERRIDES), num_cycles=100)


def test_agents_that_act_at_once():
    parallel_api_test(offloading_v0.parallel_env("small", OVERRIDES), num_cycles=100)


def test_the_lyapunov_wrapper_in_turn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", DICT)
        api_test(parallel_to_aec(LyapunovParallelEnv(offloading_v0.parallel_env("small", OVERRIDES))), num_cycles=100)


def test_in_turn_and_at_once_are_the_same_episode():
    turns, at_once = offloading_v0.env("small", OVERRIDES), offloading_v0.parallel_env("small", OVERRIDES)
    turns.reset(seed=3)
    seen, _ = at_once.reset(seed=3)
    totals = dict.fromkeys(at_once.possible_agents, 0.0)
    in_turn = dict.fromkeys(at_once.possible_agents, 0.0)
    while at_once.agents:
        actions = {}
        for agent in at_once.agents:
            assert turns.agent_selection == agent
            observation, reward, *_, info = turns.last()
            np.testing.assert_array_equal(observation, seen[agent])
            in_turn[agent] += reward
            actions[agent] = turns.action_space(agent).sample(action_mask(info))
            turns.step(actions[agent])
        seen, rewards, *_ = at_once.step(actions)
        for agent, reward in rewards.items():
            totals[agent] += reward
    for agent in at_once.possible_agents:
        in_turn[agent] += turns.last()[1]
        turns.step(None)
    assert in_turn == pytest.approx(totals)
