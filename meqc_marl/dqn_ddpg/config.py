"""Configuration of the algorithm: RLlib's, with the learner's parameters as attributes."""

from __future__ import annotations

import inspect
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.annotations import override

from .env_runner import BatchedEnvRunner
from .errors import ConfigurationError
from .learner import DQNDDPGLearner
from .options import LearnerOptions, ModuleOptions
from .refusals import refuse_unknown, refuse_what_would_be_ignored
from .rl_module import DQNDDPGModule
from .words import did_you_mean

_RLLIBS_OWN = tuple(inspect.signature(AlgorithmConfig.training).parameters)[1:]
#: Evaluation measures the policy, not the exploration, unless told otherwise.
_GREEDY = {"explore": False}


class DQNDDPGConfig(AlgorithmConfig):
    """Configuration of :class:`DQNDDPG`.

    Works for any environment, single- or multi-agent, whose action is one Discrete plus Boxes (see
    :mod:`~meqc_marl.dqn_ddpg.spaces`) and whose observation is a flat Box. Every parameter of
    :class:`~meqc_marl.dqn_ddpg.options.LearnerOptions` is an attribute.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        if algo_class is None:
            from .algorithm import DQNDDPG as algo_class  # which has this as its default
        super().__init__(algo_class=algo_class)
        for name, value in LearnerOptions().model_dump().items():
            setattr(self, name, value)
        self.env_runner_cls = BatchedEnvRunner
        self.framework_str = "torch"
        # Both learning rates are the optimizers' own.
        self.lr = None
        self.rollout_fragment_length = 1
        # Sigmoid-free parameters are already in the environment's units; RLlib must not rescale them.
        self.normalize_actions = False
        self.clip_actions = False
        self.min_time_s_per_iteration = None
        self.evaluation_config = dict(_GREEDY)
        self.min_sample_timesteps_per_iteration = 1_000

    def __getattr__(self, name: str) -> Any:
        """The default of a parameter that a stored configuration is too old to have."""
        if name in LearnerOptions.model_fields:
            return LearnerOptions.model_fields[name].default
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @override(AlgorithmConfig)
    def training(self, options: LearnerOptions | None = None, **parameters: Any) -> DQNDDPGConfig:
        """Set parameters of the learner by name; RLlib's own go to ``AlgorithmConfig.training``.

        Values are checked by :meth:`validate`, so that they may be Ray Tune's.

        Args:
            options: All parameters at once.
            parameters: Those to change.

        Raises:
            ConfigurationError: If a name is unknown.
        """
        own = {} if options is None else options.model_dump()
        own |= {name: value for name, value in parameters.items() if name in LearnerOptions.model_fields}
        others = {name: value for name, value in parameters.items() if name not in own}
        for name in others:
            if name not in _RLLIBS_OWN:
                known = (*LearnerOptions.model_fields, *_RLLIBS_OWN)
                raise ConfigurationError(f"parameter '{name}' is unknown{did_you_mean(name, known)}")
        super().training(**others)
        for name, value in own.items():
            setattr(self, name, value)
        return self

    @override(AlgorithmConfig)
    def evaluation(self, *, evaluation_config: Any = NotProvided, **parameters: Any) -> DQNDDPGConfig:
        """As RLlib's; evaluation is greedy unless ``evaluation_config`` has ``explore``."""
        if isinstance(evaluation_config, dict):
            evaluation_config = _GREEDY | evaluation_config
        return super().evaluation(evaluation_config=evaluation_config, **parameters)

    @override(AlgorithmConfig)
    def update_from_dict(self, config_dict: dict[str, Any]) -> DQNDDPGConfig:
        """Set what is named.

        Raises:
            ConfigurationError: If a name is unknown.
        """
        if not isinstance(config_dict, AlgorithmConfig):  # which RLlib hands over here, too
            refuse_unknown(self, config_dict)
        return super().update_from_dict(config_dict)

    @property
    def options(self) -> LearnerOptions:
        """The learner's parameters, checked.

        Raises:
            ConfigurationError: If one is not allowed.
        """
        return LearnerOptions.of({name: getattr(self, name) for name in LearnerOptions.model_fields})

    @override(AlgorithmConfig)
    def validate(self) -> None:
        super().validate()
        if self.options.asynchronous and not self.num_env_runners and not self.in_evaluation:
            raise ConfigurationError("asynchronous is True; it needs num_env_runners of at least 1.")
        refuse_what_would_be_ignored(self)

    @property
    @override(AlgorithmConfig)
    def _model_config_auto_includes(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ModuleOptions.model_fields}
        return super()._model_config_auto_includes | own

    @override(AlgorithmConfig)
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=DQNDDPGModule)

    @override(AlgorithmConfig)
    def get_default_learner_class(self) -> type:
        return DQNDDPGLearner
