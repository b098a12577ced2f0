import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import meqc_marl
from meqc_marl.config import Scenario
from meqc_marl.dqn_ddpg.columns import MODE, PARAMETERS
from meqc_marl.dqn_ddpg.rl_module import DQNDDPGModule
from meqc_marl.env.parallel import action_space, observation_space
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS
from meqc_marl.errors import InputError
from meqc_marl.policies.learned import LearnedPolicy, load_policy

WITHOUT_RAY = """
import sys
class NoRay:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "ray":
            raise ImportError("no ray here")
sys.meta_path.insert(0, NoRay())
import numpy as np
from meqc_marl.policies.learned import load_policy
mode, fraction = load_policy(sys.argv[1]).decide(np.zeros((2, 3, 23), np.float32))
print(mode.shape, fraction.shape)
"""


@pytest.fixture
def module():
    torch.manual_seed(0)
    module = DQNDDPGModule(
        observation_space=observation_space(Scenario()),
        action_space=action_space(),
        inference_only=True,
        model_config={
            "hidden": (16, 16),
            "critic": "multi-pass",
            "activation": "relu",
            "epsilon": 0.0,
            "exploration_noise": 0.0,
            "parameterless_modes": (0,),
            "mask_columns": ((2, SUFFICIENT_COLUMNS.index("qpu_allowed")),),
        },
    )
    torch.nn.init.normal_(module.actor.head.weight)
    torch.nn.init.normal_(module.critic.head.weight)
    return module


@pytest.fixture
def run_folder(module, small, tmp_path):
    """A run with two checkpoints, the older one of another policy."""
    for number, shift in ((9, 1.0), (10, 0.0)):
        folder = tmp_path / "run" / f"checkpoint_{number:06d}" / "policy"
        folder.mkdir(parents=True)
        LearnedPolicy(module.spec, module.actor, module.critic, scenario=small).save(folder)
        if shift:
            with torch.no_grad():
                module.actor.head.bias.add_(shift)
            LearnedPolicy(module.spec, module.actor, module.critic, scenario=small).save(folder)
            with torch.no_grad():
                module.actor.head.bias.sub_(shift)
    return tmp_path / "run"


@pytest.mark.parametrize("inner", ["", "checkpoint_000010", "checkpoint_000010/policy"])
def test_decides_as_the_module_does(module, run_folder, small, inner):
    policy = load_policy(run_folder / inner)
    assert policy.scenario == small
    observation = np.random.default_rng(0).uniform(-1, 1, (50, 4, len(SUFFICIENT_COLUMNS))).astype(np.float32)
    mode, fraction = policy.decide(observation)
    out = module.forward_inference({"obs": torch.from_numpy(observation.reshape(200, -1))})
    np.testing.assert_array_equal(mode.ravel(), out[MODE])
    slots = np.array([out[PARAMETERS][i, max(int(k) - 1, 0)] * (k > 0) for i, k in enumerate(out[MODE])])
    np.testing.assert_allclose(fraction.ravel(), slots, atol=1e-7)
    assert len(np.unique(mode)) > 1


def _edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: (f / "policy.safetensors").unlink(), r"is damaged: policy.safetensors cannot be read"),
        (lambda f: (f / "policy.json").unlink(), r"has no policy in it; give a checkpoint folder"),
        (lambda f: _cut(f / "policy.safetensors"), r"is damaged: policy.safetensors cannot be read"),
        (lambda f: _cut(f / "policy.json"), r"is damaged: policy.json cannot be read"),
        (lambda f: _edit(f / "policy.json", format=99), r"has format 99; this version reads format 2"),
        (
            lambda f: _edit(f / "policy.json", observation_columns=["a"]),
            r"observes the 1 columns a; this system",
        ),
        (lambda f: _edit(f / "policy.json", network={}), r"is damaged: policy.json cannot be read"),
        (lambda f: _edit(f / "policy.json", scenario={"num_devices": -3}), r"is damaged: policy.json .*num_devices"),
        (lambda f: _edit_network(f, activation="tanh"), r"is damaged: policy.json .*\(activation is 'tanh'"),
        (lambda f: _edit_network(f, critic="other"), r"is damaged: policy.json cannot be read \(critic is 'other'"),
        (lambda f: _edit_network(f, hidden=[]), r"is damaged: policy.json cannot be read \(hidden is \[\]"),
        (lambda f: _edit_network(f, hidden=[16, 17]), r"is damaged: policy.safetensors cannot be read"),
        (lambda f: _edit_network(f, mask_columns=[[2, 99]]), r"is damaged: policy.json .*\(mask_columns is \[\[2, 99"),
        (lambda f: save_file({"actor.x": torch.zeros(1)}, f / "policy.safetensors"), r"is damaged: policy.safetensors"),
    ],
)
def test_damage_is_told_in_one_sentence(run_folder, spoil, sentence):
    folder = run_folder / "checkpoint_000010" / "policy"
    spoil(folder)
    with pytest.raises(InputError, match=sentence) as error:
        load_policy(folder)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def _edit_network(folder, **changes):
    network = json.loads((folder / "policy.json").read_text())["network"]
    _edit(folder / "policy.json", network=network | changes)


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_other_folders_beside_the_checkpoints_do_no_harm(run_folder):
    (run_folder / "checkpoint_best").mkdir()
    (run_folder / "checkpoint_000099").write_text("a file")
    newest = load_policy(run_folder / "checkpoint_000010")
    assert torch.equal(load_policy(run_folder).actor.head.bias, newest.actor.head.bias)


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"checkpoint '.*nowhere' does not exist; give a checkpoint folder"):
        load_policy(tmp_path / "nowhere")


def test_is_at_hand_under_short_names(run_folder):
    observation = np.zeros((3, 23), np.float32)
    policies = (LearnedPolicy.load(run_folder), meqc_marl.load_policy(run_folder), load_policy(run_folder))
    first, *others = (policy.decide(observation) for policy in policies)
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_needs_no_ray(run_folder):
    command = [sys.executable, "-c", WITHOUT_RAY, str(run_folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["(2,", "3)", "(2,", "3)"], done.stderr
