"""``meqc-marl evaluate`` from the outside, on an untrained policy."""

import json
import subprocess
import sys

import pytest
import torch

from meqc_marl.cli import main
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS
from meqc_marl.policies.learned import LearnedPolicy
from tests.sentences import is_one_sentence

FEW = ["--num-traces", "2", "--num-slots", "8"]
NO_RAY = "import sys; sys.modules['ray'] = None; from meqc_marl.cli import main; sys.exit(main(sys.argv[1:]))"


def save_policy(folder, scenario):
    torch.manual_seed(0)
    spec = NetworkSpec(observation_size=len(SUFFICIENT_COLUMNS), parameter_slots=((0, 0), (0, 1), (1, 2)), hidden=(8,))
    folder.mkdir()
    LearnedPolicy(spec, Actor(spec), Critic(spec), scenario=scenario).save(folder)
    return str(folder)


@pytest.fixture
def checkpoint(small, tmp_path):
    return save_policy(tmp_path / "policy", small)


def numbers_of(path, *arguments):
    assert main([*arguments, "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_needs_no_ray_and_gives_the_numbers_of_compare(checkpoint, tmp_path):
    """In a process that cannot import Ray; ``compare`` in this one, on the same scenario and traces."""
    own, plot, other = tmp_path / "e.json", tmp_path / "e.png", tmp_path / "c.json"
    arguments = ["evaluate", checkpoint, *FEW, "--json", str(own), "--plot", str(plot)]
    done = subprocess.run([sys.executable, "-c", NO_RAY, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "learned" in done.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")
    compare = ["compare", "--scenario", "small", "--policies", "oracle", "--checkpoints", checkpoint, *FEW]
    assert json.loads(own.read_text()) == numbers_of(other, *compare)


def test_serves_another_number_of_devices(checkpoint, tmp_path):
    content = numbers_of(tmp_path / "e.json", "evaluate", checkpoint, *FEW, "--set", "num_devices=6")
    assert list(content["policies"]) == ["oracle", "learned"]
    assert content["scenario"]["name"] == "small"
    assert content["scenario"]["num_devices"] == 6


def test_another_scenario_may_be_given(checkpoint, tmp_path):
    content = numbers_of(tmp_path / "e.json", "evaluate", checkpoint, *FEW, "--scenario", "paper-literal")
    assert content["scenario"]["name"] == "paper-literal"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["none"], ["'none' does not exist", "meqc-marl train"]),
        (["empty"], ["'empty' has no policy in it", "meqc-marl train"]),
        (["homeless"], ["'homeless' does not name its scenario", "--scenario"]),
        (["policy", "--set", "num_device=6"], ["num_device is not a field", "'num_devices'"]),
        (["policy", "--num-traces", "0"], ["num-traces: 0", "at least 1"]),
        (["policy", "--json", "none/e.json"], ["'none/e.json'", "No such file or directory"]),
    ],
)
def test_bad_input_is_told_in_one_sentence(arguments, parts, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    save_policy(tmp_path / "homeless", None)
    assert main(["evaluate", *arguments]) == 2
    captured = capsys.readouterr()
    head, _, sentence = captured.err.removesuffix("\n").partition("error: ")
    assert (captured.out, head) == ("", "")
    assert is_one_sentence(sentence), sentence
    for part in parts:
        assert part in sentence
