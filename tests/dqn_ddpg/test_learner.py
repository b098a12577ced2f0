"""The Learner against a second implementation in plain PyTorch."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from scipy import stats

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.columns import ACTION_BOUNDS, MODE, PARAMETERS
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.learner import DQNDDPGLearner, pop_row_errors
from meqc_marl.dqn_ddpg.rl_module import DQNDDPGModule

MODULE = "default_policy"
OBSERVATION = gym.spaces.Box(-1, 1, (4,), np.float32)
ACTION = gym.spaces.Dict(mode=gym.spaces.Discrete(3), fraction=gym.spaces.Box(0, 1, (1,), np.float32))


def make_learner(gamma: float, **training):
    torch.manual_seed(0)
    config = DQNDDPGConfig().training(
        gamma=gamma,
        hidden=(16, 16),
        parameterless_modes=(0,),
        mask_columns=((2, 3),),
        tau=0.1,
        grad_norm=None,
        **training,
    )
    spec = config.get_multi_rl_module_spec(spaces={MODULE: (OBSERVATION, ACTION)})
    learner = config.learner_class(config=config, module_spec=spec)
    learner.build()
    return learner


def make_batch(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "obs": rng.standard_normal((count, 4)).astype(np.float32),
        "mode": rng.integers(0, 3, count).astype(np.int8),
        "parameters": rng.random((count, 2)).astype(np.float32),
        "rewards": rng.standard_normal(count).astype(np.float32),
        "new_obs": rng.standard_normal((count, 4)).astype(np.float32),
        "discount": np.where(rng.random(count) < 0.2, 0.0, 0.9).astype(np.float32),
    }


def update(learner, rows, minibatch=None):
    batch = MultiAgentBatch({MODULE: SampleBatch(rows)}, env_steps=len(rows["obs"]))
    learner.update(batch=batch, minibatch_size=minibatch, timesteps={"num_env_steps_sampled_lifetime": 0})


def reference_update(module, optimizers, rows, gamma, tau, scale, bounds="clamp", double_q=False, twin=False):
    """P-DQN, written out: a pass for each mode, autograd through a frozen copy, every option in its own words."""
    rows = {k: torch.as_tensor(v) for k, v in rows.items()}

    def q_of(critic, observation, parameters):
        columns = []
        for mode, keep in enumerate(([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])):
            hidden = critic.observation_in(observation) + critic.parameter_in(parameters * torch.tensor(keep))
            columns.append(critic.head(critic.trunk(critic.activation(hidden)))[:, mode])
        return torch.stack(columns, 1)

    def barred(q, observation):
        return torch.stack([q[:, 0], q[:, 1], torch.where(observation[:, 3] > 0.5, q[:, 2], -torch.inf)], 1)

    target = rows["rewards"] * scale
    if gamma:
        with torch.no_grad():
            following = rows["new_obs"]
            x = module.target_actor(following).clamp(0, 1)
            if "target_noise" in rows:
                x = (x + rows["target_noise"]).clamp(0, 1)
            q = q_of(module.target_critic, following, x)
            if twin:
                q = torch.minimum(q, q_of(module.target_twin_critic, following, x))
            chosen = barred(q_of(module.critic, following, x) if double_q else q, following).argmax(1)
            target = target + rows["discount"] * q[torch.arange(len(q)), chosen]
    frozen = copy.deepcopy(module.critic).requires_grad_(False)
    raw = module.actor(rows["obs"])
    if bounds == "sigmoid":
        with torch.no_grad():
            logit = module.actor.head(module.actor.trunk(rows["obs"]))
            torch.testing.assert_close(raw, 1.2 / (1 + torch.exp(-logit)) - 0.1)
    x = raw.detach().clamp(0, 1).requires_grad_()
    q = q_of(frozen, rows["obs"], x)
    gradient = torch.autograd.grad(q[:, 1].sum() + (q[:, 2] * (rows["obs"][:, 3] > 0.5)).sum(), x)[0]
    if bounds == "inverting":
        gradient = torch.where(gradient > 0, gradient * (1 - raw.detach()), gradient * raw.detach())
    else:
        gradient = torch.where((raw.detach() > 1) & (gradient > 0), 0.0, gradient)
        gradient = torch.where((raw.detach() < 0) & (gradient < 0), 0.0, gradient)
    loss = -(gradient * raw).sum(1).mean()
    for critic in (module.critic, module.twin_critic) if twin else (module.critic,):
        taken = q_of(critic, rows["obs"], rows["parameters"]).gather(1, rows["mode"].long()[:, None])[:, 0]
        losses = torch.nn.functional.huber_loss(taken, target, reduction="none")
        loss = loss + (losses * rows.get("weight", 1.0)).mean()
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    if gamma:
        with torch.no_grad():
            for name in ("actor", "critic", "twin_critic")[: 3 if twin else 2]:
                main, slow = getattr(module, name), getattr(module, f"target_{name}")
                for p, q_slow in zip(main.parameters(), slow.parameters(), strict=True):
                    q_slow.mul_(1 - tau).add_(tau * p)


@pytest.mark.parametrize(
    ("gamma", "options"),
    [
        (0.0, {}),
        (0.9, {}),
        (0.0, {"bounds": "inverting"}),
        (0.0, {"bounds": "sigmoid"}),
        (0.9, {"double_q": True}),
        (0.9, {"twin_critics": True, "target_noise": 0.1}),
        (0.9, {"twin_critics": True, "double_q": True, "replay_alpha": 0.6}),
    ],
)
def test_updates_equal_a_plain_pytorch_loop(gamma, options):
    learner = make_learner(gamma, reward_scale=0.5, critic_lr=1e-2, actor_lr=1e-2, **options)
    module = learner.module[MODULE]
    other = copy.deepcopy(module)
    rows = make_batch(96)
    if "target_noise" in options:
        rows["target_noise"] = np.random.default_rng(1).standard_normal((96, 2)).astype(np.float32)
    if "replay_alpha" in options:
        rows |= {"index": np.arange(96), "weight": np.random.default_rng(2).random(96).astype(np.float32)}
    twin = options.get("twin_critics", False)
    critics = [*other.critic.parameters(), *(other.twin_critic.parameters() if twin else ())]
    optimizers = [torch.optim.Adam(part, lr=1e-2) for part in (critics, other.actor.parameters())]
    update(learner, rows, minibatch=32)
    for start in range(0, 96, 32):
        part = {k: v[start : start + 32] for k, v in rows.items()}
        switches = {"bounds": options.get("bounds", "clamp"), "double_q": options.get("double_q", False), "twin": twin}
        reference_update(other, optimizers, part, gamma, 0.1, 0.5, **switches)
    for (name, ours), theirs in zip(module.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-4, msg=name)


def test_separate_dqn_and_ddpg_learn_from_their_own_values():
    """Two learners written out: a DQN that sees no parameters, and a DDPG that sees no mode."""
    learner = make_learner(0.9, critic="separate", critic_lr=1e-2, actor_lr=1e-2)
    module = learner.module[MODULE]
    other = copy.deepcopy(module)
    optimizers = [torch.optim.Adam(part.parameters(), lr=1e-2) for part in (other.critic, other.actor)]
    rows = {k: torch.as_tensor(v) for k, v in make_batch(32).items()}

    def dqn(critic, observation):
        return critic.head(critic.trunk(critic.activation(critic.observation_in(observation))))

    def ddpg(critic, observation, x):
        value = critic.ddpg
        first = (
            torch.cat([observation, x], 1) @ torch.cat([value.observation_in.weight, value.parameter_in.weight], 1).T
        )
        return value.head(value.trunk(value.activation(first + value.observation_in.bias)))[:, 0]

    with torch.no_grad():
        q = dqn(other.target_critic, rows["new_obs"])
        q[:, 2] = torch.where(rows["new_obs"][:, 3] > 0.5, q[:, 2], -torch.inf)
        dqn_target = rows["rewards"] + rows["discount"] * q.max(1).values
        x = other.target_actor(rows["new_obs"]).clamp(0, 1)
        ddpg_target = rows["rewards"] + rows["discount"] * ddpg(other.target_critic, rows["new_obs"], x)
    loss = torch.nn.functional.huber_loss(
        dqn(other.critic, rows["obs"]).gather(1, rows["mode"].long()[:, None])[:, 0], dqn_target
    )
    loss = loss + torch.nn.functional.huber_loss(ddpg(other.critic, rows["obs"], rows["parameters"]), ddpg_target)
    raw = other.actor(rows["obs"])
    x = raw.detach().clamp(0, 1).requires_grad_()
    gradient = torch.autograd.grad(ddpg(other.critic, rows["obs"], x).sum(), x)[0]
    gradient[((raw > 1) & (gradient > 0)) | ((raw < 0) & (gradient < 0))] = 0.0
    (loss - (gradient * raw).sum(1).mean()).backward()
    for optimizer in optimizers:
        optimizer.step()
    update(learner, make_batch(32))
    for (name, ours), theirs in zip(module.named_parameters(), other.named_parameters(), strict=True):
        if not name.startswith("target"):
            torch.testing.assert_close(ours, theirs[1], atol=2e-6, rtol=1e-4, msg=name)


def test_prioritised_updates_tell_the_error_of_every_row():
    learner = make_learner(0.0, replay_alpha=0.6)
    module = learner.module[MODULE]
    rows = make_batch(32) | {"index": np.arange(100, 132), "weight": np.ones(32, np.float32)}
    batch = {k: torch.as_tensor(v) for k, v in rows.items()}
    with torch.no_grad():
        expected = (module.critic.taken(batch["obs"], batch["mode"].long(), batch["parameters"])[:, 0]).numpy()
    expected = np.abs(expected - rows["rewards"])
    multi = MultiAgentBatch({MODULE: SampleBatch(rows)}, env_steps=32)
    results = [learner.update(batch=multi, timesteps={"num_env_steps_sampled_lifetime": 0})]
    index, errors = pop_row_errors(results)[MODULE]
    order = np.argsort(index)
    np.testing.assert_array_equal(index[order], rows["index"])
    np.testing.assert_allclose(errors[order], expected, rtol=1e-4, atol=1e-6)
    assert pop_row_errors(results) == {}


def test_an_older_state_is_really_restored():
    learner = make_learner(0.9)
    before = copy.deepcopy(learner.get_state())
    update(learner, make_batch(64))
    assert not np.array_equal(
        learner.get_state()["rl_module"][MODULE]["actor.head.bias"], before["rl_module"][MODULE]["actor.head.bias"]
    )
    learner.set_state(before)
    after = learner.get_state()["rl_module"][MODULE]
    assert all(np.array_equal(after[k], v) for k, v in before["rl_module"][MODULE].items())


def test_a_state_that_does_not_fit_is_refused():
    learner = make_learner(0.9)
    state = learner.get_state()
    state["rl_module"][MODULE]["critic.new_name"] = state["rl_module"][MODULE].pop("critic.head.bias")
    with pytest.raises(ValueError, match=r"missing \['critic.head.bias'\], unexpected \['critic.new_name'\]"):
        learner.set_state(state)


def test_rewards_that_are_not_finite_stop_training():
    learner = make_learner(0.0)
    rows = make_batch(32)
    rows["rewards"][3] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        update(learner, rows)


def make_module(**config) -> DQNDDPGModule:
    torch.manual_seed(0)
    base = {"hidden": (16,), "critic": "multi-pass", "activation": "silu", "epsilon": 0.0, "exploration_noise": 0.0}
    return DQNDDPGModule(
        observation_space=OBSERVATION,
        action_space=ACTION,
        inference_only=True,
        model_config=base | {"parameterless_modes": (0,), "mask_columns": ((2, 3),)} | config,
    )


def test_inference_module_has_no_targets():
    assert not [name for name in make_module().state_dict() if name.startswith("target")]


def test_without_exploration_both_passes_agree():
    module, batch = make_module(), {"obs": torch.randn(64, 4)}
    greedy, explored = module.forward_inference(batch), module.forward_exploration(batch, t=0)
    assert torch.equal(greedy[MODE], explored[MODE])
    assert torch.equal(greedy[PARAMETERS], explored[PARAMETERS])


def test_random_exploration_is_uniform_over_allowed_modes_and_parameters():
    module = make_module(epsilon=1.0)
    observation = torch.zeros(20_000, 4)
    observation[10_000:, 3] = 1.0
    out = module.forward_exploration({"obs": observation}, t=0)
    barred, free = np.bincount(out[MODE][:10_000], minlength=3), np.bincount(out[MODE][10_000:], minlength=3)
    assert barred[2] == 0
    assert stats.chisquare(barred[:2]).pvalue > 1e-3
    assert stats.chisquare(free).pvalue > 1e-3
    assert stats.kstest(out[PARAMETERS][:, 0].numpy(), "uniform").pvalue > 1e-3


def test_a_restricted_module_takes_only_what_it_may():
    module = make_module(epsilon=0.5, exploration_noise=0.5, allowed_modes=(0, 1), discrete=True)
    with torch.no_grad():
        module.critic.head.bias[2] += 100.0
    batch = {"obs": torch.randn(500, 4)}
    for out in (module.forward_exploration(batch, t=0), module.forward_inference(batch), module.forward_random(batch)):
        assert set(out[MODE].tolist()) <= {0, 1}
        assert (out[PARAMETERS] == 1.0).all()
    assert set(module.forward_random(batch)[MODE].tolist()) == {0, 1}


def test_modes_that_the_space_lacks_are_refused():
    with pytest.raises(ConfigurationError, match=r"allowed_modes is \[0, 3\]; the action space has the modes 0 to 2\."):
        make_module(allowed_modes=(0, 3))


def test_discrete_learning_is_a_dqn_and_leaves_the_actor_alone():
    learner = make_learner(0.9, discrete=True, critic_lr=1e-2)
    module = learner.module[MODULE]
    other = copy.deepcopy(module)
    rows = make_batch(32)
    rows["parameters"][:] = 1.0
    batch = {k: torch.as_tensor(v) for k, v in rows.items()}
    optimizer = torch.optim.Adam(other.critic.parameters(), lr=1e-2)
    ones = torch.ones(32, 2)
    with torch.no_grad():
        q = other.target_critic(batch["new_obs"], ones)
        q[:, 2] = torch.where(batch["new_obs"][:, 3] > 0.5, q[:, 2], -torch.inf)
        target = batch["rewards"] + batch["discount"] * q.max(1).values
    taken = other.critic(batch["obs"], ones).gather(1, batch["mode"].long()[:, None])[:, 0]
    torch.nn.functional.huber_loss(taken, target).backward()
    optimizer.step()
    update(learner, rows)
    for ours, theirs in zip(module.critic.parameters(), other.critic.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-4)
    for ours, theirs in zip(module.actor.parameters(), other.actor.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_epsilon_follows_its_schedule():
    module = make_module(epsilon=[[0, 1.0], [100, 0.0]])
    observation = torch.zeros(4000, 4)
    greedy = module.forward_inference({"obs": observation})[MODE][0]
    share = (module.forward_exploration({"obs": observation}, t=50)[MODE] != greedy).float().mean()
    # Half of the rows are random, half of those (two modes allowed) differ: 0.25 within 6 standard deviations.
    assert abs(float(share) - 0.25) < 6 * np.sqrt(0.25 * 0.75 / 4000)


def test_deterministic_given_the_generator():
    module, batch = make_module(epsilon=0.5, exploration_noise=0.2), {"obs": torch.randn(64, 4)}
    state = module.generator.get_state()
    first = module.forward_exploration(batch, t=0)
    module.generator.set_state(state)
    second = module.forward_exploration(batch, t=0)
    assert torch.equal(first[MODE], second[MODE])
    assert torch.equal(first[PARAMETERS], second[PARAMETERS])


@pytest.mark.parametrize("delta", [1.0, 100.0])
def test_a_rare_reward_counts_in_full_within_huber_delta_and_hardly_beyond(delta):
    """One goal of 50 in twenty shots, else -6. The mean is -3.2; where errors are clipped at 1, 19 x = 1 above -6."""
    rewards = np.where(np.arange(100) % 20 == 0, 50.0, -6.0).astype(np.float32)
    rows = make_batch(100) | {"rewards": rewards, "mode": np.zeros(100, np.int8), "obs": np.ones((100, 4), np.float32)}
    learner = make_learner(0.0, huber_delta=delta, critic_lr=[[0, 3e-2], [200, 3e-2], [400, 1e-4]])
    for number in range(400):
        batch = MultiAgentBatch({MODULE: SampleBatch(rows)}, env_steps=100)
        learner.update(batch=batch, timesteps={"num_env_steps_sampled_lifetime": number})
    module = learner.module[MODULE].unwrapped()
    with torch.no_grad():
        value = module.critic(torch.ones(1, 4), torch.zeros(1, 2))[0, 0].item()
    assert value == pytest.approx(-3.2 if delta == 100.0 else -6.0 + 1.0 / 19.0, abs=0.02)


class Stopped(DQNDDPGLearner):
    """Its gradients are zero."""

    def postprocess_gradients_for_module(self, *, module_id, config=None, module_gradients_dict):
        return {name: torch.zeros_like(gradient) for name, gradient in module_gradients_dict.items()}


@pytest.mark.parametrize("change", [{"learner_class": Stopped}, {"grad_clip": 1e-12, "grad_clip_by": "value"}])
def test_what_is_made_of_the_gradients_is_what_is_followed(change):
    moved = []
    for own in ({}, change):
        learner = make_learner(0.0, critic_lr=1e-3, **own)
        before = {name: value.clone() for name, value in learner.module[MODULE].state_dict().items()}
        update(learner, make_batch(32))
        after = learner.module[MODULE].state_dict()
        moved.append(max(float((after[name] - value).abs().max()) for name, value in before.items()))
    # Adam's first step is the learning rate, unless the gradients are as small as its epsilon.
    assert moved[0] > 9e-4
    assert moved[1] < 1e-6


def test_metrics_of_a_policy_are_means_over_its_own_minibatches():
    """The same rows for one policy, and for each of four."""
    rows, told, weights = make_batch(64), [], None
    for count in (1, 4):
        names = [f"policy_{index}" for index in range(count)]
        config = DQNDDPGConfig().training(
            gamma=0.0, hidden=(16,), parameterless_modes=(0,), critic_lr=0.0, actor_lr=0.0
        )
        config.multi_agent(policies=set(names), policy_mapping_fn=lambda agent, *rest, **more: agent)
        spec = config.get_multi_rl_module_spec(spaces=dict.fromkeys(names, (OBSERVATION, ACTION)))
        learner = DQNDDPGLearner(config=config, module_spec=spec)
        learner.build()
        for module in dict(learner.module.items()).values():
            weights = weights or module.unwrapped().state_dict()
            module.unwrapped().load_state_dict(weights)
        batch = MultiAgentBatch({name: SampleBatch(dict(rows)) for name in names}, env_steps=64)
        result = learner.update(batch=batch, minibatch_size=16, timesteps={"num_env_steps_sampled_lifetime": 0})
        told.append({name: float(result[names[0]][name].peek()) for name in ("td_error_mean", "critic_loss", "q_mean")})
    assert told[1] == pytest.approx(told[0], rel=1e-4)


def test_weights_of_other_networks_or_of_other_bounds_are_refused():
    wide = gym.spaces.Dict(mode=gym.spaces.Discrete(3), fraction=gym.spaces.Box(-5, 50, (1,), np.float32))

    def module_of(action, **options):
        config = DQNDDPGConfig().training(**{"hidden": (8,)} | options)
        return config.get_multi_rl_module_spec(spaces={MODULE: (OBSERVATION, action)}).build()[MODULE]

    state = module_of(ACTION).get_state()
    module_of(ACTION).set_state(state)
    with pytest.raises(ConfigurationError, match=r"were trained for parameters within .*; those of the action space"):
        module_of(wide).set_state(state)
    with pytest.raises(ConfigurationError, match=r"^the weights do not fit the networks: .* has the shape .*\.$"):
        module_of(ACTION, hidden=(9,)).set_state(state)
    # A state that is older than this does not tell its bounds.
    module_of(wide).set_state({name: value for name, value in state.items() if name != ACTION_BOUNDS})
