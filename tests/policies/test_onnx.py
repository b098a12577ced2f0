import numpy as np
import onnxruntime
import pytest
import torch

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic
from meqc_marl.env.broadcast import USE_COLUMNS
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS
from meqc_marl.env.view import observation_columns
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies.learned import LearnedPolicy, load_policy
from meqc_marl.policies.onnx import export_onnx

QPU_COLUMN = SUFFICIENT_COLUMNS.index("qpu_allowed")
SPEC = NetworkSpec(
    observation_size=len(SUFFICIENT_COLUMNS),
    parameter_slots=((0, 0), (0, 1), (1, 2)),
    hidden=(32, 32),
    mask_columns=((2, QPU_COLUMN),),
)


@pytest.fixture(params=["all columns", "of modes", "known prices", "own units"])
def policy(request):
    apart = request.param in ("of modes", "own units")
    told = ((0, 0), (1, 1), (1, 3), (2, 2), (2, 8), (2, QPU_COLUMN)) if apart else ()
    prices = ((0, 4, 0.5), (1, 5, 2.0)) if request.param in ("known prices", "own units") else ()
    units = ((1, 1, True), (1, 3, False), (2, 8, True)) if request.param == "own units" else ()
    options = {"mode_columns": told, "price_columns": prices, "unit_columns": units}
    spec = NetworkSpec.of(SPEC.model_dump() | options)
    torch.manual_seed(0)
    actor, critic = Actor(spec), Critic(spec)
    torch.nn.init.normal_(actor.head.weight)
    return LearnedPolicy(spec, actor.eval(), critic.eval())


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


@pytest.mark.parametrize("context", ["none", "mean"])
def test_a_policy_that_reads_the_broadcast_is_stored_exported_and_told(tmp_path, context):
    """In a scenario without a broadcast too: it is shown what it reads, and decides by it."""
    told = load_scenario("pooled", ["resources.broadcast=counts", "num_devices=6"])
    columns = observation_columns(told)
    loads = [columns.index(name) for name in USE_COLUMNS]
    sees = {"observation_size": len(columns), "mask_columns": ((2, columns.index("qpu_admitted")),)}
    spec = SPEC.model_copy(update=sees | {"context": context, "context_width": 8})
    torch.manual_seed(1)
    actor, critic = Actor(spec), Critic(spec)
    torch.nn.init.normal_(actor.head.weight)
    torch.nn.init.normal_(critic.head.weight)
    LearnedPolicy(spec, actor.eval(), critic.eval(), scenario=told, columns=columns).save(tmp_path)
    policy = load_policy(tmp_path)
    assert policy.columns == columns
    export_onnx(policy, tmp_path / "policy.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    trace = generate_trace(told, [0, 1], num_slots=8)
    plain = load_scenario(told, ["resources.broadcast=nothing"])
    records = [rollout(policy, scenario, trace) for scenario in (told, plain)]
    np.testing.assert_array_equal(records[0].cost, records[1].cost)
    seen = np.random.default_rng(0).uniform(0, 1, (4, 6, len(columns))).astype(np.float32)
    other = seen.copy()
    other[..., loads] += 1.0
    assert not np.array_equal(policy.decide(seen)[1], policy.decide(other)[1])
    given = seen if context == "mean" else seen.reshape(-1, len(columns))
    np.testing.assert_array_equal(session.run(None, {"observation": given})[0].ravel(), policy.decide(seen)[0].ravel())


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
