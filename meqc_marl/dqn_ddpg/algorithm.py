"""DQN + DDPG for mixed discrete-continuous actions, on RLlib's new API stack."""

from __future__ import annotations

import logging
from typing import Any

import ray
from ray.exceptions import RayError
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.policy.sample_batch import MultiAgentBatch
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

from .config import DQNDDPGConfig
from .errors import ConfigurationError
from .learner import pop_row_errors
from .replay import REPLAY_BUFFER, Replay
from .replay_buffer import FlatReplayBuffer
from .sampling import FAULTS, Sampler

__all__ = ["DQNDDPG", "DQNDDPGConfig"]

#: After so many updates the driver copies the state of remote Learners, from which they are built anew if one dies.
_UPDATES_BETWEEN_COPIES = 500
_logger = logging.getLogger(__name__)


class DQNDDPG(Algorithm):
    """Samples a round, stores it in a flat replay buffer, makes some updates, and sends the weights out.

    Faults: an EnvRunner whose environment fails builds it anew, and one whose process dies is restarted by Ray and
    waited for; when rounds on end bring no sample, training stops with the original error. When a remote Learner dies,
    all are built anew from a copy of their state, at most 500 updates old. What is lost is counted under ``faults`` in
    the results.
    """

    config: DQNDDPGConfig
    learner_group: LearnerGroup
    env_steps_budget: int | None = None
    """Environment steps in all: the last iteration samples no more than what is left, in whole slots of all rows."""

    @classmethod
    @override(Algorithm)
    def get_default_config(cls) -> DQNDDPGConfig:
        return DQNDDPGConfig()

    @override(Algorithm)
    def setup(self, config: Any) -> None:
        super().setup(config)
        self.replay = Replay(self.config)
        self._sampler = Sampler(self.env_runner_group, self.config, self.metrics)
        self._learner_state: Any = None
        self._updates_unsaved = 0

    @override(Algorithm)
    def step(self) -> dict[str, Any]:
        self._shorten_iteration()
        return super().step()

    def _shorten_iteration(self) -> None:
        """Let the iteration end with the budget, where less of that is left than an iteration takes."""
        if (left := self._env_steps_left()) is not None and left < self.config.min_sample_timesteps_per_iteration:
            self.config = self.config.copy(copy_frozen=False)
            self.config.min_sample_timesteps_per_iteration = max(1, left)
            self.config.freeze()

    def _env_steps_left(self) -> int | None:
        if self.env_steps_budget is None:
            return None
        sampled = int(self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0))
        return self.env_steps_budget - sampled

    def _env_steps_of_a_round(self) -> int | None:
        """What each EnvRunner samples, where less of the budget is left than a whole round; else None."""
        if (left := self._env_steps_left()) is None:
            return None
        share = -(-max(1, left) // max(1, self.config.num_env_runners))
        whole = self.config.get_rollout_fragment_length() * self.config.num_envs_per_env_runner
        return share if share < whole else None

    @override(Algorithm)
    def training_step(self) -> None:
        for name in ("sample_rounds_lost", "learner_restarts", "updates_lost"):
            self.metrics.log_value((FAULTS, name), 0, reduce="lifetime_sum")
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            samples = self._sampler.sample(self._env_steps_of_a_round())
        added = sum(self.store(sample) for sample in samples)
        self.metrics.log_value((REPLAY_BUFFER, "added"), added, reduce="lifetime_sum", with_throughput=True)
        sampled = int(self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0))
        self.metrics.log_value((REPLAY_BUFFER, "size"), len(self.replay), window=1)
        if not samples or sampled < self.config.num_steps_before_learning or not len(self.replay):
            return
        with self.metrics.log_time((TIMERS, REPLAY_BUFFER_SAMPLE_TIMER)):
            batch = self.replay.train_batch()
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self._update(batch, sampled)
        for module_id, errors in pop_row_errors(results).items():
            self.replay.buffers[module_id].update_priorities(*errors)
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            try:
                self._send_weights()
            except (RayError, AssertionError, IndexError) as error:  # RLlib asserts that all Learners are well
                if self.learner_group.is_local:
                    raise
                self._rebuild_learners(error)
                self._send_weights()

    @override(Algorithm)
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As RLlib's, with EnvRunners of its own.

        Raises:
            ConfigurationError: If there are none: those of training would be disturbed.
        """
        if self.eval_env_runner_group is None:
            raise ConfigurationError(
                "evaluation_interval is None; evaluate() needs EnvRunners of its own, or it would disturb those of "
                "training: set it, or evaluation_num_env_runners to 1."
            )
        return super().evaluate(*args, **kwargs)

    @override(Algorithm)
    def add_module(self, module_id: str, *args: Any, **kwargs: Any) -> Any:
        """Refused: replay, targets and the agents of each module are laid out when the algorithm is built."""
        raise ConfigurationError(
            f"module {module_id!r} cannot be added while training; name all policies in multi_agent(policies=...)."
        )

    @override(Algorithm)
    def remove_module(self, module_id: str, *args: Any, **kwargs: Any) -> Any:
        """Refused, as :meth:`add_module` is."""
        raise ConfigurationError(
            f"module {module_id!r} cannot be removed while training; leave it out of policies_to_train instead."
        )

    def _send_weights(self) -> None:
        self.env_runner_group.sync_weights(from_worker_or_learner_group=self.learner_group, inference_only=True)

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

    @property
    def replay_buffer(self) -> FlatReplayBuffer:
        """The replay buffer of an algorithm that trains a single policy."""
        (buffer,) = self.replay.buffers.values()
        return buffer

    def store(self, sample: Any) -> int:
        """Put a fragment, or an episode of a stock EnvRunner, into the replay buffers; returns the number of rows."""
        return self.replay.store(sample, lambda module_id: self.get_module(module_id).layout)

    @override(Checkpointable)
    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        for name, buffer in self.replay.named():
            if self._check_component(name, components, not_components):
                state[name] = buffer.get_state()
        return state

    @override(Checkpointable)
    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._learner_state = None
        for name, buffer in self.replay.named():
            if name in state:
                buffer.set_state(state[name])

    @override(Checkpointable)
    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [*super().get_checkpointable_components(), *self.replay.named()]


def _all_alive(workers: list[Any]) -> bool:
    try:
        ray.get([worker.apply.remote(lambda learner: None) for worker in workers], timeout=30.0)
    except RayError:
        return False
    return True
