"""Which columns of the observation a mode depends on: what concerns other modes cannot disturb it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.ascent import inward_gradient
from meqc_marl.dqn_ddpg.bounds import Bounds, allowed_modes
from meqc_marl.dqn_ddpg.columns import ACTOR_GRADIENT, MODE, PARAMETERS, RAW_PARAMETERS
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.network_spec import OF_WEIGHTS, NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic, greedy_action
from tests.dqn_ddpg.test_bounds import ACTION, MASK_0, MODULE, OBSERVATION, TARGET, make_learner, observe

D, SLOTS = 6, ((0, 0), (0, 2), (2, 3), (1, 3))
"""The second parameter belongs to one mode, the third and fourth to two."""
OWN = ((0, 0), (0, 5), (1, 1), (1, 2), (2, 5))
"""Of modes 0 to 2; the last sees all."""


def spec(**options) -> NetworkSpec:
    return NetworkSpec(**{"observation_size": D, "parameter_slots": SLOTS, "hidden": (16, 8)} | options)


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1.0 + np.exp(-x))


def by_hand(part: torch.nn.Module, first: str, seen: np.ndarray, more: np.ndarray) -> np.ndarray:
    """All outputs of a head by numpy, given what its first layer sees."""
    w = {name: value.detach().numpy().astype(float) for name, value in part.state_dict().items()}
    x = seen @ w[f"{first}.weight"].T + w[f"{first}.bias"] + more
    layers = sorted(
        {name.split(".")[1] for name in w if name.startswith("trunk.")} - {first.rpartition(".")[2]}, key=int
    )
    for layer in layers:
        x = silu(x) @ w[f"trunk.{layer}.weight"].T + w[f"trunk.{layer}.bias"]
    return silu(x) @ w["head.weight"].T + w["head.bias"]


@given(st.integers(0, 2**32 - 1))
def test_both_heads_are_passes_over_observations_with_all_other_columns_zero(seed):
    rng = np.random.default_rng(seed)
    told = tuple((k, column) for k in range(4) if rng.random() < 0.7 for column in range(D) if rng.random() < 0.5)
    layout = spec(mode_columns=told)
    torch.manual_seed(seed % 1000)
    actor, critic = Actor(layout), Critic(layout)
    torch.nn.init.normal_(actor.head.weight)
    observation, parameters = rng.normal(size=(9, D)).astype(np.float32), rng.random((9, 3)).astype(np.float32)
    q = critic(torch.from_numpy(observation), torch.from_numpy(parameters)).detach().numpy()
    raw = actor(torch.from_numpy(observation)).detach().numpy()
    weights = critic.parameter_in.weight.detach().numpy().astype(float)
    columns = [{column for k, column in told if k == mode} or set(range(D)) for mode in range(4)]
    for mode, (start, stop) in enumerate(SLOTS):
        shown = np.where([column in columns[mode] for column in range(D)], observation, 0.0)
        own = np.where([start <= i < stop for i in range(3)], parameters, 0.0)
        expected = by_hand(critic, "observation_in", shown, own @ weights.T)[:, mode]
        np.testing.assert_allclose(q[:, mode], expected, atol=1e-5)
    for parameter in range(3):
        owners = [mode for mode, (start, stop) in enumerate(SLOTS) if start <= parameter < stop]
        union = set().union(*(columns[mode] for mode in owners))
        shown = np.where([column in union for column in range(D)], observation, 0.0)
        np.testing.assert_allclose(raw[:, parameter], by_hand(actor, "trunk.0", shown, 0.0)[:, parameter], atol=1e-4)
    chosen = torch.from_numpy(rng.integers(0, 4, 9))
    taken = critic.taken(torch.from_numpy(observation), chosen, torch.from_numpy(parameters)).detach().numpy()
    np.testing.assert_allclose(taken[:, 0], q[np.arange(9), chosen.numpy()], atol=1e-5)


def test_a_place_beyond_all_bounds_changes_nothing_of_the_others():
    layout = spec(mode_columns=OWN, parameter_slots=((0, 0), (0, 1), (1, 2), (2, 3)))
    torch.manual_seed(1)
    actor, critic = Actor(layout), Critic(layout)
    torch.nn.init.normal_(actor.head.weight)
    usual = torch.randn(50, D)
    beyond = usual.clone()
    beyond[:, [3, 4]] = 1e4
    _, x, q = greedy_action(layout, actor, critic, usual)
    _, x_beyond, q_beyond = greedy_action(layout, actor, critic, beyond)
    assert torch.equal(q[:, :3], q_beyond[:, :3])
    assert torch.equal(x[:, 0], x_beyond[:, 0])
    assert not torch.equal(q[:, 3], q_beyond[:, 3])


MODE_COLUMNS = ((0, 5), *((1, column) for column in (0, 1, 4, 6)), *((2, column) for column in (2, 3, 4)))
"""Of the problem of test_bounds: what the reward of each mode depends on."""


def test_a_learner_takes_a_state_from_before_there_were_columns_of_modes_and_acts_as_before():
    before, now = (make_learner(hidden=(16,), mode_columns=told) for told in ((), MODE_COLUMNS))
    kept = now.get_state()
    state = before.get_state()
    for name in OF_WEIGHTS:
        del state["rl_module"][MODULE][name]
    now.set_state(state)
    module = now.module[MODULE]
    assert module.spec == before.module[MODULE].spec
    observation = torch.from_numpy(observe(np.random.default_rng(7), 100))
    batch = {"obs": observation, MODE: torch.randint(0, 3, (100,)), PARAMETERS: torch.rand(100, 2)}
    for name in (MODE, PARAMETERS):
        old = before.module[MODULE].forward_inference({"obs": observation})[name]
        assert torch.equal(module.forward_inference({"obs": observation})[name], old)
    old_gradient = before.module[MODULE].forward_train(batch)[ACTOR_GRADIENT]
    assert torch.equal(module.forward_train(batch)[ACTOR_GRADIENT], old_gradient)
    now.set_state(kept)
    fresh = make_learner(hidden=(16,), mode_columns=MODE_COLUMNS).module[MODULE]
    fresh.set_state(kept["rl_module"][MODULE])
    assert now.module[MODULE].spec == fresh.spec
    heads = [name for name, part in fresh.named_modules() if isinstance(part, Actor | Critic)]
    assert heads == ["actor", "critic", "target_actor", "target_critic"]
    for name in heads:
        assert torch.equal(module.get_submodule(name).seen, fresh.get_submodule(name).seen)
    assert torch.equal(module.forward_train(batch)[ACTOR_GRADIENT], fresh.forward_train(batch)[ACTOR_GRADIENT])


def test_masks_are_made_where_the_weights_are_and_only_when_they_change():
    """As on a graphics processor: weights are elsewhere than where a tensor is made."""
    module = make_learner(hidden=(16,), mode_columns=MODE_COLUMNS).module[MODULE].to("meta")
    before = module.critic.seen
    module.take_options_of_weights({"mode_columns": MODE_COLUMNS})
    assert module.critic.seen is before
    module.take_options_of_weights({"mode_columns": MODE_COLUMNS[1:]})
    for part in (module.actor, module.critic, module.target_actor, module.target_critic):
        assert part.seen.device == part.head.weight.device == torch.device("meta")


@pytest.mark.parametrize("middles", [(), ((0, TARGET), (1, MASK_0))])
@pytest.mark.parametrize("options", [{}, {"bounds": "inverting"}, {"bounds": "sigmoid"}, {"allowed_modes": (0, 2)}])
def test_rows_take_turns_in_moving_parameters_of_allowed_modes(options, middles):
    """Each row's gradient is that of a full pass at the actor's own output, for one parameter in turn."""
    options = options | {"middle_columns": middles}
    module = make_learner(hidden=(16,), mode_columns=MODE_COLUMNS, **options).module[MODULE]
    torch.nn.init.normal_(module.actor.head.weight)
    free = options.get("allowed_modes", (0, 1, 2))
    turns = [(parameter, mode) for parameter, mode in ((0, 1), (1, 2)) if mode in free]
    observation = torch.from_numpy(observe(np.random.default_rng(2), 65))
    batch = {"obs": observation, MODE: torch.randint(0, 3, (65,)), PARAMETERS: torch.rand(65, 2)}
    out = module.forward_train(batch)
    all_raw = module.actor(observation).detach()
    leaf = Bounds(module.spec, observation).shown_to_critic(all_raw.clamp(0, 1)).requires_grad_()
    q = module.critic(observation, leaf).masked_fill(~allowed_modes(module.spec, observation), 0.0)
    (full,) = torch.autograd.grad(q.sum(), leaf)
    low, high = observation[:, [0, 2]], observation[:, [1, 3]]
    full = inward_gradient(module.spec, all_raw, full * (high > low if middles else high - low))
    for row in range(65):
        parameter, _ = turns[row % len(turns)]
        torch.testing.assert_close(out[RAW_PARAMETERS][row, parameter], all_raw[row, parameter])
        torch.testing.assert_close(out[ACTOR_GRADIENT][row, parameter], full[row, parameter], atol=1e-6, rtol=1e-4)
        others = [other for other in range(2) if other != parameter]
        assert not out[ACTOR_GRADIENT][row, others].any()
    assert out[ACTOR_GRADIENT].any()
    # The output is still the actor's: its parameters have a gradient.
    (out[ACTOR_GRADIENT] * out[RAW_PARAMETERS]).sum().backward()
    assert module.actor.head.weight.grad.abs().sum() > 0


def test_in_whole_slots_no_agent_always_has_the_same_turn_and_few_rows_move_all():
    module = make_learner(hidden=(16,), mode_columns=MODE_COLUMNS, whole_slots=True).module[MODULE]
    observation = torch.from_numpy(observe(np.random.default_rng(2), 24)).reshape(6, 4, 7)
    batch = {"obs": observation, MODE: torch.zeros(6, 4, dtype=torch.long), PARAMETERS: torch.rand(6, 4, 2)}
    raw = module.forward_train(batch)[RAW_PARAMETERS].reshape(6, 4, 2)
    moved = (raw != 0).any(0)
    assert moved.all(), moved
    assert ((raw != 0).sum(-1) == 1).all()
    one = {"obs": observation[0, :1], MODE: torch.zeros(1, dtype=torch.long), PARAMETERS: torch.rand(1, 2)}
    assert (module.forward_train(one)[RAW_PARAMETERS] != 0).all()


@pytest.mark.parametrize("slots", [((0, 0), (0, 1), (0, 1)), ((0, 0), (0, 2), (2, 3)), SLOTS])
def test_modes_with_several_parameters_or_common_ones_move_all_at_once(slots):
    assert spec(mode_columns=OWN, parameter_slots=slots).turns == ()
    assert spec(parameter_slots=((0, 0), (0, 1), (1, 2))).turns == ()
    assert spec(mode_columns=OWN[:2], parameter_slots=((0, 0), (0, 1), (1, 2))).turns == ((0, 1), (1, 2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode_columns": ((4, 0),)}, f"the action space has the modes 0 to 3, an observation {D} columns"),
        ({"mode_columns": ((0, D),)}, f"an observation {D} columns"),
        ({"mode_columns": OWN, "critic": "joint"}, "it needs critic = multi-pass and context = none, not joint"),
        ({"mode_columns": OWN, "context": "mean"}, "not multi-pass and mean"),
        ({"mode_columns": ((0, -1),)}, "mode_columns"),
    ],
)
def test_what_columns_of_modes_may_be(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        NetworkSpec.from_json(spec().to_json() | options)


def test_they_survive_json():
    whole = spec(mode_columns=OWN)
    assert NetworkSpec.from_json(whole.to_json()) == whole


def test_a_configuration_with_a_context_refuses_them():
    config = DQNDDPGConfig().environment(observation_space=OBSERVATION, action_space=ACTION)
    with pytest.raises(ConfigurationError, match=r"mode_columns is .* context = none"):
        config.training(gamma=0.0, context="mean", mode_columns=MODE_COLUMNS).validate()
    with pytest.raises(ConfigurationError, match=r"mode_columns is .* needs gamma = 0, not 0.9"):
        config.training(gamma=0.9, context="none").validate()
