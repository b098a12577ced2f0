"""Any environment with one Discrete plus Boxes: what its spaces may be, and what is refused in one sentence."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Sequence, Tuple
from ray.rllib.connectors.env_to_module import FlattenObservations
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.policy.policy import PolicySpec
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.tune.registry import register_env

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.columns import MODE, PARAMETERS
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner
from meqc_marl.dqn_ddpg.errors import ConfigurationError

UNIT = Box(0, 1, (1,), np.float32)
HYBRID = Dict(mode=Discrete(2), share=UNIT)


class Sampled(gym.Env):
    """Observations drawn from their space; refuses an action that does not belong to its. Mode ``paying`` pays."""

    def __init__(self, observation_space=UNIT, action_space=HYBRID, paying=None, spoil=None):
        self.observation_space, self.action_space, self.paying = observation_space, action_space, paying
        self.spoil, self.t, self.seen = spoil, 0, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self._observe(), {}

    def _observe(self):
        self.seen.append(self.observation_space.sample())
        return self.seen[-1]

    def step(self, action):
        assert self.action_space.contains(action), action
        (mode,) = [leaf for leaf in (action.values() if isinstance(action, dict) else action) if np.ndim(leaf) == 0]
        self.t += 1
        observation, reward = self._observe(), float(mode == self.paying)
        if self.spoil and self.t == 5:
            observation, reward = self.spoil(observation, reward)
        return observation, reward, False, self.t % 7 == 0, {}


def runner_of(env, **training) -> BatchedEnvRunner:
    config = DQNDDPGConfig().training(**{"hidden": (8,)} | training).debugging(seed=0)
    config.env_runners(num_envs_per_env_runner=3)
    config.validate()
    return BatchedEnvRunner(config=config, env_creator=lambda context: env(), worker_index=0, num_workers=0)


OBSERVATIONS = {
    "Dict": Dict(a=Box(-1, 1, (2,), np.float32), b=Discrete(3), c=Dict(d=Box(0, 255, (2, 2), np.uint8))),
    "Tuple": Tuple((Box(-1, 1, (2,), np.float32), Discrete(4, start=2))),
    "Discrete": Discrete(5),
    "2-D Box": Box(-1, 1, (3, 2), np.float32),
    "scalar Box": Box(-1, 1, (), np.float32),
    "float64": Box(-1, 1, (3,), np.float64),
    "uint8": Box(0, 255, (4,), np.uint8),
    "unbounded": Box(-np.inf, np.inf, (3,), np.float32),
    "MultiDiscrete": MultiDiscrete([2, 3]),
    "MultiBinary": MultiBinary(4),
}


@pytest.mark.parametrize("name", list(OBSERVATIONS))
def test_observations_of_any_fixed_length_are_flattened(name):
    space, made = OBSERVATIONS[name], []

    def make():
        made.append(Sampled(space))
        return made[-1]

    (fragment,) = runner_of(make).sample(num_timesteps=3 * 12)
    stored = np.stack(fragment.observation)
    assert stored.dtype == np.float32
    for row, env in enumerate(made[-3:]):
        given = [np.asarray(gym.spaces.utils.flatten(space, seen), np.float32) for seen in env.seen]
        # Step 7 ends an episode: what the eighth observation shows begins the next.
        shown = [*given[:7], *given[8:13]]
        np.testing.assert_array_equal(stored[:, row, 0], shown[:12])
        np.testing.assert_array_equal(np.stack(fragment.next_observation)[:, row, 0], [*given[1:8], *given[9:14]])


@pytest.mark.parametrize("space", [Sequence(Discrete(2)), Graph(UNIT, None), Box(0, 1, (0,), np.float32)], ids=str)
def test_observations_without_a_fixed_length_are_refused(space):
    with pytest.raises(ConfigurationError, match=r"^observation space .* is not supported: .*\.$"):
        runner_of(lambda: Sampled(space))


@pytest.mark.parametrize(
    "space",
    [
        Dict(mode=Discrete(200), share=UNIT),
        Dict(mode=Discrete(300), share=UNIT),
        Dict(mode=Discrete(3, start=1), share=UNIT),
        Dict(mode=Discrete(3, start=-7), count=Box(-5, 9, (2,), np.int64)),
        Dict(mode=Discrete(2), x=Box(-0.1, 0.3, (2, 2), np.float64), y=Box(3, 200, (1,), np.uint8)),
        Tuple((Discrete(3, start=1), UNIT)),
        Tuple((UNIT, Discrete(3))),
        Tuple((Discrete(2), Box(0, 1, (0,), np.float32), Box(-3, -1, (2,), np.float32))),
        Tuple((Discrete(2, start=4), Tuple((UNIT, Box(0, 9, (1,), np.int32))))),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", [{"explore": True}, {"explore": False}, {"random_actions": True}])
def test_every_action_belongs_to_the_environment(space, how):
    (fragment,) = runner_of(lambda: Sampled(UNIT, space)).sample(num_timesteps=3 * 20, **how)
    modes = np.stack(fragment.mode)
    count = next(
        part for part in (space.values() if isinstance(space, Dict) else space) if isinstance(part, Discrete)
    ).n
    assert modes.min() >= 0
    assert modes.max() < count
    if "random_actions" in how and count >= 200:
        assert modes.max() > 127


def test_very_many_modes_need_a_critic_that_does_not_take_them_one_by_one():
    space = Dict(mode=Discrete(20_000), share=UNIT)
    with pytest.raises(
        ConfigurationError, match=r"^critic is 'multi-pass'; with 20,000 modes .*: set it to 'joint'\.$"
    ):
        runner_of(lambda: Sampled(UNIT, space))
    (fragment,) = runner_of(lambda: Sampled(UNIT, space), critic="joint").sample(num_timesteps=6, explore=False)
    assert np.stack(fragment.parameters).shape == (2, 3, 1, 20_000)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda observation, reward: (observation * np.nan, reward), "observation"),
        (lambda observation, reward: (observation + np.inf, reward), "observation"),
        (lambda observation, reward: (observation, np.nan), "reward"),
    ],
)
def test_what_is_no_number_is_told_before_it_is_acted_upon(spoil, what):
    runner = runner_of(lambda: Sampled(spoil=spoil))
    with pytest.raises(ValueError, match=f"the {what} of agent 0 in row 0 is not a finite number"):
        runner.sample(num_timesteps=30)


class Reborn(Sampled):
    """What an episode but the first begins with is no number."""

    def reset(self, **kwargs):
        observation, info = super().reset(**kwargs)
        return (observation * np.nan if self.t else observation), info


def test_what_an_episode_begins_with_is_a_number():
    with pytest.raises(ValueError, match="the observation of agent 0 in row 0 is not a finite number"):
        runner_of(Reborn).sample(num_timesteps=30)


@pytest.mark.parametrize(
    ("space", "given"),
    [
        (Box(-1, 1, (3,), np.float32), np.zeros(1, np.float32)),
        (Box(-1, 1, (3,), np.float32), 0.5),
        (Box(-1, 1, (2, 3), np.float32), np.zeros((1, 1), np.float32)),
        (Box(-1, 1, (3,), np.float32), None),
        (Discrete(3), -1),
        (Discrete(3), 3),
        (Discrete(3, start=5), 2),
        (MultiDiscrete([2, 3]), np.array([0, -1])),
        (Dict(a=Discrete(2), b=UNIT), {"a": 1}),
        (Dict(a=Discrete(2), b=UNIT), {"a": 2, "b": np.zeros(1, np.float32)}),
        (Tuple((Discrete(2), UNIT)), (1,)),
        (MultiBinary(4), np.zeros(3, np.int8)),
    ],
    ids=str,
)
def test_an_observation_of_another_space_is_told(space, given):
    runner = runner_of(lambda: Sampled(space, spoil=lambda observation, reward: (given, reward)))
    with pytest.raises(ValueError, match=r"^observation .* does not fit .*: .*\.$"):
        runner.sample(num_timesteps=30)


@pytest.mark.parametrize(("reward", "paid"), [(np.array([2.0]), 2.0), (np.float64(3), 3.0), (torch.tensor(4), 4.0)])
def test_a_reward_may_be_any_single_number(reward, paid):
    (fragment,) = runner_of(lambda: Sampled(spoil=lambda seen, _: (seen, reward))).sample(num_timesteps=15)
    assert np.stack(fragment.reward)[4].tolist() == [[paid]] * 3


def test_a_reward_that_is_none_is_told():
    for reward in (None, np.zeros(2), "much"):
        runner = runner_of(lambda reward=reward: Sampled(spoil=lambda seen, _: (seen, reward)))
        with pytest.raises(ValueError, match=r"^a reward is .*; it must be a number\.$"):
            runner.sample(num_timesteps=15)


@pytest.mark.parametrize("name", ["observation_space", "action_space"])
def test_spaces_that_are_not_the_environments_are_refused(name):
    other = {"observation_space": Box(0, 1, (2,), np.float32), "action_space": Dict(mode=Discrete(9), share=UNIT)}[name]
    for where in ("policy", "environment"):
        config = DQNDDPGConfig().training(hidden=(8,))
        if where == "policy":
            config.multi_agent(policies={"all": PolicySpec(**{name: other})}, policy_mapping_fn=lambda *a: "all")
        else:
            config.environment(**{name: other})
        with pytest.raises(ConfigurationError, match=f"^{name} of .* is .*; its agents have .*: leave it out"):
            BatchedEnvRunner(config=config, env_creator=lambda context: Sampled(), worker_index=0, num_workers=0)


def override_of_a_module(config, **values):
    config.multi_agent(
        policies={"a", "b"},
        policy_mapping_fn=lambda *arguments: "a",
        algorithm_config_overrides_per_module={"b": DQNDDPGConfig.overrides(**values)},
    )


def test_modules_may_differ_in_what_their_loss_reads():
    config = DQNDDPGConfig()
    override_of_a_module(config, huber_delta=0.5, tau=0.1, critic_lr=1e-3, grad_norm=None)
    config.validate()
    assert config.get_config_for_module("b").huber_delta == 0.5
    assert config.get_config_for_module("a").huber_delta == 1.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.env_runners(env_to_module_connector=lambda *a: FlattenObservations()), "^env_to_module_connector"),
        (lambda c: c.env_runners(module_to_env_connector=lambda *a: FlattenObservations()), "^module_to_env_connector"),
        (lambda c: c.learners(learner_connector=lambda *a: FlattenObservations()), "^learner_connector is given"),
        (lambda c: c.environment(normalize_actions=True), "^normalize_actions is True"),
        *(
            (lambda c, name=name, value=value: c.training(**{name: value}), f"^{name} is .*nothing here reads it")
            for name, value in (("lr", 5.0), ("num_epochs", 5), ("minibatch_size", 4), ("train_batch_size", 4096))
        ),
        (lambda c: c.training(model={"fcnet_hiddens": [7]}), "^model is .*: set hidden"),
        (lambda c: c.environment(clip_rewards=True), "^clip_rewards is True"),
        (lambda c: c.env_runners(observation_filter="MeanStdFilter"), "^observation_filter is"),
        (lambda c: c.env_runners(batch_mode="complete_episodes"), "^batch_mode is"),
        (lambda c: c.env_runners(compress_observations=True), "^compress_observations is True"),
        (lambda c: c.env_runners(add_default_connectors_to_env_to_module_pipeline=False), "^add_default_connectors"),
        (lambda c: c.callbacks(on_episode_created=print), "^callbacks_on_episode_created is"),
        (lambda c: c.training(learner_class=dict), "^learner_class is .*; it must be a subclass of DQNDDPGLearner"),
        (lambda c: c.evaluation(evaluation_config={"n_step": 5}), "^n_step is in evaluation_config"),
        (lambda c: c.evaluation(evaluation_config={"hidden": (3,)}), "^hidden is in evaluation_config"),
        (
            lambda c: c.evaluation(evaluation_config={"env_to_module_connector": print}),
            "^env_to_module_connector is in evaluation_config",
        ),
        (lambda c: override_of_a_module(c, lr=5.0), "^lr is overridden for module 'b'; nothing here reads it"),
        (
            lambda c: c.multi_agent(algorithm_config_overrides_per_module={"zz": DQNDDPGConfig.overrides(tau=0.1)}),
            "^algorithm_config_overrides_per_module names 'zz'",
        ),
        (
            lambda c: c.training(whole_slots=True).env_runners(env_runner_cls=SingleAgentEnvRunner),
            "^whole_slots is True",
        ),
        *(
            (lambda c, name=name, value=value: override_of_a_module(c, **{name: value}), f"^{name} is overridden for")
            for name, value in (("n_step", 3), ("gamma", 0.5), ("replay_capacity", 9), ("target_noise", 0.1))
        ),
        (lambda c: override_of_a_module(c, huber_delta=-1.0), "huber_delta"),
        (
            lambda c: c.multi_agent(policies={"a": PolicySpec(config={"n_step": 3})}, policy_mapping_fn=lambda *a: "a"),
            "^policy 'a' has a config of its own",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(change, sentence):
    config = DQNDDPGConfig()
    change(config)
    with pytest.raises(ConfigurationError, match=sentence + r".*\.$"):
        config.validate()


@pytest.mark.parametrize(
    "env", [object, lambda: gym.make_vec("CartPole-v1", num_envs=2)], ids=["object", "vector of environments"]
)
def test_what_is_no_environment_is_refused(env):
    with pytest.raises(ConfigurationError, match=r"^environment .* is not supported: .*\.$"):
        runner_of(env)


def learner_of(**training):
    torch.manual_seed(0)
    config = DQNDDPGConfig().training(hidden=(8,), gamma=0.5, tau=0.1, **training)
    spec = config.get_multi_rl_module_spec(spaces={"default_policy": (Box(-1, 1, (3,), np.float32), HYBRID)})
    learner = config.get_default_learner_class()(config=config, module_spec=spec)
    learner.build()
    return learner


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_whole_slots_train_as_their_rows_do(alpha):
    """The default module decides for every agent by itself, so that B slots of M agents are B times M rows."""
    rng, slots, agents = np.random.default_rng(0), 16, 5
    rows = {
        "obs": rng.standard_normal((slots, agents, 3)).astype(np.float32),
        MODE: rng.integers(0, 2, (slots, agents)).astype(np.int8),
        PARAMETERS: rng.random((slots, agents, 2)).astype(np.float32),
        "rewards": rng.standard_normal((slots, agents)).astype(np.float32),
        "new_obs": rng.standard_normal((slots, agents, 3)).astype(np.float32),
        "discount": np.full((slots, agents), 0.5, np.float32),
    }
    flat = {name: value.reshape(slots * agents, *value.shape[2:]) for name, value in rows.items()}
    if alpha:
        weight = rng.random(slots).astype(np.float32)
        rows |= {"index": np.arange(slots), "weight": weight}
        flat |= {"index": np.arange(slots * agents), "weight": np.repeat(weight, agents)}
    weights = []
    for given, whole in ((rows, True), (flat, False)):
        learner = learner_of(whole_slots=whole, replay_alpha=alpha)
        batch = MultiAgentBatch({"default_policy": SampleBatch(given)}, env_steps=slots)
        learner.update(batch=batch, timesteps={"num_env_steps_sampled_lifetime": 0})
        weights.append(learner.get_state()["rl_module"]["default_policy"])
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][name])


def algorithm_of(name, make, runner=BatchedEnvRunner, **training):
    register_env(name, make)
    config = DQNDDPGConfig().environment(name).training(**{"hidden": (16,), "gamma": 0.0} | training)
    config.env_runners(env_runner_cls=runner, num_envs_per_env_runner=4, rollout_fragment_length=8)
    return config.reporting(min_sample_timesteps_per_iteration=400).debugging(seed=0, log_level="ERROR")


@pytest.mark.timeout(120)
def test_the_only_mode_of_200_that_pays_is_found(ray_session):
    start = -3
    space = Dict(mode=Discrete(200, start=start), share=UNIT)
    config = algorithm_of(
        "many_modes",
        lambda context: Sampled(UNIT, space, paying=150 + start),
        epsilon=1.0,
        critic="joint",
        critic_lr=1e-2,
        updates_per_training_step=20,
    )
    config.env_runners(rollout_fragment_length=100)
    algorithm = config.reporting(min_sample_timesteps_per_iteration=6_000).build_algo()
    algorithm.train()
    observation = torch.rand(50, 1)
    decided = algorithm.get_module().forward_inference({"obs": observation})
    algorithm.stop()
    assert set(decided[MODE].tolist()) == {150}
    assert set(decided["actions"]["mode"].tolist()) == {150 + start}


@pytest.mark.timeout(120)
def test_rllibs_runner_takes_nested_observations_through_its_connector(ray_session):
    space = OBSERVATIONS["Dict"]
    config = algorithm_of("nested", lambda context: Sampled(space), SingleAgentEnvRunner, num_steps_before_learning=100)
    with pytest.raises(ConfigurationError, match="take FlattenObservations as env_to_module_connector"):
        config.copy(copy_frozen=False).build_algo()
    config.env_runners(env_to_module_connector=lambda env, spaces, device: FlattenObservations())
    algorithm = config.build_algo()
    result = algorithm.train()
    columns = algorithm.replay_buffer.get_state()["columns"]
    algorithm.stop()
    assert np.isfinite(result["learners"]["default_policy"]["critic_loss"])
    assert columns["obs"].shape[1] == columns["new_obs"].shape[1] == gym.spaces.utils.flatdim(space)
    # One-hot columns of the Discrete, in every observation of every row, the last of an episode too.
    assert (columns["obs"][:, 2:5].sum(1) == 1).all()
    assert (columns["new_obs"][:, 2:5].sum(1) == 1).all()
