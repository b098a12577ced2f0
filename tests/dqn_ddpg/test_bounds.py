"""Parameters between ends that the observation tells: a problem with a known optimum inside moving bounds."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.bounds import Bounds, allowed_modes
from meqc_marl.dqn_ddpg.columns import ACTOR_GRADIENT, MODE, PARAMETERS, Q_TAKEN, RAW_PARAMETERS
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic, Decision, greedy_action

#: Low and high end of mode 1's parameter, of mode 2's, the target, and the masks of modes 0 and 2.
LOW_1, HIGH_1, LOW_2, HIGH_2, TARGET, MASK_0, MASK_2 = range(7)
OBSERVATION = gym.spaces.Box(0, 1, (7,), np.float32)
ACTION = gym.spaces.Dict(mode=gym.spaces.Discrete(3), share=gym.spaces.Box(0, 1, (1,), np.float32))
BOUNDS = ((0, LOW_1, HIGH_1), (1, LOW_2, HIGH_2))
MODULE = "default_policy"


def spec(**options) -> NetworkSpec:
    given = {"observation_size": 7, "parameter_slots": ((0, 0), (0, 1), (1, 2)), "hidden": (16,)}
    return NetworkSpec(**given | {"bound_columns": BOUNDS} | options)


def observe(rng: np.random.Generator, count: int) -> np.ndarray:
    ends = np.sort(rng.random((count, 2, 2)), -1).reshape(count, 4)
    masks = (rng.random((count, 2)) < 0.7).astype(float)
    return np.concatenate([ends, rng.random((count, 1)), masks], 1).astype(np.float32)


def rewards(observation: np.ndarray, mode: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Mode 1 is best at the target, mode 2 at a quarter of it and worth a little more; mode 0 is worth 0.75."""
    first = 1.0 - np.abs(parameters[:, 0] - observation[:, TARGET])
    second = 1.1 - np.abs(parameters[:, 1] - observation[:, TARGET] / 4)
    return np.choose(mode, [np.full(len(mode), 0.75), first, second]).astype(np.float32)


