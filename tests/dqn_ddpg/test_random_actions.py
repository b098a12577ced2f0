"""Returns that end before random actions, over every EnvRunner; which actions were random is told by what they are."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.tune.registry import register_env

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.columns import DISCOUNT, IS_RANDOM, MODE, PARAMETERS
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.rl_module import DQNDDPGModule

N_STEP, EPSILON, GAMMA, LENGTH = 4, 0.4, 0.9, 23
SEEN, ACTION = Box(-1, 1e6, (2,), np.float32), Dict(mode=Discrete(3), share=Box(0, 1, (1,), np.float32))


def reward_of(step: float) -> float:
    return float(np.sin(step))


class Counted(gym.Env):
    """The observation tells the step, counted over all episodes of the process, so that no two are alike."""

    observation_space, action_space = SEEN, ACTION
    step_number = 0.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Counted.step_number += 10.0
        self.at, self.t = Counted.step_number, 0
        Counted.step_number += LENGTH
        return np.array([self.at, 0.0], np.float32), {}

    def step(self, action):
        reward = reward_of(self.at)
        self.at, self.t = self.at + 1, self.t + 1
        return np.array([self.at, 0.0], np.float32), reward, False, self.t >= LENGTH, {}


class CountedTwice(MultiAgentEnv):
    """Two agents, each with a :class:`Counted` of its own."""

    def __init__(self):
        super().__init__()
        self.envs = {"a": Counted(), "b": Counted()}
        self.possible_agents = self.agents = list(self.envs)
        self.observation_spaces = dict.fromkeys(self.envs, SEEN)
        self.action_spaces = dict.fromkeys(self.envs, ACTION)

    def reset(self, *, seed=None, options=None):
        return {name: env.reset(seed=seed)[0] for name, env in self.envs.items()}, {}

    def step(self, action_dict):
        steps = {name: env.step(action_dict[name]) for name, env in self.envs.items()}
        seen, rewards, _, over = ({name: step[i] for name, step in steps.items()} for i in range(4))
        return seen, rewards, {"__all__": False}, {"__all__": all(over.values())}, {}


CASES = [
    (BatchedEnvRunner, Counted),
    (SingleAgentEnvRunner, Counted),
    (BatchedEnvRunner, CountedTwice),
    (MultiAgentEnvRunner, CountedTwice),
]


def algorithm_of(runner, env, change=lambda config: config, **training):
    register_env("counted", lambda context: env())
    config = DQNDDPGConfig().environment("counted").debugging(seed=0, log_level="ERROR")
    config.training(hidden=(8,), gamma=GAMMA, n_step=N_STEP, epsilon=EPSILON, exploration_noise=0.0, **training)
    config.env_runners(env_runner_cls=runner, num_envs_per_env_runner=2, rollout_fragment_length=30)
    if env is CountedTwice:
        config.multi_agent(policies={"shared"}, policy_mapping_fn=lambda *a, **k: "shared")
    # No update: the policy is the same in all rows.
    return change(config.training(num_steps_before_learning=10_000)).build_algo()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("until_random", [True, False])
@pytest.mark.parametrize(("runner", "env"), CASES)
def test_returns_hold_what_the_policy_did(ray_session, runner, env, until_random):
    algorithm = algorithm_of(runner, env, n_step_until_random=until_random)
    for _ in range(6):
        algorithm.training_step()
    columns = algorithm.replay_buffer.get_state()["columns"]
    module = algorithm.get_module("shared" if env is CountedTwice else "default_policy")
    greedy = module.forward_inference({"obs": torch.from_numpy(columns["obs"])})
    algorithm.stop()
    mode = columns[MODE].astype(int)
    taken, best = (p[np.arange(len(mode)), mode] for p in (columns[PARAMETERS], greedy[PARAMETERS].numpy()))
    is_random = (mode != greedy[MODE].numpy()) | (np.abs(taken - best) > 1e-6)
    begin, end = columns["obs"][:, 0].astype(int), columns["new_obs"][:, 0].astype(int)
    random_at = dict(zip(begin.tolist(), is_random.tolist(), strict=True))
    for start, stop, reward, discount in zip(begin, end, columns["rewards"], columns[DISCOUNT], strict=True):
        steps = stop - start
        assert reward == pytest.approx(sum(GAMMA**k * reward_of(start + k) for k in range(steps)), abs=1e-5)
        assert discount == pytest.approx(GAMMA**steps)
        inside = [random_at[at] for at in range(start + 1, stop) if at in random_at]
        if until_random:
            assert not any(inside)
            # Shorter than it might be only for a reason: a random action, or the end of the episode or of a chunk.
            assert steps == N_STEP or random_at.get(int(stop), True) or runner is not BatchedEnvRunner
    assert set(end - begin) == {1, 2, 3, 4}
    assert abs(is_random.mean() - EPSILON) < 6 * np.sqrt(EPSILON * (1 - EPSILON) / len(mode))


def test_an_option_without_effect_is_refused():
    with pytest.raises(ConfigurationError, match=r"^n_step_until_random is True; it has no effect with n_step = 1: "):
        DQNDDPGConfig().training(n_step_until_random=True).validate()
    with pytest.raises(ConfigurationError, match=r"it has no effect with gamma = 0"):
        DQNDDPGConfig().training(n_step_until_random=True, n_step=3, gamma=0.0).validate()


def test_what_was_random_is_told_of_whole_rounds(ray_session):
    algorithm = algorithm_of(BatchedEnvRunner, Counted, n_step_until_random=True)
    runner = algorithm.env_runner
    for kwargs, told in (({"random_actions": True}, True), ({"explore": False}, False)):
        (fragment,) = runner.sample(num_timesteps=20, force_reset=True, **kwargs)
        assert (np.stack(fragment.is_random) == told).all()
    algorithm.stop()
    assert IS_RANDOM in fragment.arrays()


class Silent(DQNDDPGModule):
    """Does not say which of its actions were random."""

    def _actions(self, *args):
        return {key: value for key, value in super()._actions(*args).items() if key != IS_RANDOM}


@pytest.mark.parametrize(("runner", "env"), CASES[:2])
def test_a_module_that_does_not_say_what_was_random_is_refused(ray_session, runner, env):
    spec = RLModuleSpec(module_class=Silent)
    algorithm = algorithm_of(runner, env, lambda c: c.rl_module(rl_module_spec=spec), n_step_until_random=True)
    with pytest.raises(ConfigurationError, match=r"^the module gives no 'is_random' beside its actions, "):
        algorithm.training_step()
    algorithm.stop()
