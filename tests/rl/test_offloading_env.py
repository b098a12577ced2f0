"""What an ``env_config`` may hold."""

import pytest
from ray.rllib.env.env_context import EnvContext

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.rl.offloading_env import ConfiguredBatchedEnv, ConfiguredParallelEnv
from tests.sentences import is_one_sentence


@pytest.mark.parametrize("kind", [ConfiguredBatchedEnv, ConfiguredParallelEnv])
@pytest.mark.parametrize("key", ["trace", "traces", "Scenario", "num_devices"])
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
