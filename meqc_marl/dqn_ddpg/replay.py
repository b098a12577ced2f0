"""The replay buffers of all policies that are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from .columns import PARAMETERS, TARGET_NOISE
from .errors import ConfigurationError
from .multi_agent import episode_rows
from .options import keeps_slots
from .replay_buffer import FlatReplayBuffer
from .spaces import HybridActionSpace
from .transitions import Fragment

REPLAY_BUFFER = "replay_buffer"
_NOISE_CLIP = 2.5  # standard deviations, as TD3 does


class Replay:
    """A buffer for each policy that is trained.

    Args:
        config: The algorithm's configuration.

    Raises:
        ConfigurationError: If no policy is trained.
    """

    def __init__(self, config: Any) -> None:
        self._config, trained = config, config.policies_to_train
        self.buffers: dict[str, FlatReplayBuffer] = {}
        for index, module_id in enumerate(sorted(config.policies)):
            if trained is None or (trained(module_id, None) if callable(trained) else module_id in trained):
                seed = config.seed if config.seed is None or not index else [config.seed, index]
                self.buffers[module_id] = FlatReplayBuffer(
                    config.replay_capacity, seed, config.replay_alpha, config.replay_beta
                )
        if not self.buffers:
            raise ConfigurationError(f"policies_to_train is {trained!r}; the policies are {sorted(config.policies)}.")

    def __len__(self) -> int:
        return sum(map(len, self.buffers.values()))

    def store(self, sample: Any, layout_of: Callable[[str], HybridActionSpace]) -> int:
        """Keep a fragment, or a chunk of an RLlib episode; returns the number of rows."""
        config = self._config
        if isinstance(sample, Fragment):
            rows = {
                module_id: sample.rows(config.gamma, config.n_step, part, keeps_slots(config))
                for module_id, part in sample.parts.items()
                if module_id in self.buffers
            }
        else:
            layouts = {module_id: layout_of(module_id) for module_id in self.buffers}
            rows = episode_rows(sample, config.gamma, layouts, config.n_step, config.n_step_until_random)
        added = 0
        for module_id, columns in rows.items():
            if columns:
                self.buffers[module_id].add(columns)
                added += len(next(iter(columns.values())))
        return added

    def train_batch(self) -> MultiAgentBatch:
        """Rows for a round of updates of every policy that has some."""
        config = self._config
        size = config.train_batch_size_per_learner * max(1, config.num_learners) * config.updates_per_training_step
        unused = frozenset() if config.gamma > 0 else frozenset({"new_obs", "discount"})
        batches = {}
        for module_id, buffer in self.buffers.items():
            if len(buffer):
                rows = buffer.sample(size, unused)
                if config.target_noise:
                    # Drawn here, where the random state is part of the checkpoint.
                    noise = buffer.standard_normal(rows[PARAMETERS].shape)
                    rows[TARGET_NOISE] = config.target_noise * noise.clip(-_NOISE_CLIP, _NOISE_CLIP)
                batches[module_id] = SampleBatch(rows)
        return MultiAgentBatch(batches, env_steps=size)

    def named(self) -> list[tuple[str, FlatReplayBuffer]]:
        """The buffers under their names in checkpoints."""
        alone = len(self.buffers) == 1
        return [
            (REPLAY_BUFFER if alone else f"{REPLAY_BUFFER}_{module_id}", buffer)
            for module_id, buffer in self.buffers.items()
        ]
