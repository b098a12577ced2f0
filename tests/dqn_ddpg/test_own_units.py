"""Units of a state's own: values in proportion to amounts, whatever their scale."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from meqc_marl.dqn_ddpg.columns import ACTOR_GRADIENT, MODE, PARAMETERS, Q_TAKEN
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.network_spec import OF_WEIGHTS, NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic, greedy_action
from meqc_marl.dqn_ddpg.own_units import LARGEST_SEEN
from tests.dqn_ddpg.test_bounds import HIGH_1, HIGH_2, LOW_1, LOW_2, MODULE, TARGET, make_learner, observe, trained

D, SLOTS = 8, ((0, 0), (0, 1), (1, 3))
PRICES = ((0, 6, 0.5), (2, 6, 2.0))
AMOUNTS = {1: (1, 2), 2: (3, 4)}
"""Columns of which the largest is the unit, by mode; column 6 holds the prices, 0 and 5 are no amounts."""
SLOPE = 7
"""An amount of mode 2 that is not its unit however large."""
UNITS = (*((mode, column, True) for mode, columns in AMOUNTS.items() for column in columns), (2, SLOPE, False))
OWN = ((0, 5), *((1, column) for column in (0, 1, 2, 6)), *((2, column) for column in (3, 4, 6, 7)))

AMOUNT = [1, 2, 3, 4, 6, SLOPE]


def spec(**options) -> NetworkSpec:
    usual = {"observation_size": D, "parameter_slots": SLOTS, "hidden": (16, 8), "price_columns": PRICES}
    return NetworkSpec(**usual | {"unit_columns": UNITS, "mode_columns": OWN} | options)


def heads(layout: NetworkSpec) -> tuple[Actor, Critic]:
    torch.manual_seed(3)
    actor, critic = Actor(layout), Critic(layout)
    torch.nn.init.normal_(actor.head.weight)
    return actor, critic


def signed_log(x):
    return np.copysign(np.log1p(np.abs(x)), x).astype(np.float32)


def states(rng, count, scale=1.0):
    """Observations whose amounts and prices are some numbers times a scale."""
    observation = rng.random((count, D)).astype(np.float32)
    observation[:, AMOUNT] = signed_log(scale * rng.normal(0.0, 4.0, (count, 6)))
    return torch.from_numpy(observation)


@given(st.integers(0, 2**32 - 1), st.floats(-4.0, 6.0))
def test_values_grow_in_proportion_and_decisions_stay(seed, exponent):
    layout, scale = spec(), 10.0**exponent
    actor, critic = (head.double() for head in heads(layout))
    here, there = (states(np.random.default_rng(seed), 20, by).double() for by in (1.0, scale))
    # Amounts that signed logs of 32 bits tell exactly.
    opened = here[:, AMOUNT].sign() * torch.expm1(here[:, AMOUNT].abs())
    there[:, AMOUNT] = opened.sign() * torch.log1p(opened.abs() * scale)
    parameters = torch.rand(20, 3).double()
    torch.testing.assert_close(actor(there), actor(here), rtol=1e-6, atol=1e-6)
    before, after = critic(here, parameters), critic(there, parameters)
    torch.testing.assert_close(after[:, 1:], scale * before[:, 1:], rtol=1e-6, atol=1e-6 * scale)
    assert torch.equal(after[:, 0], before[:, 0])  # of a mode without amounts
    allowed = layout.model_copy(update={"allowed_modes": (1, 2)})
    assert torch.equal(greedy_action(allowed, actor, critic, here)[0], greedy_action(allowed, actor, critic, there)[0])


def test_a_pass_sees_multiples_of_the_largest_amount_and_gives_a_multiple():
    """The same weights without units, on observations worked out by hand."""
    (actor, critic), (plain_actor, plain_critic) = heads(spec()), heads(spec(unit_columns=()))
    rng = np.random.default_rng(0)
    observation, parameters = states(rng, 30, 50.0), torch.rand(30, 3)
    amounts = np.sign(observation.numpy()) * np.expm1(np.abs(observation.numpy().astype(float)))
    values, raw = critic(observation, parameters), actor(observation)
    for mode, columns in AMOUNTS.items():
        unit = np.abs(amounts[:, columns]).max(1) / LARGEST_SEEN
        by_hand = observation.clone()
        for column in (*columns, SLOPE):
            by_hand[:, column] = torch.from_numpy(signed_log(amounts[:, column] / unit))
        expected = torch.from_numpy(unit) * plain_critic(by_hand, parameters)[:, mode]
        torch.testing.assert_close(values[:, mode].double(), expected, rtol=1e-4, atol=1e-4)
        with_price = np.abs(amounts[:, [*columns, 6]]).max(1) / LARGEST_SEEN
        for column in (*columns, SLOPE, 6):
            by_hand[:, column] = torch.from_numpy(signed_log(amounts[:, column] / with_price))
        own = slice(*SLOTS[mode])
        torch.testing.assert_close(raw[:, own], plain_actor(by_hand)[:, own], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(critic.units.of_modes(observation)[:, mode], unit, rtol=1e-5)
    assert torch.equal(values[:, 0], plain_critic(observation, parameters)[:, 0])


@pytest.mark.parametrize("amount", [0.0, 1e-30, 1e-3, 100.0, -100.0, 1e30])
def test_every_number_gives_a_number(amount):
    actor, critic = heads(spec())
    observation = torch.zeros(2, D)
    observation[0, AMOUNT] = observation[1, [1, 6]] = amount
    for numbers in (actor(observation), critic(observation, torch.rand(2, 3)), critic.units.of_modes(observation)):
        assert numbers.isfinite().all()


def test_one_pass_gives_what_all_passes_give():
    actor, critic = heads(spec())
    observation, parameters = states(np.random.default_rng(1), 40, 7.0), torch.rand(40, 3)
    for mode in range(3):
        each = torch.full((40,), mode)
        torch.testing.assert_close(
            critic.taken(observation, each, parameters)[:, 0], critic(observation, parameters)[:, mode]
        )
    torch.testing.assert_close(critic(observation, parameters, slice(1, 3)), critic(observation, parameters)[:, 1:])
    for parameter in range(3):
        one = actor.one(observation, torch.full((40,), parameter))
        torch.testing.assert_close(one, actor(observation)[:, parameter])


#: Of the problem of test_bounds: modes 1 and 2 earn an amount, less where the parameter is off the low end.
_OWN = ((0, TARGET), (1, TARGET), (2, TARGET))
_UNITS = tuple((*each, True) for each in _OWN)


def _problem(rng, count, scale):
    """An amount a; mode 1 is worth a (1 - x), mode 2 half of it, mode 0 nothing."""
    observation = observe(rng, count)
    observation[:, [LOW_1, LOW_2]], observation[:, [HIGH_1, HIGH_2]] = 0.0, 1.0
    observation[:, TARGET] = signed_log(scale * rng.uniform(-1.0, 1.0, count))
    return observation


def _worth(observation, parameters):
    amount = np.sign(observation[:, TARGET]) * np.expm1(np.abs(observation[:, TARGET]))
    one, two = amount * (1.0 - parameters[:, 0]), 0.5 * amount * (1.0 - parameters[:, 1])
    return np.stack([np.zeros(len(amount)), one, two], 1)


def _trained(unit_columns):
    """A learner that has met amounts of up to 1."""

    def earned(observation, mode, parameters):
        return np.take_along_axis(_worth(observation, parameters), mode[:, None], 1)[:, 0]

    learner = make_learner(mode_columns=_OWN, unit_columns=unit_columns, mask_columns=())
    return trained(learner, 40, lambda rng, count: _problem(rng, count, 1.0), earned)


def _regret(module, scale):
    """Mean reward below the best, as a share of the largest amount."""
    observation = _problem(np.random.default_rng(7), 4_000, scale)
    out = module.forward_inference({"obs": torch.from_numpy(observation)})
    worth = _worth(observation, out[PARAMETERS].numpy())
    chosen = np.take_along_axis(worth, out[MODE].numpy()[:, None], 1)[:, 0]
    best = np.maximum(_worth(observation, np.zeros((4_000, 2))).max(1), 0.0)
    return float((best - chosen).mean() / scale)


def test_what_is_learned_at_one_scale_holds_at_others():
    with_units, without = _trained(_UNITS), _trained(())
    assert _regret(with_units, 1.0) < 0.03
    for scale in (1e-3, 1e3):
        assert _regret(with_units, scale) < 0.03
        assert _regret(without, scale) > 3 * _regret(with_units, scale)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unit_columns": ((1, 1),)}, "triples"),
        ({"unit_columns": ((1, 1, 2),)}, "triples"),
        ({"unit_columns": ((1, 5, True),)}, "each must be among mode_columns"),
        ({"parameter_slots": ((0, 0), (0, 2), (1, 3))}, "mode 1 shares parameters with another mode"),
        ({"mode_columns": ()}, "each must be among mode_columns"),
    ],
)
def test_what_units_may_be(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        NetworkSpec.from_json(spec().to_json() | options)


def test_a_configuration_with_a_discount_refuses_them():
    with pytest.raises(ConfigurationError, match=r"mode_columns is .* needs gamma = 0, not 0.9"):
        make_learner(mode_columns=_OWN, unit_columns=_UNITS, gamma=0.9)


def test_they_survive_json():
    assert NetworkSpec.from_json(spec().to_json()) == spec()


def test_weights_from_before_there_were_units_act_as_they_did():
    before, now = (make_learner(hidden=(16,), mode_columns=_OWN, unit_columns=told) for told in ((), _UNITS))
    state, kept = before.get_state(), now.get_state()
    assert "unit_columns" in OF_WEIGHTS
    del state["rl_module"][MODULE]["unit_columns"]
    now.set_state(state)
    observation = torch.from_numpy(_problem(np.random.default_rng(7), 100, 30.0))
    batch = {"obs": observation, MODE: torch.randint(0, 3, (100,)), PARAMETERS: torch.rand(100, 2)}
    for name in (Q_TAKEN, ACTOR_GRADIENT):
        old = before.module[MODULE].forward_train(batch)[name]
        assert torch.equal(now.module[MODULE].forward_train(batch)[name], old)
    now.set_state(kept)
    assert now.module[MODULE].spec.unit_columns == _UNITS
