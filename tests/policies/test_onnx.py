import numpy as np
import onnxruntime
import pytest
import torch

from meqc_marl.cli import main
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS
from meqc_marl.policies.learned import LearnedPolicy
from meqc_marl.policies.onnx import export_onnx

QPU_COLUMN = SUFFICIENT_COLUMNS.index("qpu_allowed")
SPEC = NetworkSpec(
    observation_size=len(SUFFICIENT_COLUMNS),
    parameter_slots=((0, 0), (0, 1), (1, 2)),
    hidden=(32, 32),
    mask_columns=((2, QPU_COLUMN),),
)


@pytest.fixture
def policy():
    torch.manual_seed(0)
    actor, critic = Actor(SPEC), Critic(SPEC)
    torch.nn.init.normal_(actor.head.weight)
    return LearnedPolicy(SPEC, actor.eval(), critic.eval())


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_onnx_decides_as_torch_for_any_number_of_rows(policy, tmp_path, rows):
    assert export_onnx(policy, tmp_path / "policy.onnx") < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    observation = np.random.default_rng(1).uniform(-1, 1, (rows, SPEC.observation_size)).astype(np.float32)
    mode, fraction = session.run(None, {"observation": observation})
    expected_mode, expected_fraction = policy.decide(observation)
    np.testing.assert_array_equal(mode, expected_mode)
    np.testing.assert_allclose(fraction, expected_fraction, atol=1e-5)
    assert not (mode[observation[:, QPU_COLUMN] < 0.5] == 2).any()


def test_onnx_of_a_policy_that_sees_the_others_takes_any_number_of_devices(tmp_path):
    spec = SPEC.model_copy(update={"context": "mean", "context_width": 8})
    torch.manual_seed(0)
    actor, critic = Actor(spec), Critic(spec)
    torch.nn.init.normal_(actor.head.weight)
    policy = LearnedPolicy(spec, actor.eval(), critic.eval())
    assert export_onnx(policy, tmp_path / "policy.onnx") < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    for shape in ((1, 1), (5, 15), (2, 50)):
        observation = np.random.default_rng(1).uniform(-1, 1, (*shape, spec.observation_size)).astype(np.float32)
        mode, fraction = session.run(None, {"observation": observation})
        expected_mode, expected_fraction = policy.decide(observation)
        np.testing.assert_array_equal(mode, expected_mode)
        np.testing.assert_allclose(fraction, expected_fraction, atol=1e-5)


def test_command_writes_the_file(policy, tmp_path, capsys):
    policy.save(tmp_path)
    assert main(["export", str(tmp_path), "--file", str(tmp_path / "p.onnx")]) == 0
    assert "agree with PyTorch" in capsys.readouterr().out
    assert main(["export", str(tmp_path), "--file", str(tmp_path / "no" / "p.onnx")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_missing_package_is_named(policy, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"package 'onnxruntime' is missing; install it with: pip install"):
        export_onnx(policy, tmp_path / "p.onnx")
