"""DQN + DDPG for mixed discrete-continuous actions, on RLlib's new API stack."""

from __future__ import annotations

import time
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.annotations import override
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    REPLAY_BUFFER_SAMPLE_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from meqc_marl.rl.env_runner import BatchedEnvRunner, Fragment
from meqc_marl.rl.learner import DQNDDPGLearner
from meqc_marl.rl.multi_agent import episode_rows
from meqc_marl.rl.replay_buffer import FlatReplayBuffer
from meqc_marl.rl.rl_module import DQNDDPGModule

REPLAY_BUFFER = "replay_buffer"
_MODEL_FIELDS = (
    "hidden",
    "critic",
    "activation",
    "epsilon",
    "exploration_noise",
    "parameterless_modes",
    "mask_columns",
)
Schedule = float | list[list[float]]


class DQNDDPGConfig(AlgorithmConfig):
    """Configuration of :class:`DQNDDPG`.

    Works for any environment, single- or multi-agent, whose action is one Discrete plus Boxes (see
    :mod:`meqc_marl.rl.spaces`) and whose observation is a flat Box. Schedules are a number or RLlib's
    ``[[env_steps, value], ...]``.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or DQNDDPG)
        self.env_runner_cls = BatchedEnvRunner
        self.framework_str = "torch"
        # Both learning rates are the optimizers' own.
        self.lr = None
        self.critic_lr: Schedule = 1e-3
        self.actor_lr: Schedule = 1e-4
        self.gamma = 0.99
        self.tau = 0.005
        self.hidden: tuple[int, ...] = (128, 128)
        self.critic = "multi-pass"
        self.activation = "silu"
        self.epsilon: Schedule = [[0, 1.0], [10_000, 0.05]]
        self.exploration_noise: Schedule = 0.1
        self.parameterless_modes: tuple[int, ...] = ()
        self.mask_columns: tuple[tuple[int, int], ...] = ()
        self.reward_scale = 1.0
        self.huber_delta = 1.0
        self.grad_norm: float | None = 10.0
        self.train_batch_size_per_learner = 256
        self.updates_per_training_step = 1
        self.replay_capacity = 200_000
        self.num_steps_before_learning = 1_000
        self.rollout_fragment_length = 1
        self.max_empty_sampling_rounds = 3
        # Sigmoid-free parameters are already in the environment's units; RLlib must not rescale them.
        self.normalize_actions = False
        self.clip_actions = False
        self.min_time_s_per_iteration = None
        self.min_sample_timesteps_per_iteration = 1_000

    @override(AlgorithmConfig)
    def training(
        self,
        *,
        critic_lr: Any = NotProvided,
        actor_lr: Any = NotProvided,
        tau: Any = NotProvided,
        hidden: Any = NotProvided,
        critic: Any = NotProvided,
        activation: Any = NotProvided,
        epsilon: Any = NotProvided,
        exploration_noise: Any = NotProvided,
        parameterless_modes: Any = NotProvided,
        mask_columns: Any = NotProvided,
        reward_scale: Any = NotProvided,
        huber_delta: Any = NotProvided,
        grad_norm: Any = NotProvided,
        updates_per_training_step: Any = NotProvided,
        replay_capacity: Any = NotProvided,
        num_steps_before_learning: Any = NotProvided,
        max_empty_sampling_rounds: Any = NotProvided,
        **kwargs: Any,
    ) -> DQNDDPGConfig:
        """Set the algorithm's own parameters; others go to ``AlgorithmConfig.training``.

        Args:
            critic_lr: Learning rate of the DQN head (schedule).
            actor_lr: Learning rate of the DDPG head (schedule).
            tau: Share by which targets move to the main networks at each update.
            hidden: Widths of the hidden layers of both heads.
            critic: ``multi-pass`` or ``joint``.
            activation: ``silu`` or ``relu``.
            epsilon: Probability of a random action (schedule).
            exploration_noise: Standard deviation of the noise on parameters, of their range (schedule).
            parameterless_modes: Modes that ignore a shared Box.
            mask_columns: (mode, observation column): the mode is allowed where the column is above one half.
            reward_scale: Factor on rewards in the loss.
            huber_delta: Error beyond which the critic's loss is linear.
            grad_norm: Largest gradient norm of each head; None for no clipping.
            updates_per_training_step: Minibatches after each round of sampling.
            replay_capacity: Transitions kept.
            num_steps_before_learning: Environment steps sampled before the first update.
            max_empty_sampling_rounds: Consecutive rounds without a sample after which training stops with an error.
        """
        super().training(**kwargs)
        own = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
        for name, value in own.items():
            if value is not NotProvided:
                setattr(self, name, value)
        return self

    @override(AlgorithmConfig)
    def validate(self) -> None:
        super().validate()
        if self.critic not in ("multi-pass", "joint"):
            self._value_error(f"critic = {self.critic!r}: must be 'multi-pass' or 'joint'.")
        if self.activation not in ("silu", "relu"):
            self._value_error(f"activation = {self.activation!r}: must be 'silu' or 'relu'.")
        if not 0 <= self.gamma < 1:
            self._value_error(f"gamma = {self.gamma}: must be at least 0 and below 1.")
        for name in ("replay_capacity", "updates_per_training_step", "train_batch_size_per_learner"):
            if getattr(self, name) < 1:
                self._value_error(f"{name} = {getattr(self, name)}: must be at least 1.")

    @property
    @override(AlgorithmConfig)
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return super()._model_config_auto_includes | {name: getattr(self, name) for name in _MODEL_FIELDS}

    @override(AlgorithmConfig)
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=DQNDDPGModule)

    @override(AlgorithmConfig)
    def get_default_learner_class(self) -> type:
        return DQNDDPGLearner


class DQNDDPG(Algorithm):
    """Samples a round, stores it in a flat replay buffer, makes some updates, and sends the weights out."""

    config: DQNDDPGConfig

    @classmethod
    @override(Algorithm)
    def get_default_config(cls) -> DQNDDPGConfig:
        return DQNDDPGConfig()

    @override(Algorithm)
    def setup(self, config: Any) -> None:
        super().setup(config)
        self.replay_buffer = FlatReplayBuffer(self.config.replay_capacity, self.config.seed)
        self._empty_rounds = 0
        self._module_id = next(iter(self.config.policies))

    @override(Algorithm)
    def training_step(self) -> None:
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            samples = self._sample()
        added = -self.replay_buffer.num_added
        for sample in samples:
            self.replay_buffer.add(self._rows(sample))
        added += self.replay_buffer.num_added
        self.metrics.log_value((REPLAY_BUFFER, "added"), added, reduce="lifetime_sum", with_throughput=True)
        sampled = int(self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0))
        self.metrics.log_value((REPLAY_BUFFER, "size"), len(self.replay_buffer), window=1)
        if sampled < self.config.num_steps_before_learning:
            return
        with self.metrics.log_time((TIMERS, REPLAY_BUFFER_SAMPLE_TIMER)):
            batch = self._train_batch()
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                batch=batch,
                minibatch_size=self.config.train_batch_size_per_learner,
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: sampled},
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group,
                inference_only=True,
            )

    def _sample(self) -> list[Any]:
        samples, results = synchronous_parallel_sample(
            worker_set=self.env_runner_group,
            concat=True,
            sample_timeout_s=self.config.sample_timeout_s,
            _uses_new_env_runners=True,
            _return_metrics=True,
        )
        self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
        # RLlib restarts a failed runner for ever; an environment that always fails would spin here without a word.
        self._empty_rounds = 0 if samples else self._empty_rounds + 1
        if self._empty_rounds >= self.config.max_empty_sampling_rounds:
            raise RuntimeError(
                f"no EnvRunner returned a sample in {self._empty_rounds} rounds; the original error is in the log of "
                "the EnvRunner above."
            )
        if not samples:
            time.sleep(1.0)
        return samples

    def _rows(self, sample: Any) -> dict[str, Any]:
        if isinstance(sample, Fragment):
            return sample.rows(self.config.gamma)
        return episode_rows(sample, self.config.gamma, self.get_module(self._module_id).layout)

    def _train_batch(self) -> MultiAgentBatch:
        size = self.config.train_batch_size_per_learner * max(1, self.config.num_learners)
        size *= self.config.updates_per_training_step
        unused = frozenset() if self.config.gamma > 0 else frozenset({"new_obs", "discount"})
        rows = self.replay_buffer.sample(size, unused)
        return MultiAgentBatch({self._module_id: SampleBatch(rows)}, env_steps=size)

    @override(Checkpointable)
    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(REPLAY_BUFFER, components, not_components):
            state[REPLAY_BUFFER] = self.replay_buffer.get_state()
        return state

    @override(Checkpointable)
    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if REPLAY_BUFFER in state:
            self.replay_buffer.set_state(state[REPLAY_BUFFER])

    @override(Checkpointable)
    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [*super().get_checkpointable_components(), (REPLAY_BUFFER, self.replay_buffer)]
