"""Nothing of RLlib's configuration is taken and then not read: all of it is known here, or refused by name."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.tune.registry import register_env

from meqc_marl.dqn_ddpg import refusals
from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.options import LearnerOptions
from meqc_marl.dqn_ddpg.spaces import parse_action_space

#: What RLlib's Algorithm, groups, Learner or EnvRunners read, whatever the algorithm; or what is refused by a rule.
READ_BY_RLLIB = """
_disable_action_flattening _disable_preprocessor_api _dont_auto_sync_env_runner_states _env_to_module_connector
_fake_gpus _is_atari _is_frozen _is_online _learner_class _learner_connector _model_config _module_to_env_connector
_per_module_overrides _rl_module_spec _train_batch_size_per_learner _use_msgpack_checkpoints _validate_config
action_space algo_class algorithm_config_overrides_per_module always_attach_evaluation_results
broadcast_env_runner_states callbacks_class callbacks_on_algorithm_init callbacks_on_checkpoint_loaded
callbacks_on_env_runners_recreated callbacks_on_environment_created callbacks_on_episode_end
callbacks_on_episode_start callbacks_on_episode_step callbacks_on_evaluate_end callbacks_on_evaluate_start
callbacks_on_sample_end callbacks_on_train_result checkpoint_trainable_policies_only create_env_on_local_worker
create_local_env_runner custom_async_evaluation_function custom_evaluation_function custom_resources_for_main_process
custom_resources_per_env_runner custom_resources_per_learner delay_between_env_runner_restarts_s disable_env_checking
enable_env_runner_and_connector_v2 enable_rl_module_and_learner env env_config env_runner_cls
env_runner_health_probe_timeout_s env_runner_restore_timeout_s env_runner_state_server_max_concurrency
evaluation_auto_duration_max_env_steps_per_sample evaluation_auto_duration_min_env_steps_per_sample evaluation_config
evaluation_duration evaluation_duration_unit evaluation_error_after_n_consecutive_skips
evaluation_force_reset_envs_before_iteration evaluation_interval evaluation_num_env_runners
evaluation_parallel_to_training evaluation_sample_timeout_s evaluation_unhealthy_workers_timeout_s explore
export_native_model_files extra_python_environs_for_driver extra_python_environs_for_worker framework_str grad_clip
grad_clip_by ignore_env_runner_failures in_evaluation local_gpu_idx log_gradients log_level log_sys_usage
max_num_env_runner_restarts max_requests_in_flight_per_env_runner max_requests_in_flight_per_learner
merge_env_runner_states metrics_episode_collection_timeout_s metrics_num_episodes_for_smoothing
min_sample_timesteps_per_iteration min_time_s_per_iteration min_train_timesteps_per_iteration normalize_actions
num_consecutive_env_runner_failures_tolerance num_cpus_for_main_process num_cpus_per_env_runner num_cpus_per_learner
num_env_runners num_envs_per_env_runner num_gpus num_gpus_per_env_runner num_gpus_per_learner num_learners
observation_space placement_strategy policies policies_to_train policy_map_capacity policy_mapping_fn
policy_states_are_swappable restart_failed_env_runners rollout_fragment_length sample_timeout_s seed stats_cls_lookup
torch_compile_learner torch_compile_learner_dynamo_backend torch_compile_learner_dynamo_mode
torch_compile_learner_what_to_compile torch_ddp_kwargs use_env_runner_state_server
validate_env_runners_after_construction
"""
#: Of RLlib's old API, or of learning from stored data: read by no part of the new API that runs here.
OF_OLD_API = """
_disable_execution_plan_api _disable_initialize_loss_from_dummy_batch _enable_rl_module_api _prior_exploration_config
_tf_policy_handles_more_than_one_loss auto_wrap_old_gym_envs collect_metrics_timeout eager_max_retraces eager_tracing
enable_async_evaluation enable_connectors enable_tf1_exec_eagerly evaluation_num_episodes fake_sampler
learner_config_dict local_tf_session_args metrics_smoothing_episodes min_iter_time_s
min_sample_timesteps_per_reporting min_time_s_per_reporting min_train_timesteps_per_reporting monitor
num_cpus_for_local_worker policy_map_cache postprocess_inputs preprocessor_pref remote_env_batch_wait_ms
sample_collector sampler_perf_stats_ema_coef simple_optimizer sync_filters_on_rollout_workers_timeout_s
synchronize_filters tf_session_args timesteps_per_iteration torch_compile_worker_dynamo_backend
torch_compile_worker_dynamo_mode update_worker_filter_stats use_worker_filter_stats worker_cls
max_requests_in_flight_per_aggregator_actor
"""
OF_STORED_DATA = ("input_", "output_", "offline_", "prelearner_", "dataset_", "ope_", "materialize_", "map_batches_")
OF_STORED_DATA_TOO = """
actions_in_input_normalized callbacks_on_evaluate_offline_end callbacks_on_evaluate_offline_start
ignore_final_observation iter_batches_kwargs off_policy_estimation_methods shuffle_buffer_size
"""


def test_everything_that_rllib_can_be_told_is_read_or_refused():
    """What a new RLlib adds is in none of these: look up who reads it, then add it to the one or the other."""
    refused = refusals._UNREAD.keys() | refusals._UNREAD_IN_ROWS.keys()
    told = f"{READ_BY_RLLIB} {OF_OLD_API} {OF_STORED_DATA_TOO}".split()
    known = {*refused, *LearnerOptions.model_fields, *told}
    attributes = vars(DQNDDPGConfig()).keys()
    unknown = [name for name in attributes - known if not name.startswith(OF_STORED_DATA) and "offline" not in name]
    assert unknown == []
    assert not refused & {*READ_BY_RLLIB.split(), *OF_OLD_API.split()}
    assert attributes >= {*refused, *READ_BY_RLLIB.split()}


class Sides(gym.Env):
    """Two sides and a share; the first column of what is seen is the slot."""

    observation_space = Box(-1.0, 1.0, (2,), np.float32)
    action_space = Dict(side=Discrete(2), share=Box(0.0, 1.0, (1,), np.float32))

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.full(2, self.t / 10, np.float32), float(action["side"]), False, self.t >= 10, {}


def sides() -> DQNDDPGConfig:
    register_env("sides", lambda context: Sides())
    config = DQNDDPGConfig().environment("sides").debugging(seed=0, log_level="ERROR")
    config.training(hidden=(8,), gamma=0.5, num_steps_before_learning=20)
    return config.reporting(min_sample_timesteps_per_iteration=50)


def told_for_a_module(config, **model_config):
    spec = MultiRLModuleSpec(rl_module_specs={"a": RLModuleSpec(model_config=model_config)})
    config.multi_agent(policies={"a"}, policy_mapping_fn=lambda *a, **k: "a").rl_module(rl_module_spec=spec)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.learners().update_from_dict({"torch_skip_nan_gradients": True}), "^torch_skip_nan_gradients is"),
        (lambda c: c.environment(render_env=True), "^render_env is True"),
        (
            lambda c: c.fault_tolerance(restart_failed_sub_environments=True),
            "^restart_failed_sub_environments is True",
        ),
        (lambda c: c.multi_agent(count_steps_by="agent_steps"), "^count_steps_by is"),
        (lambda c: c.env_runners(episodes_to_numpy=False), "^episodes_to_numpy is False"),
        (
            lambda c: c.training(n_step=3).env_runners(env_runner_cls=SingleAgentEnvRunner),
            "^n_step is 3 and rollout_fragment_length 1;",
        ),
        (lambda c: told_for_a_module(c, mode_columns=((0, 0), (1, 1))), "^model_config of module 'a': mode_columns is"),
        (lambda c: told_for_a_module(c, context="mean"), "^model_config of module 'a': context is 'mean'"),
        (
            lambda c: told_for_a_module(c.training(gamma=0.0), double_q=True),
            "^model_config of module 'a': double_q is True",
        ),
        (lambda c: c.update_from_dict({"gama": 0.3}), "^parameter 'gama' is unknown .did you mean 'gamma'"),
        (lambda c: c.update_from_dict({"training": {"gamma": 0.3}}), "^parameter 'training' is unknown"),
        (lambda c: DQNDDPGConfig.from_dict({"hiden": (3,)}), "^parameter 'hiden' is unknown .did you mean 'hidden'"),
    ],
)
def test_what_would_be_ignored_is_refused(change, sentence):
    config = sides()
    with pytest.raises(ConfigurationError, match=sentence + r".*\.$"):  # noqa: PT012
        change(config)
        config.validate()


def test_what_rllib_reads_of_a_dict_is_taken():
    given = {"env": "sides", "gamma": 0.25, "num_env_runners": 0, "framework": "torch", "evaluation_interval": 2}
    config = DQNDDPGConfig.from_dict(given | {"evaluation_config": {"epsilon": 0.0}})
    config.validate()
    assert (config.gamma, config.evaluation_interval) == (0.25, 2)
    assert DQNDDPGConfig.from_dict(config.to_dict()).gamma == 0.25


@pytest.mark.parametrize("runners", [0, 1])
@pytest.mark.timeout(120)
def test_evaluation_is_greedy_unless_told_otherwise(ray_session, runners):
    config = sides().training(epsilon=1.0)
    config.evaluation(evaluation_interval=1, evaluation_num_env_runners=runners, evaluation_duration=4)
    exploring = sides().training(epsilon=1.0).evaluation(evaluation_interval=1, evaluation_config={"explore": True})
    assert (config.copy().evaluation_config, exploring.evaluation_config) == ({"explore": False}, {"explore": True})
    merged = sides().evaluation(evaluation_config={"epsilon": 0.5})
    assert merged.evaluation_config == {"explore": False, "epsilon": 0.5}
    algorithm = config.build_algo()
    returns = []
    for _ in range(2):
        algorithm.train()
        module = algorithm.get_module()
        now = algorithm.evaluate()["env_runners"]["episode_return_mean"]
        side = [
            int(module.forward_inference({"obs": torch.full((1, 2), t / 10)})["actions"]["side"]) for t in range(10)
        ]
        returns.append((now, float(sum(side))))
    algorithm.stop()
    # With epsilon 1 an exploring policy takes side 1 in half of all steps, and hardly ever in all or none.
    assert all(told == expected for told, expected in returns)


@pytest.mark.timeout(120)
def test_what_would_disturb_training_is_refused(ray_session):
    algorithm = sides().build_algo()
    algorithm.train()
    before = algorithm.env_runner.num_env_steps_sampled_lifetime
    with pytest.raises(ConfigurationError, match=r"^evaluation_interval is None; .*\.$"):
        algorithm.evaluate()
    with pytest.raises(ConfigurationError, match=r"^module 'new' cannot be added .*\.$"):
        algorithm.add_module("new", RLModuleSpec())
    with pytest.raises(ConfigurationError, match=r"^module 'default_policy' cannot be removed .*\.$"):
        algorithm.remove_module("default_policy")
    assert algorithm.env_runner.num_env_steps_sampled_lifetime == before
    algorithm.train()
    algorithm.stop()


def test_a_box_without_an_axis_is_built_for_one_action_and_for_many():
    layout = parse_action_space(Dict(side=Discrete(2), share=Box(0.0, 1.0, (), np.float32)))
    one = layout.build(np.array(1), np.array([0.1, 0.6], np.float32))
    assert one["share"].shape == ()
    assert float(one["share"]) == pytest.approx(0.6)
    tensor = layout.build(torch.tensor(1), torch.tensor([0.1, 0.6]))
    assert float(tensor["share"]) == pytest.approx(0.6)
    many = layout.build(np.array([0, 1]), np.array([[0.1, 0.6]] * 2, np.float32))
    np.testing.assert_allclose(many["share"], [0.1, 0.6])
