"""The part of a reward that is known: told by columns, added to what the critic learns, never learned."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.bounds import Bounds
from meqc_marl.dqn_ddpg.columns import ACTOR_GRADIENT, MODE, PARAMETERS, Q_TAKEN
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.known_reward import KnownReward
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic, greedy_action
from tests.dqn_ddpg.test_bounds import (
    BOUNDS,
    HIGH_1,
    HIGH_2,
    MASK_0,
    MASK_2,
    MODULE,
    TARGET,
    make_learner,
    observe,
    trained,
)

D, SLOTS = 6, ((0, 0), (0, 2), (2, 3), (1, 3))
#: Of the problem of test_bounds: the price of both parameters is in a column of its own.
PRICE = TARGET
PRICES = ((0, PRICE, 1.0), (1, PRICE, 1.0))


def spec(**options) -> NetworkSpec:
    return NetworkSpec(**{"observation_size": D, "parameter_slots": SLOTS, "hidden": (16, 8)} | options)


@given(st.integers(0, 2**32 - 1))
def test_known_is_the_sum_of_prices_times_parameters_of_each_mode(seed):
    rng = np.random.default_rng(seed)
    told = {i: (int(rng.integers(D)), float(rng.uniform(0.1, 2))) for i in range(3) if rng.random() < 0.7}
    columns = tuple((i, *each) for i, each in told.items())
    layout = spec(price_columns=columns)
    observation, parameters = rng.normal(0.0, 3.0, (9, D)).astype(np.float32), rng.random((9, 3)).astype(np.float32)
    price = np.zeros((9, 3))
    for parameter, (column, scale) in told.items():
        x = observation[:, column].astype(float)
        price[:, parameter] = scale * np.sign(x) * (np.exp(np.abs(x)) - 1.0)
    expected = [(price * parameters)[:, start:stop].sum(-1) for start, stop in SLOTS]
    stakes = [1.0 + np.abs(price)[:, start:stop].sum(-1) for start, stop in SLOTS]
    seen = torch.from_numpy(observation)
    known = KnownReward(layout, seen).value(torch.from_numpy(parameters)).numpy()
    np.testing.assert_allclose(known, np.stack(expected, -1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(KnownReward(layout, seen).at_stake().numpy(), np.stack(stakes, -1), rtol=1e-5)


def test_a_price_beyond_all_numbers_gives_a_number():
    layout = spec(price_columns=((0, 0, 2.0), (1, 0, 2.0)))
    for value in (1e30, -1e30, 0.0):
        observation = torch.full((1, D), value)
        assert KnownReward(layout, observation).value(torch.ones(1, 3)).isfinite().all()
        assert KnownReward(layout, observation).at_stake().isfinite().all()


def test_the_critic_does_not_see_prices_and_the_decision_adds_them_exactly():
    layout = spec(price_columns=((0, 1, 0.5), (1, 1, 0.5), (2, 2, 1.0)))
    torch.manual_seed(1)
    actor, critic = Actor(layout), Critic(layout)
    torch.nn.init.normal_(actor.head.weight)
    here = torch.randn(50, D)
    there = here.clone()
    there[:, [1, 2]] = torch.rand(50, 2) * 8.0
    parameters = torch.rand(50, 3)
    assert torch.equal(critic(here, parameters), critic(there, parameters))
    assert not torch.equal(actor(here), actor(there))
    mode, parameters, q = greedy_action(layout, actor, critic, there)
    learned = critic(there, parameters)
    torch.testing.assert_close(q - learned, KnownReward(layout, there).value(parameters), rtol=1e-4, atol=1e-4)
    assert torch.equal(mode, q.argmax(-1))


def _observe(rng, count, highest):
    """Both parameters reach as far, so that at high prices the rest of the reward decides between modes 1 and 2."""
    observation = observe(rng, count)
    observation[:, HIGH_1] = observation[:, HIGH_2] = observation[:, [HIGH_1, HIGH_2]].max(1)
    observation[:, PRICE] = np.log1p(highest * rng.random(count))
    return observation


def _rest(observation, parameters):
    """What is to be learned of each mode's reward [N, 3]."""
    target = observation[:, MASK_0]
    first, second = np.abs(parameters[:, 0] - target), np.abs(parameters[:, 1] - observation[:, MASK_2])
    return np.stack([np.full(len(target), 0.2), 0.5 - first, 0.5 - second], 1)


