"""RLlib's stock path for the same learner: its EnvRunner, its episode replay, its learner connector."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample
from ray.rllib.utils.annotations import override
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS
from ray.rllib.utils.replay_buffers.multi_agent_episode_buffer import MultiAgentEpisodeReplayBuffer

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG, DQNDDPGConfig
from meqc_marl.dqn_ddpg.columns import MODE, PARAMETERS
from meqc_marl.dqn_ddpg.networks import owned
from meqc_marl.dqn_ddpg.rl_module import DQNDDPGModule

DEFAULT_MODULE = "default_policy"


class StockModule(DQNDDPGModule):
    """The same networks; the batch holds actions as RLlib's episodes do."""

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        action = batch[Columns.ACTIONS]
        mode = action["mode"].long()
        batch[MODE] = mode
        batch[PARAMETERS] = owned(self.spec)[mode] * action["fraction"]
        return super()._forward_train(batch, **kwargs)


class StockConfig(DQNDDPGConfig):
    """RLlib's MultiAgentEnvRunner (set by ``offloading_config``) and its multi-agent episode replay."""

    @override(AlgorithmConfig)
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=StockModule)


class StockPath(DQNDDPG):
    """As RLlib's own DQN does it: episodes into the replay buffer, episodes out, through the learner connector."""

    @classmethod
    @override(Algorithm)
    def get_default_config(cls) -> DQNDDPGConfig:
        return StockConfig(cls)

    @override(Algorithm)
    def setup(self, config: Any) -> None:
        super().setup(config)
        self.episodes = MultiAgentEpisodeReplayBuffer(capacity=20_000)

    @override(Algorithm)
    def training_step(self) -> None:
        samples, metrics = synchronous_parallel_sample(
            worker_set=self.env_runner_group, concat=True, _uses_new_env_runners=True, _return_metrics=True
        )
        self.metrics.aggregate(metrics, key=ENV_RUNNER_RESULTS)
        self.episodes.add(samples)
        for _ in range(self.config.updates_per_training_step):
            batch = self.episodes.sample(num_items=self.config.train_batch_size_per_learner, sample_episodes=True)
            results = self.learner_group.update(episodes=batch, timesteps={})
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self.env_runner_group.sync_weights(from_worker_or_learner_group=self.learner_group, inference_only=True)


def as_stock(config: DQNDDPGConfig) -> Any:
    """The same configuration for the stock path."""
    stock: Any = StockConfig(StockPath)
    stock.update_from_dict(config.to_dict())
    stock.algo_class = StockPath
    return stock
