import numpy as np
import pytest
import torch

from meqc_marl.dqn_ddpg.bounds import allowed_modes
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic, greedy_action

SPEC = NetworkSpec(
    observation_size=5,
    parameter_slots=((0, 0), (0, 1), (1, 3)),
    hidden=(16, 8),
    activation="relu",
    mask_columns=((2, 4),),
)


def critic_by_hand(critic: Critic, observation: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Q by numpy, one explicit pass for each mode, with the other modes' parameters set to zero."""
    w = {k: v.detach().numpy() for k, v in critic.state_dict().items()}
    q = np.zeros((len(observation), SPEC.num_modes))
    for mode, (start, stop) in enumerate(SPEC.parameter_slots):
        own = np.zeros_like(parameters)
        own[:, start:stop] = parameters[:, start:stop]
        x = observation @ w["observation_in.weight"].T + w["observation_in.bias"] + own @ w["parameter_in.weight"].T
        x = np.maximum(x, 0) @ w["trunk.0.weight"].T + w["trunk.0.bias"]
        q[:, mode] = (np.maximum(x, 0) @ w["head.weight"].T + w["head.bias"])[:, mode]
    return q


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(32, 5), torch.rand(32, 3)


def test_multi_pass_critic_equals_separate_passes(batch):
    critic = Critic(SPEC)
    expected = critic_by_hand(critic, batch[0].numpy(), batch[1].numpy())
    np.testing.assert_allclose(critic(*batch).detach().numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(critic(*batch, SPEC.parametric_modes).detach().numpy(), expected[:, 1:], atol=1e-6)


@pytest.mark.parametrize("kind", ["multi-pass", "joint"])
def test_taken_is_a_column_of_all(batch, kind):
    spec = NetworkSpec(observation_size=5, parameter_slots=SPEC.parameter_slots, hidden=(16, 8), critic=kind)
    critic = Critic(spec)
    mode = torch.randint(0, 3, (32,))
    torch.testing.assert_close(critic.taken(batch[0], mode, batch[1]), critic(*batch).gather(1, mode[:, None]))


def test_multi_pass_q_does_not_see_other_modes_parameters(batch):
    critic = Critic(SPEC)
    parameters = batch[1].clone().requires_grad_()
    critic(batch[0], parameters)[:, 1].sum().backward()
    assert parameters.grad[:, 0].abs().min() >= 0
    assert parameters.grad[:, 0].abs().max() > 0
    assert parameters.grad[:, 1:].abs().max() == 0


def test_greedy_takes_the_best_allowed_mode(batch):
    actor, critic = Actor(SPEC), Critic(SPEC)
    observation = batch[0]
    mode, parameters, q = greedy_action(SPEC, actor, critic, observation)
    assert parameters.min() >= 0
    assert parameters.max() <= 1
    allowed = allowed_modes(SPEC, observation)
    np.testing.assert_array_equal(allowed[:, 2], observation[:, 4] > 0.5)
    q_all = critic(observation, parameters).detach()
    for row in range(len(observation)):
        best = max((float(q_all[row, k]), k) for k in range(3) if allowed[row, k])
        assert int(mode[row]) == best[1]
    assert torch.isinf(q[~allowed]).all()


def test_the_ends_of_the_range_are_reached_exactly():
    actor = Actor(SPEC)
    with torch.no_grad():
        actor.head.bias[:] = torch.tensor([1.2, -0.2, 0.5])
    _, parameters, _ = greedy_action(SPEC, actor, Critic(SPEC), torch.zeros(1, 5))
    assert parameters[0, 0] == 1.0
    assert parameters[0, 1] == 0.0


def test_spec_survives_json():
    assert NetworkSpec.from_json(SPEC.to_json()) == SPEC