def _trained(price_columns):
    """A learner that has met prices of up to 1."""

    def earned(observation, mode, parameters):
        known = np.expm1(observation[:, [PRICE]]) * np.insert(parameters, 0, 0.0, 1)
        return np.take_along_axis(_rest(observation, parameters) + known, mode[:, None], 1)[:, 0]

    learner = make_learner(price_columns=price_columns, mask_columns=())
    return trained(learner, 40, lambda rng, count: _observe(rng, count, highest=1.0), earned)


def _regret(module, price):
    """Mean reward below that of the best mode at the upper end of both parameters, which is best at such a price."""
    observation = _observe(np.random.default_rng(7), 4_000, 1.0)
    observation[:, PRICE] = np.log1p(price)
    out = module.forward_inference({"obs": torch.from_numpy(observation)})
    mode, parameters = out[MODE].numpy(), out[PARAMETERS].numpy()
    ends = observation[:, [HIGH_1, HIGH_2]]
    least = (ends - parameters)[np.arange(4_000), np.maximum(mode, 1) - 1]
    assert np.median(least) == 0.0
    rest = _rest(observation, ends) + price * np.insert(ends, 0, 0.0, 1)
    chosen = np.take_along_axis(rest, mode[:, None], 1)[:, 0] - price * least
    return float((rest.max(1) - chosen).mean())


def test_what_is_decided_at_prices_far_beyond_training_is_right():
    known, learned = _trained(PRICES), _trained(())
    for price in (30.0, 1e3):
        assert _regret(known, price) < 0.02
        assert _regret(learned, price) > 3 * _regret(known, price)


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize("middles", [(), ((0, MASK_0), (1, MASK_2))])
def test_the_actor_follows_learned_and_known_value_over_what_is_at_stake(middles, turns):
    """By finite differences of the sum, in 64 bits, of what each row moves."""
    apart = ((0, 5), *((1, column) for column in (0, 1, 4, 6)), *((2, column) for column in (2, 3, 4)))
    prices = PRICES
    options = {
        "middle_columns": middles,
        "price_columns": prices,
        "mode_columns": apart if turns else (),
        "mask_columns": (),
    }
    module = make_learner(hidden=(16,), **options).module[MODULE].double()
    torch.nn.init.normal_(module.actor.head.weight)
    rng = np.random.default_rng(2)
    observation = torch.from_numpy(_observe(rng, 64, highest=20.0)).double()
    ends = observation[:, [BOUNDS[0][1], BOUNDS[1][1]]], observation[:, [BOUNDS[0][2], BOUNDS[1][2]]]
    observation[:, [MASK_0, MASK_2]] = torch.lerp(*ends, torch.rand(64, 2).double() * 0.8 + 0.1)
    module._observation = lambda batch: observation
    batch = {"obs": observation, MODE: torch.randint(0, 3, (64,)), PARAMETERS: torch.rand(64, 2).double()}
    gradient = module.forward_train(batch)[ACTOR_GRADIENT]
    raw = module.actor(observation).detach()

    def ascended(place):
        parameters = Bounds(module.spec, observation).parameters(place)
        q = module.critic(observation, place if middles else parameters)
        price = torch.expm1(observation[:, [PRICE]])
        worth = (q[:, 1:] + price * parameters) / (1.0 + price)
        return worth.detach()

    compared = 0
    for row in range(64):
        for parameter in (row % 2,) if turns else (0, 1):
            x = float(raw[row, parameter])
            if not 0.01 < x < 0.99 or (middles and abs(x - 0.5) < 0.01):
                continue  # at an end, or at the kink
            step = torch.zeros_like(raw)
            step[row, parameter] = 1e-6
            slope = (ascended(raw.clamp(0, 1) + step) - ascended(raw.clamp(0, 1) - step))[row, parameter] / 2e-6
            assert float(gradient[row, parameter]) == pytest.approx(float(slope), rel=1e-4, abs=1e-6)
            compared += 1
    assert compared > 15