def best(observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Greatest reward and the parameters that give it: the targets clipped to the bounds, over the allowed modes."""
    x = np.stack(
        [
            np.clip(observation[:, TARGET], observation[:, LOW_1], observation[:, HIGH_1]),
            np.clip(observation[:, TARGET] / 4, observation[:, LOW_2], observation[:, HIGH_2]),
        ],
        1,
    )
    values = np.stack([rewards(observation, np.full(len(x), mode), x) for mode in range(3)], 1)
    values[observation[:, MASK_0] < 0.5, 0] = values[observation[:, MASK_2] < 0.5, 2] = -np.inf
    return values.max(1), x


def make_learner(**training):
    torch.manual_seed(0)
    config = DQNDDPGConfig().training(
        **{
            "gamma": 0.0,
            "hidden": (64, 64),
            "parameterless_modes": (0,),
            "mask_columns": ((0, MASK_0), (2, MASK_2)),
            "bound_columns": BOUNDS,
            "critic_lr": 3e-3,
            "actor_lr": 3e-3,
            "huber_delta": 0.1,
            "epsilon": 0.3,
            "exploration_noise": 0.2,
            **training,
        }
    )
    config.validate()
    module_spec = config.get_multi_rl_module_spec(spaces={MODULE: (OBSERVATION, ACTION)})
    learner = config.get_default_learner_class()(config=config, module_spec=module_spec)
    learner.build()
    return learner


def inside(observation: np.ndarray, parameters: np.ndarray) -> bool:
    low, high = observation[:, [LOW_1, LOW_2]], observation[:, [HIGH_1, HIGH_2]]
    return bool(((parameters >= low) & (parameters <= high)).all())


def trained(learner, rounds, draw, earned):
    """The module after rounds of 1,280 observations that exploration acts upon, learned in minibatches of 64."""
    module, rng = learner.module[MODULE], np.random.default_rng(1)
    for _ in range(rounds):
        observation = draw(rng, 1280)
        out = module.forward_exploration({"obs": torch.from_numpy(observation)}, t=0)
        mode, parameters = out[MODE].numpy(), out[PARAMETERS].numpy()
        reward = earned(observation, mode, parameters).astype(np.float32)
        rows = {"obs": observation, MODE: mode, PARAMETERS: parameters, "rewards": reward}
        learner.update(
            batch=MultiAgentBatch({MODULE: SampleBatch(rows)}, env_steps=1280),
            minibatch_size=64,
            timesteps={"num_env_steps_sampled_lifetime": 0},
        )
    return module


def test_the_optimum_inside_moving_bounds_is_learned():
    def earned(observation, mode, parameters):
        assert inside(observation, parameters)
        return rewards(observation, mode, parameters)

    module, rng = trained(make_learner(), 60, observe, earned), np.random.default_rng(2)
    observation = observe(rng, 4_000)
    out = module.forward_inference({"obs": torch.from_numpy(observation)})
    mode, parameters = out[MODE].numpy(), out[PARAMETERS].numpy()
    assert inside(observation, parameters)
    barred = np.stack([observation[:, MASK_0] < 0.5, np.zeros(4_000, bool), observation[:, MASK_2] < 0.5], 1)
    assert not barred[np.arange(4_000), mode].any()
    greatest, x = best(observation)
    regret = greatest - rewards(observation, mode, parameters)
    assert regret.min() > -1e-6
    # The best mode with shares in the middle of their intervals: a fifth of what it loses needs both heads.
    middle = (observation[:, [LOW_1, LOW_2]] + observation[:, [HIGH_1, HIGH_2]]) / 2
    values = np.stack([rewards(observation, np.full(4_000, k), middle) for k in range(3)], 1)
    assert regret.mean() < (greatest - np.where(barred, -np.inf, values).max(1)).mean() / 5
    # Where the target lies beyond an end, that end is met exactly by most.
    at_end = (x[:, 0] == observation[:, LOW_1]) | (x[:, 0] == observation[:, HIGH_1])
    assert at_end.mean() > 0.3
    assert (parameters[at_end, 0] == x[at_end, 0]).mean() > 0.6


@pytest.mark.parametrize("bounds", ["clamp", "inverting", "sigmoid"])
@pytest.mark.parametrize("critic", ["multi-pass", "joint", "separate"])
def test_the_actor_follows_the_chain_rule_through_the_map(critic, bounds):
    module = make_learner(critic=critic, bounds=bounds, hidden=(16,)).module[MODULE]
    observation = torch.from_numpy(observe(np.random.default_rng(2), 64))
    parameters = torch.rand(64, 2)
    out = module.forward_train({"obs": observation, MODE: torch.zeros(64, dtype=torch.long), PARAMETERS: parameters})
    x = out[RAW_PARAMETERS].detach().clamp(0, 1).requires_grad_()
    low, high = observation[:, [LOW_1, LOW_2]], observation[:, [HIGH_1, HIGH_2]]
    executed = low + x * (high - low)
    if critic == "separate":
        value = module.critic.ddpg_value(observation, executed).sum()
    else:
        q = module.critic(observation, executed)
        value = q[:, 1].sum() + (q[:, 2] * (observation[:, MASK_2] > 0.5)).sum()
    (expected,) = torch.autograd.grad(value, x)
    raw = out[RAW_PARAMETERS].detach()
    if bounds == "inverting":
        expected = expected * torch.where(expected > 0, 1 - raw, raw)
    else:
        expected = torch.where(((raw > 1) & (expected > 0)) | ((raw < 0) & (expected < 0)), 0.0, expected)
    torch.testing.assert_close(out[ACTOR_GRADIENT], expected, atol=1e-6, rtol=1e-4)


MIDDLES = ((0, TARGET), (1, MASK_0))


@given(st.integers(0, 2**32 - 1))
def test_one_half_is_the_middle_and_both_ends_are_met(seed):
    """By interpolation between the three, and back; a middle beyond an end counts as that end."""
    rng = np.random.default_rng(seed)
    observation = torch.from_numpy(observe(rng, 40))
    observation[:4, [HIGH_1, TARGET]] = observation[:4, [LOW_1]]  # an interval that is a point
    observation[4:8, TARGET] = observation[4:8, HIGH_1]  # a middle at an end
    bounds = Bounds(spec(middle_columns=MIDDLES[:1]), observation)
    places = torch.from_numpy(rng.choice([0.0, 0.5, 1.0, 0.25, 0.875], (40, 2)).astype(np.float32))
    parameters = bounds.parameters(places)
    low, high = observation[:, LOW_1].numpy(), observation[:, HIGH_1].numpy()
    knots = np.clip(observation[:, TARGET].numpy(), low, high)
    expected = [np.interp(x, [0.0, 0.5, 1.0], y) for x, *y in zip(places[:, 0].numpy(), low, knots, high, strict=True)]
    np.testing.assert_allclose(parameters[:, 0].numpy(), expected, atol=1e-6)
    for place, exact in ((0.0, low), (0.5, knots), (1.0, high)):
        at = places[:, 0].numpy() == place
        np.testing.assert_array_equal(parameters[:, 0].numpy()[at], exact[at])
    # Without a column the middle is halfway: the map is the line that it was.
    line = Bounds(spec(), observation).parameters(places)
    torch.testing.assert_close(parameters[:, 1], line[:, 1])
    again = bounds.parameters(bounds.places(parameters))
    torch.testing.assert_close(again, parameters, atol=1e-6, rtol=0)
    wide = (knots - low > 0.01) & (high - knots > 0.01)
    torch.testing.assert_close(bounds.places(parameters)[wide, 0], places[wide, 0], atol=1e-4, rtol=0)


def test_with_a_middle_the_critic_is_shown_places_and_the_actor_follows_it_there():
    module = make_learner(hidden=(16,), middle_columns=MIDDLES).module[MODULE]
    observation = torch.from_numpy(observe(np.random.default_rng(2), 64))
    bounds = Bounds(module.spec, observation)
    parameters = bounds.parameters(torch.rand(64, 2))
    mode = torch.randint(0, 3, (64,))
    out = module.forward_train({"obs": observation, MODE: mode, PARAMETERS: parameters})
    raw = out[RAW_PARAMETERS].detach()
    x = bounds.shown_to_critic(raw.clamp(0, 1)).requires_grad_()
    q = module.critic(observation, x)
    value = q[:, 1].sum() + (q[:, 2] * (observation[:, MASK_2] > 0.5)).sum()
    (expected,) = torch.autograd.grad(value, x)
    expected = torch.where(((raw > 1) & (expected > 0)) | ((raw < 0) & (expected < 0)), 0.0, expected)
    torch.testing.assert_close(out[ACTOR_GRADIENT], expected, atol=1e-6, rtol=1e-4)
    places = bounds.places(parameters)
    taken = module.critic(observation, places).gather(1, mode[:, None])
    torch.testing.assert_close(out[Q_TAKEN][0], taken, atol=1e-6, rtol=1e-4)
    decided = module.forward_inference({"obs": observation})
    torch.testing.assert_close(decided[PARAMETERS], bounds.parameters(module.actor(observation).clamp(0, 1)))
    values = module.critic(observation, x.detach())
    values[~allowed_modes(module.spec, observation)] = -torch.inf
    assert torch.equal(decided[MODE], values.argmax(1))


@pytest.mark.parametrize("critic", ["multi-pass", "joint", "separate"])
def test_what_is_shown_when_acting_is_what_was_fitted_and_a_single_parameter_moves_no_actor(critic):
    module = make_learner(critic=critic, hidden=(16,), middle_columns=MIDDLES).module[MODULE]
    rng = np.random.default_rng(3)
    observation = torch.from_numpy(observe(rng, 200))
    observation[:20, HIGH_1] = observation[:20, LOW_1]  # an interval that is a point
    observation[20:60, TARGET] = observation[20:60, LOW_1]  # a middle at either end
    observation[60:90, TARGET] = observation[60:90, HIGH_1]
    bounds = Bounds(module.spec, observation)
    for unit in (torch.rand(200, 2), torch.ones(200, 2), torch.zeros(200, 2)):
        shown = bounds.shown_to_critic(unit)
        fitted = bounds.places(bounds.parameters(unit))
        torch.testing.assert_close(shown, fitted, atol=2e-3, rtol=0)
        again = bounds.parameters(shown)
        torch.testing.assert_close(again, bounds.parameters(unit))
    mode = torch.zeros(200, dtype=torch.long)
    out = module.forward_train({"obs": observation, MODE: mode, PARAMETERS: torch.rand(200, 2)})
    assert not out[ACTOR_GRADIENT][:20, 0].any()
    assert out[ACTOR_GRADIENT][20:, 0].any()


def test_a_learner_takes_a_state_from_before_there_were_middles():
    before, now = (make_learner(hidden=(16,), middle_columns=pairs) for pairs in ((), MIDDLES))
    state = before.get_state()
    del state["rl_module"][MODULE]["middle_columns"]
    now.set_state(state)
    assert now.module[MODULE].spec == before.module[MODULE].spec
    del state["rl_module"][MODULE]["actor.head.weight"]
    with pytest.raises(ValueError, match="does not fit its networks: missing"):
        now.set_state(state)


def test_weights_from_before_there_were_middles_are_used_as_they_were_trained():
    before, now = (make_learner(hidden=(16,), middle_columns=pairs).module[MODULE] for pairs in ((), MIDDLES))
    with_middles = now.get_state()
    now.set_state({name: value for name, value in before.get_state().items() if name != "middle_columns"})
    assert now.spec == before.spec
    observation = {"obs": torch.from_numpy(observe(np.random.default_rng(7), 100))}
    for name in (MODE, PARAMETERS):
        assert torch.equal(now.forward_inference(observation)[name], before.forward_inference(observation)[name])
    now.set_state(with_middles)
    assert now.spec.middle_columns == MIDDLES


def test_what_a_middle_may_be():
    for wrong in (((2, 0),), ((0, 7),), ((0, 1), (0, 2))):
        with pytest.raises(ConfigurationError, match="each of the 2 parameters may stand in it once"):
            NetworkSpec.from_json(spec().to_json() | {"middle_columns": wrong})
    whole = spec(middle_columns=MIDDLES)
    assert NetworkSpec.from_json(whole.to_json()) == whole


unit = st.floats(0, 1, width=32)


@given(st.lists(st.tuples(unit, unit, st.floats(-2, 3, width=32)), min_size=1, max_size=20))
def test_no_share_leaves_its_interval_and_both_ends_are_met(rows):
    low, high, raw = (torch.tensor(column, dtype=torch.float32) for column in zip(*rows, strict=True))
    observation = torch.zeros(len(rows), 7)
    observation[:, LOW_1], observation[:, HIGH_1] = low, high
    only_first = spec(bound_columns=BOUNDS[:1])
    parameters = Bounds(only_first, observation).chosen(torch.stack([raw, raw], 1))
    least, most = torch.minimum(low, high), torch.maximum(low, high)
    assert ((parameters[:, 0] >= least) & (parameters[:, 0] <= most)).all()
    assert (parameters[raw <= 0, 0] == low[raw <= 0]).all()
    assert (parameters[raw >= 1, 0] == high[raw >= 1]).all()
    # A parameter without bounds is what it was.
    assert (parameters[:, 1] == raw.clamp(0, 1)).all()


def test_ends_beyond_the_range_count_as_its_ends():
    observation = torch.zeros(1, 7)
    observation[0, LOW_1], observation[0, HIGH_1] = -3.0, 7.0
    x = torch.tensor([[0.25, 0.5]])
    torch.testing.assert_close(Bounds(spec(bound_columns=BOUNDS[:1]), observation).chosen(x), x)


def test_where_the_masks_bar_every_mode_they_do_not_count():
    masked = spec(mask_columns=((0, MASK_0), (1, TARGET), (2, MASK_2)))
    observation = torch.zeros(2, 7)
    observation[1, MASK_2] = 1.0
    assert allowed_modes(masked, observation).tolist() == [[True, True, True], [False, False, True]]
    some = spec(mask_columns=((0, MASK_0), (1, TARGET)), allowed_modes=(0, 1))
    assert allowed_modes(some, observation).tolist() == [[True, True, False], [True, True, False]]


def test_a_mode_with_two_masks_needs_both():
    both = spec(mask_columns=((2, MASK_0), (2, MASK_2)))
    observation = torch.zeros(3, 7)
    observation[0, MASK_0] = observation[1, MASK_2] = 1.0
    observation[2, [MASK_0, MASK_2]] = 1.0
    assert allowed_modes(both, observation)[:, 2].tolist() == [False, False, True]


def test_the_decision_executes_what_the_critic_was_shown():
    actor, critic = Actor(spec()), Critic(spec())
    observation = torch.from_numpy(observe(np.random.default_rng(3), 200))
    mode, parameters, q = greedy_action(spec(), actor, critic, observation)
    assert inside(observation.numpy(), parameters.detach().numpy())
    torch.testing.assert_close(q, critic(observation, parameters))
    decided, share = Decision(spec(), actor, critic)(observation)
    assert torch.equal(decided, mode)
    expected = torch.where(mode == 0, 0.0, parameters.gather(1, (mode - 1).clamp(min=0)[:, None])[:, 0])
    assert torch.equal(share, expected)


def test_discrete_learning_takes_the_upper_end():
    observation = torch.from_numpy(observe(np.random.default_rng(4), 50))
    parameters = Bounds(spec(discrete=True), observation).chosen(torch.zeros(50, 2))
    assert torch.equal(parameters, observation[:, [HIGH_1, HIGH_2]])


def test_bounds_survive_json_and_bad_ones_are_refused():
    assert NetworkSpec.from_json(spec().to_json()) == spec()
    for wrong in (((2, 0, 1),), ((0, 0, 7),), ((0, 0, 1), (0, 2, 3))):
        with pytest.raises(ConfigurationError, match="each of the 2 parameters may stand in it once"):
            NetworkSpec.from_json(spec().to_json() | {"bound_columns": wrong})


@pytest.mark.parametrize("middles", [(), MIDDLES])
def test_onnx_keeps_the_bounds_and_the_masks(middles):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(5)
    whole = spec(mask_columns=((0, MASK_0), (1, TARGET), (2, MASK_2)), middle_columns=middles)
    decision = Decision(whole, Actor(whole), Critic(whole)).eval()
    program = torch.onnx.export(
        decision,
        (torch.zeros(2, 7),),
        input_names=["observation"],
        output_names=["mode", "share"],
        dynamic_shapes=({0: torch.export.Dim("rows")},),
        verbose=False,
    )
    session = runtime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    observation = observe(np.random.default_rng(6), 500)
    mode, share = session.run(None, {"observation": observation})
    with torch.inference_mode():
        expected_mode, expected_share = decision(torch.from_numpy(observation))
    np.testing.assert_array_equal(mode, expected_mode)
    np.testing.assert_allclose(share, expected_share, atol=1e-6)
