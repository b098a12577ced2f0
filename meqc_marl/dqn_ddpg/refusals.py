"""What RLlib's configuration can hold and the algorithm would not read: refused, in one sentence."""

from __future__ import annotations

from typing import Any

from .env_runner import BatchedEnvRunner
from .errors import ConfigurationError
from .options import LearnerOptions, ModuleOptions, extra_of, keeps_slots


def refuse_what_would_be_ignored(config: Any) -> None:
    """See that nothing is configured that the algorithm would not read.

    Raises:
        ConfigurationError: That names it.
    """
    batched = isinstance(config.env_runner_cls, type) and issubclass(config.env_runner_cls, BatchedEnvRunner)
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
    if keeps_slots(config) and not batched:
        given = "whole_slots is True" if config.context == "none" else f"context is {config.context!r}"
        raise ConfigurationError(f"{given}; it needs the batched EnvRunner.")
    _check_overrides(config)


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
        own = {name: value for name, value in overrides.items() if name in LearnerOptions.model_fields}
        if others := [name for name in own if name not in differing]:
            raise ConfigurationError(
                f"{others[0]} is overridden for module {module_id!r}; it is the same for all, which may differ in "
                f"{', '.join(differing)}."
            )
        LearnerOptions.of(config.options.model_dump() | own)
