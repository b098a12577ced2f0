"""Runs whose modules see the others: exact resumption, the policy's folder, and other numbers of devices."""

import numpy as np
import pytest
from states import differences, state_of

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.errors import InputError
from meqc_marl.jobs.checkpoint import save_checkpoint
from meqc_marl.jobs.warm_start import start_warm
from meqc_marl.lyapunov import value
from meqc_marl.policies.learned import load_policy
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.evaluation import policy_of


def config_of(scenario=None, **learner):
    small = {"hidden": [16, 16], "updates_per_training_step": 2, "num_steps_before_learning": 100}
    scenario = scenario or load_scenario("pooled", ["num_devices=5", "horizon=20"])
    config = offloading_config(scenario, env_steps=2_000, seed=3, learner=small | learner)
    return config.env_runners(num_envs_per_env_runner=6).reporting(min_sample_timesteps_per_iteration=150)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, ray_session):
    """The folder of a run with a checkpoint after two iterations, and the state after two more without a break."""
    folder = tmp_path_factory.mktemp("context")
    algorithm = config_of(context="mean", context_width=8).build_algo()
    for _ in range(2):
        algorithm.train()
    policy = policy_of(algorithm)
    save_checkpoint(algorithm, policy, folder)
    begun = state_of(algorithm)
    for _ in range(2):
        algorithm.train()
    undisturbed = state_of(algorithm)
    algorithm.stop()
    assert differences(begun["learner"]["rl_module"], undisturbed["learner"]["rl_module"])
    assert next(iter(begun["replay"].values()))["columns"]["obs"].shape[1] == 5
    return folder, policy, undisturbed


def test_interrupted_training_equals_undisturbed_training(trained):
    folder, _, undisturbed = trained
    algorithm = DQNDDPG.from_checkpoint(str(next(folder.glob("checkpoint_*"))))
    for _ in range(2):
        algorithm.train()
    resumed = state_of(algorithm)
    algorithm.stop()
    assert differences(undisturbed, resumed) == []


def test_what_was_learned_of_queues_goes_on_exactly(tmp_path, ray_session, monkeypatch):
    """Part of a checkpoint of mid-episode: the value of the waits, what it is fitted to, backlogs and last counts."""
    monkeypatch.setattr(value, "_REFIT", 60)
    fields = ["num_devices=5", "horizon=20", "resources.server_hz=2e9", "resources.broadcast=counts"]
    scenario = load_scenario("queued", fields)
    states = []
    algorithm = config_of(scenario, context="mean", context_width=8).build_algo()
    algorithm.train()
    save_checkpoint(algorithm, policy_of(algorithm), tmp_path)
    for again in (algorithm, DQNDDPG.from_checkpoint(str(next(tmp_path.glob("checkpoint_*"))))):
        again.train()
        states.append(state_of(again))
        again.stop()
    assert differences(*states) == []
    assert np.sum(states[0]["runner"]["sampling"]["env"]["counts"]) > 0
    (learned,) = (state["value"] for state in states[0]["runner"]["sampling"]["callbacks"])
    assert np.abs(learned["weights"]).max() > 0


def test_the_folder_gives_the_same_policy_back_and_it_needs_whole_slots(trained):
    folder, policy, _ = trained
    read = load_policy(folder)
    assert read.spec.context == "mean"
    observation = np.random.default_rng(0).uniform(-1, 1, (3, 5, policy.spec.observation_size)).astype(np.float32)
    for mine, theirs in zip(policy.decide(observation), read.decide(observation), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(read.decide(observation), read.decide(observation[2]), strict=True):
        np.testing.assert_allclose(mine[2], theirs, atol=1e-6)
    with pytest.raises(InputError, match=r"sees all devices of a slot; its observations must be \[\.\.\., M, D\]"):
        read.decide(observation[0, 0])


def test_it_is_evaluated_with_other_numbers_of_devices(trained, capsys):
    folder, _, _ = trained
    for devices in (5, 9):
        sizes = ["--set", f"num_devices={devices}", "--set", "horizon=5"]
        assert main(["evaluate", str(folder), "--scenario", "pooled", *sizes, "--num-traces", "2"]) == 0
        assert "learned" in capsys.readouterr().out


def test_weights_start_another_run_only_if_it_sees_as_much(trained):
    folder, policy, _ = trained
    for learner, sentence in (({}, "its context is mean and"), ({"context": "mean"}, "its context_width is 8 and")):
        algorithm = config_of(**learner).build_algo()
        with pytest.raises(InputError, match=sentence):
            start_warm(algorithm, folder)
        algorithm.stop()
    algorithm = config_of(context="mean", context_width=8).build_algo()
    start_warm(algorithm, folder)
    weights = policy_of(algorithm).actor.state_dict()
    algorithm.stop()
    assert (
        differences(
            {k: v.numpy() for k, v in weights.items()}, {k: v.numpy() for k, v in policy.actor.state_dict().items()}
        )
        == []
    )
