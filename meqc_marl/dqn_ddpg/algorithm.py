"""DQN + DDPG for mixed discrete-continuous actions, on RLlib's new API stack."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from itertools import pairwise
from typing import Any

import ray
from ray.exceptions import RayError
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
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

from .env_runner import BatchedEnvRunner, Fragment
from .learner import DQNDDPGLearner, pop_row_errors
from .multi_agent import episode_rows
from .networks import ACTIVATIONS, BOUNDS, CRITICS
from .replay_buffer import FlatReplayBuffer
from .rl_module import PARAMETERS, TARGET_NOISE, DQNDDPGModule

REPLAY_BUFFER = "replay_buffer"
FAULTS = "faults"
#: After so many updates the driver copies the state of remote Learners, from which they are built anew if one dies.
_UPDATES_BETWEEN_COPIES = 500
_TARGET_NOISE_CLIP = 2.5  # standard deviations, as TD3 does
_MODEL_FIELDS = (
    "hidden",
    "critic",
    "activation",
    "bounds",
    "double_q",
    "twin_critics",
    "epsilon",
    "exploration_noise",
    "parameterless_modes",
    "mask_columns",
    "allowed_modes",
    "discrete",
)
Schedule = float | list[list[float]]
_logger = logging.getLogger(__name__)


class DQNDDPGConfig(AlgorithmConfig):
    """Configuration of :class:`DQNDDPG`.

    Works for any environment, single- or multi-agent, whose action is one Discrete plus Boxes (see
    :mod:`~meqc_marl.dqn_ddpg.spaces`) and whose observation is a flat Box. Schedules are a number or RLlib's
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
        self.bounds = "clamp"
        self.double_q = False
        self.twin_critics = False
        self.target_noise = 0.0
        self.n_step = 1
        self.replay_alpha = 0.0
        self.replay_beta = 0.4
        self.asynchronous = False
        self.epsilon: Schedule = [[0, 1.0], [10_000, 0.05]]
        self.exploration_noise: Schedule = 0.1
        self.parameterless_modes: tuple[int, ...] = ()
        self.mask_columns: tuple[tuple[int, int], ...] = ()
        self.allowed_modes: tuple[int, ...] = ()
        self.discrete = False
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
        bounds: Any = NotProvided,
        double_q: Any = NotProvided,
        twin_critics: Any = NotProvided,
        target_noise: Any = NotProvided,
        n_step: Any = NotProvided,
        replay_alpha: Any = NotProvided,
        replay_beta: Any = NotProvided,
        asynchronous: Any = NotProvided,
        epsilon: Any = NotProvided,
        exploration_noise: Any = NotProvided,
        parameterless_modes: Any = NotProvided,
        mask_columns: Any = NotProvided,
        allowed_modes: Any = NotProvided,
        discrete: Any = NotProvided,
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
            critic: ``multi-pass`` (MP-DQN), ``joint`` (P-DQN) or ``separate`` (the paper's DQN and DDPG).
            activation: ``silu`` or ``relu``.
            bounds: How parameters are kept in their range: ``clamp``, ``inverting`` (gradients) or ``sigmoid``.
            double_q: The main critic chooses the next mode, the target critic values it. Needs a discount.
            twin_critics: Bootstrap from the lesser of two critics. Needs a discount.
            target_noise: Standard deviation of the noise on the next parameters, of their range. Needs a discount.
            n_step: Steps of reward summed before bootstrapping. Needs a discount.
            replay_alpha: Exponent of the priorities of replay; 0 samples uniformly.
            replay_beta: Exponent of the importance weights of prioritised replay.
            asynchronous: Remote EnvRunners sample while the learner learns, with weights one round old. A resumed run
                then lacks the rounds that were under way; it is not bit-equal to an undisturbed one.
            epsilon: Probability of a random action (schedule).
            exploration_noise: Standard deviation of the noise on parameters, of their range (schedule).
            parameterless_modes: Modes that ignore a shared Box.
            mask_columns: (mode, observation column): the mode is allowed where the column is above one half.
            allowed_modes: The only modes ever taken, one of them without a mask; all if empty.
            discrete: Every parameter is at the upper end of its range: only the mode is learned.
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
        for name, choices in (("critic", CRITICS), ("activation", tuple(ACTIVATIONS)), ("bounds", BOUNDS)):
            if getattr(self, name) not in choices:
                self._value_error(f"{name} = {getattr(self, name)!r}: must be one of {', '.join(choices)}.")
        if not isinstance(self.gamma, int | float) or not 0 <= self.gamma < 1:
            self._value_error(f"gamma = {self.gamma}: must be at least 0 and below 1.")
        for name in ("replay_capacity", "updates_per_training_step", "train_batch_size_per_learner", "n_step"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                self._value_error(f"{name} = {getattr(self, name)}: must be a whole number of at least 1.")
        for name in ("replay_alpha", "replay_beta", "target_noise"):
            if not 0 <= getattr(self, name) < float("inf"):
                self._value_error(f"{name} = {getattr(self, name)}: must be at least 0 and finite.")
        self._validate_numbers()
        bootstrapping = {"double_q": False, "twin_critics": False, "target_noise": 0.0, "n_step": 1}
        for name, unused in bootstrapping.items():
            if self.gamma == 0 and getattr(self, name) != unused:
                self._value_error(f"{name} = {getattr(self, name)}: has no effect with gamma = 0; leave it {unused}.")
        masked = {mode for mode, _ in self.mask_columns}
        if self.allowed_modes and not set(self.allowed_modes) - masked:
            self._value_error(f"allowed_modes = {self.allowed_modes}: must hold a mode that is always allowed.")
        if self.asynchronous and not self.num_env_runners and not self.in_evaluation:
            self._value_error("asynchronous = True: needs num_env_runners of at least 1.")

    def _validate_numbers(self) -> None:
        """Numbers and schedules within their bounds."""
        for name, low, high in (
            *(("critic_lr", 0.0, 1e9), ("actor_lr", 0.0, 1e9), ("epsilon", 0.0, 1.0), ("exploration_noise", 0.0, 1e9)),
            *(("tau", 0.0, 1.0), ("huber_delta", 1e-12, 1e30), ("reward_scale", 0.0, 1e30)),
        ):
            value = getattr(self, name)
            scheduled = isinstance(value, list | tuple)
            if scheduled and not _is_schedule(value):
                self._value_error(f"{name} = {value}: a schedule must be a list of [env_steps, value], rising from 0.")
            levels = [level for _, level in value] if scheduled else [value]
            if not all(isinstance(level, int | float) and low <= level <= high for level in levels):
                self._value_error(f"{name} = {value}: must be within [{low:g}, {high:g}].")
        if self.grad_norm is not None and not (isinstance(self.grad_norm, int | float) and self.grad_norm > 0):
            self._value_error(f"grad_norm = {self.grad_norm}: must be above 0, or none.")
        if not isinstance(self.num_steps_before_learning, int) or self.num_steps_before_learning < 0:
            self._value_error(f"num_steps_before_learning = {self.num_steps_before_learning}: must be at least 0.")
        if not self.hidden or not all(isinstance(width, int) and width >= 1 for width in self.hidden):
            self._value_error(f"hidden = {list(self.hidden)}: must be one or more widths of at least 1.")

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
    """Samples a round, stores it in a flat replay buffer, makes some updates, and sends the weights out.

    Faults: an EnvRunner whose environment fails builds it anew, and one whose process dies is restarted by Ray; when
    rounds on end bring no sample, training stops with the original error. When a remote Learner dies, all are built
    anew from a copy of their state, at most 500 updates old. What is lost is counted under ``faults`` in the results.
    """

    config: DQNDDPGConfig
    learner_group: LearnerGroup

    @classmethod
    @override(Algorithm)
    def get_default_config(cls) -> DQNDDPGConfig:
        return DQNDDPGConfig()

    @override(Algorithm)
    def setup(self, config: Any) -> None:
        super().setup(config)
        self.replay_buffer = FlatReplayBuffer(
            self.config.replay_capacity, self.config.seed, self.config.replay_alpha, self.config.replay_beta
        )
        self._empty_rounds = 0
        self._original_error = ""
        self._learner_state: Any = None
        self._updates_unsaved = 0
        self._module_id = next(iter(self.config.policies))

    @override(Algorithm)
    def training_step(self) -> None:
        for name in ("sample_rounds_lost", "learner_restarts", "updates_lost"):
            self.metrics.log_value((FAULTS, name), 0, reduce="lifetime_sum")
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            samples = self._sample()
        added = -self.replay_buffer.num_added
        for sample in samples:
            if rows := self._rows(sample):
                self.replay_buffer.add(rows)
        added += self.replay_buffer.num_added
        self.metrics.log_value((REPLAY_BUFFER, "added"), added, reduce="lifetime_sum", with_throughput=True)
        sampled = int(self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0))
        self.metrics.log_value((REPLAY_BUFFER, "size"), len(self.replay_buffer), window=1)
        if sampled < self.config.num_steps_before_learning or not len(self.replay_buffer):
            return
        with self.metrics.log_time((TIMERS, REPLAY_BUFFER_SAMPLE_TIMER)):
            batch = self._train_batch()
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self._update(batch, sampled)
        for errors in pop_row_errors(results).values():
            self.replay_buffer.update_priorities(*errors)
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            try:
                self._send_weights()
            except (RayError, AssertionError, IndexError) as error:  # RLlib asserts that all Learners are well
                if self.learner_group.is_local:
                    raise
                self._rebuild_learners(error)
                self._send_weights()

    def _send_weights(self) -> None:
        self.env_runner_group.sync_weights(from_worker_or_learner_group=self.learner_group, inference_only=True)

    def _sample(self) -> list[Any]:
        """A round of fragments, one from each EnvRunner that is well; of stock EnvRunners, episodes."""
        group = self.env_runner_group
        if not self.config.num_env_runners:
            samples = group.local_env_runner.sample()
            self.metrics.aggregate([group.local_env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
            return samples
        answers = self._round_ahead() if self.config.asynchronous else self._round()
        self.metrics.aggregate([metrics for _, metrics, _ in answers], key=ENV_RUNNER_RESULTS)
        samples = [sample for samples, _, _ in answers for sample in samples]
        lost = self.config.num_env_runners - sum(bool(samples) for samples, _, _ in answers)
        if lost > 0:
            self.metrics.log_value((FAULTS, "sample_rounds_lost"), lost, reduce="lifetime_sum")
        for _, _, error in answers:
            if error is not None:
                self._original_error = error
                _logger.warning("an environment failed and was built anew:\n%s", error)
        # RLlib restarts a failed runner for ever; an environment that always fails would spin here without a word.
        self._empty_rounds = 0 if samples else self._empty_rounds + 1
        if self._empty_rounds >= self.config.max_empty_sampling_rounds:
            raise RuntimeError(
                f"no EnvRunner returned a sample in {self._empty_rounds} rounds. "
                + (f"The original error:\n{self._original_error}" if self._original_error else "They do not answer.")
            )
        if not samples:
            time.sleep(1.0)
        return samples

    def _round(self) -> list[Any]:
        """Let all remote EnvRunners sample, and wait for them."""
        return self.env_runner_group.foreach_env_runner(
            _sample_safely, local_env_runner=False, timeout_seconds=self.config.sample_timeout_s
        )

    def _round_ahead(self) -> list[Any]:
        """As many fragments as there are EnvRunners, from whichever have finished; all go on sampling."""
        group = self.env_runner_group
        answers: list[Any] = []
        deadline = time.monotonic() + self.config.sample_timeout_s
        while len(answers) < max(1, group.num_healthy_remote_env_runners()) and time.monotonic() < deadline:
            group.foreach_env_runner_async(_sample_safely, tag="sample")
            answers += [answer for _, answer in group.fetch_ready_async_reqs(tags="sample", timeout_seconds=0.1)]
            if not group.num_healthy_remote_env_runners():
                break
        group.foreach_env_runner_async(_sample_safely, tag="sample")
        return answers

    def _update(self, batch: MultiAgentBatch, sampled: int) -> list[Any]:
        """Make the updates; if a remote Learner has died, on Learners that are built anew."""
        arguments = {
            "minibatch_size": self.config.train_batch_size_per_learner,
            "timesteps": {NUM_ENV_STEPS_SAMPLED_LIFETIME: sampled},
        }
        if self.learner_group.is_local:
            return self.learner_group.update(batch=batch, **arguments)
        try:
            if self._learner_state is None:
                self._keep_learner_state()
            results = self.learner_group.update(batch=batch, **arguments)
        except RayError as error:
            self._rebuild_learners(error)
            results = self.learner_group.update(batch=batch, **arguments)
        self._updates_unsaved += self.config.updates_per_training_step
        if self._updates_unsaved >= _UPDATES_BETWEEN_COPIES:
            self._keep_learner_state()
        return results

    def _rebuild_learners(self, error: Exception) -> None:
        """Build all Learners anew if one has died; an error of Learners that are alive is raised again."""
        if _all_alive(self.learner_group._workers):
            raise error
        _logger.warning("a Learner died; all are built anew: %s", str(error).splitlines()[:1])
        self.metrics.log_value((FAULTS, "learner_restarts"), 1, reduce="lifetime_sum")
        self.metrics.log_value((FAULTS, "updates_lost"), self._updates_unsaved, reduce="lifetime_sum")
        self.learner_group.shutdown()
        spaces = self.env_runner_group.get_spaces()
        self.learner_group = self.config.build_learner_group(
            rl_module_spec=self.config.get_multi_rl_module_spec(spaces=spaces, inference_only=False)
        )
        self.learner_group.set_state(self._learner_state)
        self._updates_unsaved = 0

    def _keep_learner_state(self) -> None:
        self._learner_state = self.learner_group.get_state()
        self._updates_unsaved = 0

    def _rows(self, sample: Any) -> dict[str, Any]:
        if isinstance(sample, Fragment):
            return sample.rows(self.config.gamma, self.config.n_step)
        layout = self.get_module(self._module_id).layout
        return episode_rows(sample, self.config.gamma, layout, self.config.n_step)

    def _train_batch(self) -> MultiAgentBatch:
        size = self.config.train_batch_size_per_learner * max(1, self.config.num_learners)
        size *= self.config.updates_per_training_step
        unused = frozenset() if self.config.gamma > 0 else frozenset({"new_obs", "discount"})
        rows = self.replay_buffer.sample(size, unused)
        if self.config.target_noise:
            # Drawn here, where the random state is part of the checkpoint.
            noise = self.replay_buffer.standard_normal(rows[PARAMETERS].shape)
            rows[TARGET_NOISE] = self.config.target_noise * noise.clip(-_TARGET_NOISE_CLIP, _TARGET_NOISE_CLIP)
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
        self._learner_state = None
        if REPLAY_BUFFER in state:
            self.replay_buffer.set_state(state[REPLAY_BUFFER])

    @override(Checkpointable)
    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [*super().get_checkpointable_components(), (REPLAY_BUFFER, self.replay_buffer)]


def _is_schedule(points: Any) -> bool:
    """Whether it is a list of pairs of numbers, the first of each rising from 0."""
    pairs = all(isinstance(p, list | tuple) and len(p) == 2 and isinstance(p[0], int | float) for p in points)
    return bool(points) and pairs and points[0][0] == 0 and all(a[0] < b[0] for a, b in pairwise(points))


def _sample_safely(runner: Any) -> tuple[list[Any], Any, str | None]:
    """Samples, metrics and error of an EnvRunner, whose environment is built anew if it failed.

    RLlib's own way is to end the actor, wait for a minute and lose the error.
    """
    try:
        return runner.sample(), runner.get_metrics(), None
    except Exception:
        error = traceback.format_exc()
    with contextlib.suppress(Exception):  # of an environment that is broken already
        runner.stop()
    try:
        runner.make_env()
    except Exception:
        error += "\nand when it was built anew:\n" + traceback.format_exc()
    return [], runner.get_metrics(), error


def _all_alive(workers: list[Any]) -> bool:
    try:
        ray.get([worker.apply.remote(lambda learner: None) for worker in workers], timeout=30.0)
    except RayError:
        return False
    return True