def test_the_value_of_what_was_done_holds_what_is_known():
    module = make_learner(hidden=(16,), price_columns=PRICES).module[MODULE]
    observation = torch.from_numpy(_observe(np.random.default_rng(2), 30, highest=50.0))
    mode, parameters = torch.arange(30) % 3, torch.rand(30, 2)
    taken = module.forward_train({"obs": observation, MODE: mode, PARAMETERS: parameters})[Q_TAKEN][0, :, 0]
    learned = module.critic(observation, parameters).gather(1, mode.unsqueeze(-1))[:, 0]
    share = torch.where(mode == 0, 0.0, parameters.gather(1, (mode - 1).clamp(min=0).unsqueeze(-1))[:, 0])
    known = torch.expm1(observation[:, PRICE]) * share
    torch.testing.assert_close(taken - learned, known, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"price_columns": ((3, 0, 1.0),)},
            "each of the 3 parameters may stand in it once, an observation has 6 columns",
        ),
        ({"price_columns": ((0, D, 1.0),)}, "an observation has 6 columns"),
        ({"price_columns": ((0, 1, 1.0), (0, 2, 1.0))}, "may stand in it once"),
        ({"price_columns": ((0, 1, 0.0),)}, "price_columns"),
        ({"price_columns": ((0, 1),)}, "triples"),
        ({"price_columns": ((0, 1, 1.0),), "critic": "joint"}, "price_columns is .* not joint and none"),
        ({"price_columns": ((0, 1, 1.0),), "context": "mean"}, "price_columns is .* not multi-pass and mean"),
    ],
)
def test_what_prices_may_be(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        NetworkSpec.from_json(spec().to_json() | options)


def test_they_survive_json():
    whole = spec(price_columns=((0, 1, 1 / 15), (2, 3, 1 / 15)))
    assert NetworkSpec.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"gamma": 0.9}, r"price_columns is .* needs gamma = 0, not 0.9"),
        ({"reward_scale": 0.5}, r"reward_scale is 0.5; the last of each triple of price_columns, .*, must be the same"),
    ],
)
def test_a_configuration_refuses_what_does_not_fit_them(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        make_learner(**{"price_columns": PRICES} | options)


def test_weights_and_prices_go_together():
    """Weights from before there were prices act as they did; with another scale of rewards none are taken."""
    before, now = (make_learner(hidden=(16,), price_columns=told) for told in ((), PRICES))
    state, kept = before.get_state(), now.get_state()
    del state["rl_module"][MODULE]["price_columns"]
    now.set_state(state)
    observation = torch.from_numpy(_observe(np.random.default_rng(7), 100, highest=5.0))
    batch = {"obs": observation, MODE: torch.randint(0, 3, (100,)), PARAMETERS: torch.rand(100, 2)}
    for name in (Q_TAKEN, ACTOR_GRADIENT):
        old = before.module[MODULE].forward_train(batch)[name]
        assert torch.equal(now.module[MODULE].forward_train(batch)[name], old)
    now.set_state(kept)
    assert now.module[MODULE].spec.price_columns == PRICES


@pytest.mark.parametrize("way", ["state", "folder"])
@pytest.mark.parametrize("options", [{"reward_scale": 0.5}, {"gamma": 0.5}])
def test_nothing_is_learned_from_a_reward_other_than_the_known_one(way, options, tmp_path):
    """Wherever weights with prices come from."""
    source, other = make_learner(hidden=(16,), price_columns=PRICES), make_learner(hidden=(16,), **options)
    if way == "state":
        other.set_state(source.get_state())
    else:
        source.save_to_path(tmp_path / "learner")
        other.restore_from_path(tmp_path / "learner")
    assert other.module[MODULE].spec.price_columns == PRICES
    rng = np.random.default_rng(0)
    observation, mode = observe(rng, 64), np.zeros(64, np.int64)
    rows = {
        "obs": observation,
        MODE: mode,
        PARAMETERS: rng.random((64, 2)).astype(np.float32),
        "rewards": rng.random(64),
    }
    with pytest.raises(
        ConfigurationError, match=r"knows a part of the reward, for reward_scale 1 and gamma 0 .*; here"
    ):
        other.update(
            batch=MultiAgentBatch({MODULE: SampleBatch(rows)}, env_steps=64),
            minibatch_size=64,
            timesteps={"num_env_steps_sampled_lifetime": 0},
        )


def test_a_configuration_stored_before_there_were_prices_has_none():
    config = DQNDDPGConfig()
    del config.__dict__["price_columns"]
    restored = pickle.loads(pickle.dumps(config))
    assert restored.options == DQNDDPGConfig().options
    assert restored._model_config_auto_includes["price_columns"] == ()
    with pytest.raises(AttributeError, match="no attribute 'prize_columns'"):
        _ = restored.prize_columns
