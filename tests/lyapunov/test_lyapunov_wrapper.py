"""The PettingZoo wrapper against the queues driven by hand."""

import warnings

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

from meqc_marl import parallel_env
from meqc_marl.config import load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.lyapunov import BACKLOG_COLUMN, VirtualQueues, scaled_backlog
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.nature.trace import generate_trace

OVERRIDES = ("num_devices=4", "horizon=30", "lyapunov.v=0.5")


def test_parallel_api():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(LyapunovParallelEnv(parallel_env("paper", OVERRIDES)), num_cycles=100)


def test_equals_queues_driven_by_hand_on_the_same_trace():
    scenario = load_scenario("paper", OVERRIDES)
    trace = generate_trace(scenario, [11])
    env = LyapunovParallelEnv(parallel_env("paper", OVERRIDES, trace=trace))
    simulator = OffloadingSimulator(scenario, 1, trace)
    queues = VirtualQueues(scenario.lyapunov, scenario.cost.miss_penalty, 1, 4)
    rng = np.random.default_rng(0)
    for _ in range(2):  # the second episode starts with empty queues again
        observations, infos = env.reset(seed=11)
        simulator.reset(11)
        queues.reset()
        assert all(info["backlog"] == 0.0 for info in infos.values())
        done = False
        while not done:
            mode = rng.integers(0, 3, (1, 4))
            fraction = rng.random((1, 4)).astype(np.float32)
            actions = {
                agent: {"mode": mode[0, i], "fraction": fraction[0, i : i + 1]} for i, agent in enumerate(env.agents)
            }
            observations, rewards, _, truncations, infos = env.step(actions)
            outcome = simulator.step(mode, fraction)
            step = queues.advance(outcome.cost, outcome.fraction, outcome.deadline_missed)
            expected = simulator.observation[0].copy()
            expected[:, BACKLOG_COLUMN] = scaled_backlog(scenario.lyapunov, step.backlog)[0]
            np.testing.assert_array_equal(np.stack(list(observations.values())), expected)
            assert list(rewards.values()) == step.reward[0].tolist()
            for name in ("backlog", "drift", "objective"):
                assert [info[name] for info in infos.values()] == getattr(step, name)[0].tolist()
            done = all(truncations.values())
    assert queues.backlog.max() > 0


def test_wrapped_environment_is_reachable():
    env = LyapunovParallelEnv(parallel_env("paper", OVERRIDES))
    assert env.unwrapped is env.env.unwrapped
    assert env.observation_space("mobile_0") == env.env.observation_space("mobile_0")
    with pytest.raises(AttributeError):
        env.no_such_thing  # noqa: B018
