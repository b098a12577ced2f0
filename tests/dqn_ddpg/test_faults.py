"""What happens to training when an environment, an EnvRunner or a Learner fails."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import ray

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg import sampling
from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.errors import SamplingError
from meqc_marl.rl.config import offloading_config


def config_of(env="hybrid_identity", num_env_runners=2, **env_config) -> DQNDDPGConfig:
    return (
        DQNDDPGConfig()
        .environment(env, env_config=env_config)
        .env_runners(
            num_env_runners=num_env_runners,
            num_envs_per_env_runner=4,
            rollout_fragment_length=5,
            num_cpus_per_env_runner=0.25,
        )
        .training(gamma=0.5, hidden=(16,), num_steps_before_learning=50)
        .reporting(min_sample_timesteps_per_iteration=200)
        .debugging(seed=0, log_level="ERROR")
    )


@pytest.fixture
def build(ray_session):
    built = []

    def make(config):
        built.append(config.build_algo())
        return built[-1]

    yield make
    for algorithm in built:
        algorithm.stop()


def steps_of(result):
    return int(result["env_runners"]["num_env_steps_sampled_lifetime"])


def test_nothing_is_lost_without_a_fault(build):
    result = build(config_of()).train()
    assert result["faults"] == {"sample_rounds_lost": 0, "learner_restarts": 0, "updates_lost": 0}


def test_an_environment_that_always_fails_ends_training_with_its_error(build):
    algorithm = build(config_of("always_failing"))
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"(?s)in 3 rounds.*RuntimeError: broken on purpose"):
        algorithm.train()
    assert time.monotonic() - started < 60


@pytest.mark.timeout(120)
def test_an_environment_that_always_fails_ends_training_over_the_stock_runner(build):
    """RLlib ends the actor, waits for a minute and starts it again, for ever."""
    config = offloading_config(load_scenario("small"), num_env_runners=1, env_runner="stock")
    config.environment("failing_parallel").env_runners(num_cpus_per_env_runner=0.25)
    algorithm = build(config)
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"(?s)in 3 rounds.*broken on purpose"):
        algorithm.train()
    assert time.monotonic() - started < 60


def test_an_environment_that_fails_once_is_built_anew_and_counted(build, tmp_path):
    algorithm = build(config_of("failing_once", num_env_runners=1, marker=str(tmp_path / "marker")))
    for _ in range(2):
        result = algorithm.train()
    assert (tmp_path / "marker").exists()
    assert result["faults"]["sample_rounds_lost"] == 1
    assert steps_of(result) >= 400


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.timeout(120)
def test_training_goes_on_after_an_env_runner_is_killed(build, asynchronous):
    algorithm = build(config_of().training(asynchronous=asynchronous))
    before = steps_of(algorithm.train())
    manager = algorithm.env_runner_group._worker_manager
    ray.kill(manager.actors()[1], no_restart=False)
    deadline = time.monotonic() + 90
    result = algorithm.train()
    while manager.num_healthy_actors() < 2 and time.monotonic() < deadline:
        result = algorithm.train()
    assert manager.num_healthy_actors() == 2
    assert result["faults"]["sample_rounds_lost"] >= 1
    assert steps_of(result) > before
    weights = algorithm.get_weights()["default_policy"]
    algorithm.train()
    now = algorithm.get_weights()["default_policy"]
    assert any(not np.array_equal(weights[name], value) for name, value in now.items())


@pytest.mark.timeout(180)
def test_training_goes_on_after_a_learner_is_killed(build):
    algorithm = build(config_of(num_env_runners=0).learners(num_learners=2, num_cpus_per_learner=0.25))
    algorithm.train()
    saved = algorithm._learner_state["learner"]["rl_module"]["default_policy"]
    ray.kill(algorithm.learner_group._workers[0])
    result = algorithm.train()
    assert result["faults"]["learner_restarts"] == 1
    assert 0 < result["faults"]["updates_lost"] < 500
    result = algorithm.train()
    assert result["faults"]["learner_restarts"] == 1
    now, other = algorithm.learner_group.foreach_learner(lambda learner: learner.get_state()["rl_module"])
    now, other = now.get()["default_policy"], other.get()["default_policy"]
    assert all(np.array_equal(other[name], value) for name, value in now.items())
    assert any(not np.array_equal(saved[name], value) for name, value in now.items())


@pytest.mark.timeout(120)
def test_an_error_of_a_remote_learner_that_lives_ends_training(build):
    """A divergence is told, not taken for a death and tried again for ever."""
    config = config_of(num_env_runners=0).learners(num_learners=1, num_cpus_per_learner=0.25)
    algorithm = build(config.training(critic_lr=1e9, huber_delta=1e9, hidden=(16,) * 4))
    with pytest.raises(Exception, match="not finite"):
        algorithm.train()


def test_asynchronous_sampling_counts_every_step_once(build):
    algorithm = build(config_of().training(asynchronous=True))
    total = 0
    for _ in range(3):
        result = algorithm.train()
        total += int(result["env_runners"]["num_env_steps_sampled"])
        assert steps_of(result) == total
        assert len(algorithm.replay_buffer) == total
    assert result["learners"]["default_policy"]["critic_loss"] > 0


@pytest.mark.parametrize("num_env_runners", [0, 2])
def test_restoring_an_older_checkpoint_reaches_every_env_runner(build, tmp_path, num_env_runners):
    """RLlib's own runners keep the newer weights: a lower number of the weights is not loaded."""
    algorithm = build(config_of(num_env_runners=num_env_runners))
    algorithm.train()
    checkpoint = str(tmp_path / "older")
    algorithm.save_to_path(checkpoint)

    def weights():
        name = "critic.head.weight"
        runners = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.get_state()["rl_module"]["default_policy"][name]
        )
        return [*runners, algorithm.get_weights()["default_policy"][name]]

    older = weights()
    for _ in range(3):
        algorithm.train()
    assert not any(np.array_equal(a, b) for a, b in zip(older, weights(), strict=True))
    algorithm.restore_from_path(checkpoint)
    restored = weights()
    assert len(restored) == num_env_runners + 2  # with the local one and the Learner
    for array in restored:
        np.testing.assert_array_equal(array, older[-1])


class Gone:
    """A group of EnvRunners that have all died; they come back after so many rounds."""

    def __init__(self, rounds):
        self.rounds = rounds

    def num_healthy_remote_env_runners(self):
        return 0

    def foreach_env_runner(self, work, **options):
        self.rounds -= 1
        return [] if self.rounds >= 0 else [(["fragment"], {}, None)]


def test_env_runners_that_have_died_are_waited_for(monkeypatch):
    """Ray starts their processes anew, perhaps on a machine that has to be found: that takes more than a few rounds."""
    now = [0.0]
    monkeypatch.setattr(sampling.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sampling.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + 31.0))  # a probe as well
    metrics = SimpleNamespace(aggregate=lambda *given, **more: None, log_value=lambda *given, **more: None)
    config = config_of(num_env_runners=1).fault_tolerance(env_runner_restore_timeout_s=600.0)
    sampler = sampling.Sampler(Gone(rounds=12), config, metrics)
    assert [sampler.sample() for _ in range(13)] == [[]] * 12 + [["fragment"]]
    sampler = sampling.Sampler(Gone(rounds=100), config, metrics)
    with pytest.raises(SamplingError, match=r"all EnvRunners have died and none has come back within 6\d\d s\."):
        list(iter(sampler.sample, ["fragment"]))
