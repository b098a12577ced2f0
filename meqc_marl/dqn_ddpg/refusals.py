"""What RLlib's configuration can hold and the algorithm would not read: refused, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .env_runner import BatchedEnvRunner
from .errors import ConfigurationError
from .learner import DQNDDPGLearner
from .options import LearnerOptions, ModuleOptions, extra_of, keeps_slots
from .words import did_you_mean

_LEAVE = "leave it out"
#: RLlib's own that nothing here reads, and what to set instead.
_UNREAD = {
    "lr": "set critic_lr and actor_lr",
    "train_batch_size": "set train_batch_size_per_learner",
    "minibatch_size": "set train_batch_size_per_learner",
    "num_epochs": "set updates_per_training_step",
    "model": "set hidden, activation and critic",
    "clip_rewards": "set reward_scale, or let the environment clip",
    "observation_filter": "let the environment scale what it gives",
} | dict.fromkeys(
    (
        *("optimizer", "shuffle_batch_per_epoch", "compress_observations", "exploration_config", "observation_fn"),
        *("output", "input_", "add_default_connectors_to_learner_pipeline", "torch_skip_nan_gradients"),
        *("_torch_lr_scheduler_classes", "_torch_grad_scaler_class", "torch_compile_worker", "env_task_fn"),
        *("num_aggregator_actors_per_learner", "action_mask_key", "keep_per_episode_custom_metrics"),
        *("replay_sequence_length", "prioritized_replay", "prioritized_replay_alpha", "prioritized_replay_beta"),
        *("prioritized_replay_eps", "buffer_size", "learning_starts", "replay_batch_size", "replay_mode"),
        *("offline_evaluation_interval", "num_offline_eval_runners", "input_config", "output_config"),
    ),
    _LEAVE,
)
#: And that RLlib's EnvRunners read, but not the batched one.
_UNREAD_IN_ROWS = dict.fromkeys(
    (
        *("batch_mode", "callbacks_on_episode_created", "clip_actions", "remote_worker_envs", "gym_env_vectorize_mode"),
        *("add_default_connectors_to_env_to_module_pipeline", "add_default_connectors_to_module_to_env_pipeline"),
        *("render_env", "restart_failed_sub_environments", "count_steps_by", "episodes_to_numpy"),
        *("episode_lookback_horizon",),
    ),
    "leave it out, or set env_runner_cls to RLlib's SingleAgentEnvRunner or MultiAgentEnvRunner",
)
#: Not attributes, but what RLlib reads of a dict.
_OF_DICTS = ("multiagent", "_enable_new_api_stack", "__trial_info__")
#: Of the learner's own, those that acting reads.
_IN_EVALUATION = ("epsilon", "exploration_noise")


def refuse_what_would_be_ignored(config: Any) -> None:
    """See that nothing is configured that the algorithm would not read.

    Raises:
        ConfigurationError: That names it.
    """
    batched = isinstance(config.env_runner_cls, type) and issubclass(config.env_runner_cls, BatchedEnvRunner)
    if not (config.enable_rl_module_and_learner and config.enable_env_runner_and_connector_v2):
        raise ConfigurationError("api_stack is the old one; there is only the new one here: leave it out.")
    if not (isinstance(config.learner_class, type) and issubclass(config.learner_class, DQNDDPGLearner)):
        raise ConfigurationError(f"learner_class is {config.learner_class!r}; it must be a subclass of DQNDDPGLearner.")
    if not config.in_evaluation:  # RLlib itself changes some there
        _refuse_unread(config, _UNREAD | (_UNREAD_IN_ROWS if batched else {}))
        _check_evaluation(config)
    for name in ("env_to_module_connector", "module_to_env_connector"):
        if batched and getattr(config, f"_{name}") is not None:
            raise ConfigurationError(
                f"{name} is given; the batched EnvRunner has no episodes to run it on: change what the environment "
                "gives and takes, or set env_runner_cls to RLlib's SingleAgentEnvRunner or MultiAgentEnvRunner."
            )
    if config._learner_connector is not None:
        raise ConfigurationError("learner_connector is given; replayed rows do not pass through it: leave it out.")
    if config.normalize_actions:
        raise ConfigurationError(
            "normalize_actions is True; parameters are in the environment's units: leave it False."
        )
    length = config.rollout_fragment_length
    if not batched and not config.in_evaluation and isinstance(length, int) and config.n_step > length:
        raise ConfigurationError(
            f"n_step is {config.n_step} and rollout_fragment_length {length}; RLlib's EnvRunners give rewards of one "
            f"fragment at a time: set rollout_fragment_length to {config.n_step} or more."
        )
    if keeps_slots(config) and not batched:
        given = "whole_slots is True" if config.context == "none" else f"context is {config.context!r}"
        raise ConfigurationError(f"{given}; it needs the batched EnvRunner.")
    _check_overrides(config)
    _check_modules(config)


def refuse_unknown(config: Any, given: Mapping[str, Any]) -> None:
    """See that a dict names nothing that a configuration lacks.

    Raises:
        ConfigurationError: That tells what may be meant.
    """
    known = vars(type(config)())
    for name in given:
        attribute = config._translate_special_keys(name, warn_deprecated=False)
        if attribute not in known and name not in _OF_DICTS:
            raise ConfigurationError(f"parameter '{name}' is unknown{did_you_mean(name, known)}")


def _check_modules(config: Any) -> None:
    """What modules are told by themselves must fit what all share."""
    whole = config.rl_module_spec
    for module_id, spec in getattr(whole, "rl_module_specs", {"default": whole}).items():
        given = spec.model_config or config._model_config
        told = dict(config.algorithm_config_overrides_per_module.get(module_id, {}))
        told |= given if isinstance(given, dict) else {}
        own = {name: value for name, value in told.items() if name in LearnerOptions.model_fields}
        try:
            options = LearnerOptions.of(config.options.model_dump() | own)
        except ConfigurationError as error:
            raise ConfigurationError(f"model_config of module {module_id!r}: {error}") from None
        if keeps_slots(options) != keeps_slots(config):
            raise ConfigurationError(
                f"model_config of module {module_id!r}: context is {options.context!r} and that of training "
                f"{config.context!r}; with either of them whole slots are replayed, for all modules: set "
                "training(whole_slots=True)."
            )


def _refuse_unread(config: Any, unread: dict[str, str]) -> None:
    usual = type(config)()
    for name, instead in unread.items():
        if (value := getattr(config, name)) != getattr(usual, name):
            raise ConfigurationError(f"{name} is {value!r:.80}; nothing here reads it: {instead}.")


def _check_evaluation(config: Any) -> None:
    given = config.evaluation_config or {}
    changed = given if isinstance(given, dict) else {}
    for name in changed:
        if name.removeprefix("_") in ("env_to_module_connector", "module_to_env_connector"):
            raise ConfigurationError(f"{name} is in evaluation_config; evaluation has what training has: {_LEAVE}.")
        if name in LearnerOptions.model_fields and name not in _IN_EVALUATION:
            raise ConfigurationError(
                f"{name} is in evaluation_config; evaluation does not learn, and acts with the networks of training: "
                f"only {' and '.join(_IN_EVALUATION)} may differ."
            )


def _differing() -> list[str]:
    """Parameters in which modules may differ: what their loss and their optimizers read at each update."""
    fields = LearnerOptions.model_fields.items()
    differing = [name for name, field in fields if not extra_of(field).keys().isdisjoint({"mid_run", "by_module"})]
    return [name for name in differing if name not in ModuleOptions.model_fields]


def _check_overrides(config: Any) -> None:
    """Replay and sampling are shared by all modules: what they read cannot differ between two."""
    differing = _differing()
    for name, spec in config.policies.items() if isinstance(config.policies, dict) else ():
        if getattr(spec, "config", None):
            raise ConfigurationError(
                f"policy {name!r} has a config of its own, which is not read; give its parameters as "
                f"algorithm_config_overrides_per_module: {', '.join(differing)}."
            )
    for module_id, overrides in config.algorithm_config_overrides_per_module.items():
        if module_id not in config.policies:
            policies = sorted(config.policies)
            raise ConfigurationError(
                f"algorithm_config_overrides_per_module names {module_id!r}; the policies are {policies}."
            )
        if unread := [name for name in overrides if name in _UNREAD]:
            raise ConfigurationError(
                f"{unread[0]} is overridden for module {module_id!r}; nothing here reads it: {_UNREAD[unread[0]]}."
            )
        own = {name: value for name, value in overrides.items() if name in LearnerOptions.model_fields}
        if others := [name for name in own if name not in differing]:
            raise ConfigurationError(
                f"{others[0]} is overridden for module {module_id!r}; it is the same for all, which may differ in "
                f"{', '.join(differing)}."
            )
        LearnerOptions.of(config.options.model_dump() | own)
