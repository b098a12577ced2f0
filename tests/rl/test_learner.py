"""The Learner against a second implementation in plain PyTorch."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from scipy import stats

from meqc_marl.rl.algorithm import DQNDDPGConfig
from meqc_marl.rl.rl_module import MODE, PARAMETERS, DQNDDPGModule

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
    learner = config.get_default_learner_class()(config=config, module_spec=spec)
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


def reference_update(module, optimizers, rows, gamma, tau, scale):
    """P-DQN with parameters clamped to [0, 1], written out: a pass for each mode, autograd through a frozen copy."""
    rows = {k: torch.as_tensor(v) for k, v in rows.items()}

    def q_of(critic, observation, parameters):
        columns = []
        for mode, keep in enumerate(([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])):
            hidden = critic.observation_in(observation) + critic.parameter_in(parameters * torch.tensor(keep))
            columns.append(critic.head(critic.trunk(critic.activation(hidden)))[:, mode])
        return torch.stack(columns, 1)

    target = rows["rewards"] * scale
    if gamma:
        with torch.no_grad():
            q = q_of(module.target_critic, rows["new_obs"], module.target_actor(rows["new_obs"]).clamp(0, 1))
            q[:, 2] = torch.where(rows["new_obs"][:, 3] > 0.5, q[:, 2], -torch.inf)
            target = target + rows["discount"] * q.max(1).values
    frozen = copy.deepcopy(module.critic).requires_grad_(False)
    raw = module.actor(rows["obs"])
    x = raw.detach().clamp(0, 1).requires_grad_()
    q = q_of(frozen, rows["obs"], x)
    gradient = torch.autograd.grad(q[:, 1].sum() + (q[:, 2] * (rows["obs"][:, 3] > 0.5)).sum(), x)[0]
    gradient = torch.where((raw.detach() > 1) & (gradient > 0), 0.0, gradient)
    gradient = torch.where((raw.detach() < 0) & (gradient < 0), 0.0, gradient)
    taken = q_of(module.critic, rows["obs"], rows["parameters"]).gather(1, rows["mode"].long()[:, None])[:, 0]
    loss = torch.nn.functional.huber_loss(taken, target) - (gradient * raw).sum(1).mean()
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    if gamma:
        with torch.no_grad():
            for main, slow in ((module.actor, module.target_actor), (module.critic, module.target_critic)):
                for p, q_slow in zip(main.parameters(), slow.parameters(), strict=True):
                    q_slow.mul_(1 - tau).add_(tau * p)


@pytest.mark.parametrize("gamma", [0.0, 0.9])
def test_updates_equal_a_plain_pytorch_loop(gamma):
    learner = make_learner(gamma, reward_scale=0.5, critic_lr=1e-2, actor_lr=1e-2)
    module = learner.module[MODULE]
    other = copy.deepcopy(module)
    optimizers = [torch.optim.Adam(part.parameters(), lr=1e-2) for part in (other.critic, other.actor)]
    rows = make_batch(96)
    update(learner, rows, minibatch=32)
    for start in range(0, 96, 32):
        part = {k: v[start : start + 32] for k, v in rows.items()}
        reference_update(other, optimizers, part, gamma, 0.1, 0.5)
    for (name, ours), theirs in zip(module.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-4, msg=name)


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
