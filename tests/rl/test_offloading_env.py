"""What an ``env_config`` may hold."""

import numpy as np
import pytest
from ray.rllib.env.env_context import EnvContext

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.training import train
from meqc_marl.rl.offloading_env import ConfiguredBatchedEnv, ConfiguredParallelEnv, OffloadingBatchedEnv
from tests.sentences import is_one_sentence


@pytest.mark.parametrize("kind", [ConfiguredBatchedEnv, ConfiguredParallelEnv])
@pytest.mark.parametrize("key", ["traces", "Scenario", "num_devices"])
def test_nothing_of_a_configuration_is_left_undone(kind, key):
    config = {"scenario": load_scenario("small").model_dump(mode="json")}
    context = EnvContext(config | {key: "mine.npz"}, worker_index=0)
    context.num_envs = 1
    with pytest.raises(InputError, match=f"env_config holds '{key}'") as caught:
        kind(context)
    assert is_one_sentence(str(caught.value))
    context = EnvContext({}, worker_index=0)
    context.num_envs = 1
    with pytest.raises(InputError, match="env_config lacks scenario"):
        kind(context)
    context = EnvContext(config, worker_index=0)
    context.num_envs = 1
    kind(context)


def test_fields_to_vary_are_refused_where_they_would_be_ignored():
    config = {"scenario": load_scenario("small").model_dump(mode="json"), "vary": ["lyapunov.v=1,10"]}
    with pytest.raises(InputError, match="env_config holds 'vary'"):
        ConfiguredParallelEnv(EnvContext(config, worker_index=0))


HUGE = ["num_devices=2", "horizon=5", "local.zeta=4", "devices.cpu_hz=[1e12]", "tasks.data_bits=[1e15, 1e15]"]
HUGE += ["tasks.cycles_per_bit=1e6", "cost.energy_ref_j=1e-6", "local.rho=1e-15"]


def test_costs_that_rewards_cannot_hold_are_told():
    env = OffloadingBatchedEnv(load_scenario("paper", HUGE))
    env.reset([0])
    action = {"mode": np.zeros((1, 2), np.int64), "fraction": np.zeros((1, 2, 1), np.float32)}
    with pytest.raises(InputError, match=r"a slot of scenario 'paper' costs .*e\+4\d; to learn from") as caught:
        env.step(action)
    assert is_one_sentence(str(caught.value))


def test_training_on_them_is_refused_and_leaves_room_for_another_run(tmp_path, ray_session):
    run = Run(scenario=load_scenario("paper", HUGE), env_steps=20, learner={"hidden": [8]})
    for _ in range(2):
        with pytest.raises(InputError, match="to learn from"):
            train(run, tmp_path / "run")


@pytest.mark.parametrize("kind", [ConfiguredBatchedEnv, ConfiguredParallelEnv])
@pytest.mark.parametrize("trace", ["mine.npz", 5, [], {"files": 3}, {"files": [], "more": 1}])
def test_a_trace_of_a_configuration_that_is_no_library(kind, trace):
    config = {"scenario": load_scenario("small").model_dump(mode="json"), "trace": trace}
    context = EnvContext(config, worker_index=0)
    context.num_envs = 1
    with pytest.raises(InputError, match="trace of env_config is") as caught:
        kind(context)
    assert is_one_sentence(str(caught.value))
