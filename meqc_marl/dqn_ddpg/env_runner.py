"""An EnvRunner over arrays [E, M]: one forward pass and one environment call for all devices of all rows."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import ray
import torch
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.annotations import override
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    EPISODE_LEN_MEAN,
    EPISODE_RETURN_MEAN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    SAMPLE_TIMER,
    WEIGHTS_SEQ_NO,
)

from .arrays import check_finite, check_rows, kept_outputs
from .batched_env import BatchedEnv, BatchedStep
from .columns import IS_RANDOM, MODE, PARAMETERS
from .multi_agent_rows import as_rows
from .options import keeps_slots
from .parts import Parts
from .transitions import Fragment


class BatchedEnvRunner(EnvRunner, Checkpointable):
    """Samples fragments from a :class:`BatchedEnv`, or from copies of a Gymnasium environment.

    Calls the callbacks ``on_environment_created``, ``on_episode_start``, ``on_episode_step``, ``on_episode_end`` and
    ``on_sample_end`` once for all rows, with a :class:`BatchedStep` in place of an episode. A step's reward and next
    observation may be changed in ``on_episode_step``: this happens before they are stored or acted upon.
    """

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self._env_creator: Any = kwargs.get("env_creator")
        self.spaces: Any = kwargs.get("spaces")
        self._callbacks = [cls() for cls in self._as_list(self.config.callbacks_class)]
        self._weights_seq_no = 0
        self._observation: Any = None
        self._num_resets = 0
        #: The last slots, whose returns of several steps are not whole yet.
        self._pending = Fragment()
        self._episode_return: np.ndarray = np.zeros(0)
        self._episode_length: np.ndarray = np.zeros(0, int)
        torch.set_num_threads(1)
        self.module: Any = None
        builds_env = not self.worker_index or self.config.create_env_on_local_worker
        if self.worker_index or self.config.num_env_runners == 0 or (builds_env and self.spaces is None):
            self.make_env()
        self.make_module()

    @staticmethod
    def _as_list(value: Any) -> list[Any]:
        return list(value) if isinstance(value, list | tuple) else [value]

    @override(EnvRunner)
    def make_env(self) -> None:
        context = EnvContext(self.config.env_config, worker_index=self.worker_index or 0, num_workers=self.num_workers)
        # An attribute, not a key: keys become keyword arguments of Gymnasium environments.
        context.num_envs = self.config.num_envs_per_env_runner
        self.env: BatchedEnv = as_rows(lambda: self._env_creator(context), self.config.num_envs_per_env_runner)
        self._observation = None
        self._pending = Fragment()
        self.num_envs = self.env.num_envs
        self.parts = Parts(self.env, self.config)
        if self.module is not None:
            self.parts.fit(self.module)
        both = (self.env.observation_space, self.env.action_space)
        self.spaces = {INPUT_ENV_SPACES: both, INPUT_ENV_SINGLE_SPACES: both, **self.parts.spaces}
        self._callback("on_environment_created", env=self.env, env_context=context)

    @override(EnvRunner)
    def make_module(self) -> None:
        spec = self.config.get_multi_rl_module_spec(env=None, spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()
        if self.env is not None:
            self.parts.fit(self.module)
        for index, (_, module) in enumerate(sorted(self.module.items())):
            if index:  # or all modules would explore alike
                module.generator.manual_seed((module.generator.initial_seed() + index * 0x9E3779B97F4A7C15) % 2**63)

    @override(EnvRunner)
    def get_spaces(self) -> dict[str, tuple[gym.Space, gym.Space]]:
        return self.spaces

    @override(EnvRunner)
    def assert_healthy(self) -> None:
        assert self.module is not None
        assert self.env is not None

    @override(EnvRunner)
    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
        **kwargs: Any,
    ) -> list[Fragment]:
        """Run all rows for a fragment; returns a list with one :class:`Fragment`.

        Args:
            num_timesteps: Environment steps, counted over all rows; default ``rollout_fragment_length`` slots.
            num_episodes: Complete episodes instead, counted over all rows, from a fresh start.
            explore: Explore, or take the greedy action; default as configured.
            random_actions: Act at random only: an allowed mode and parameters, both uniform.
            force_reset: Start new episodes first.
        """
        if self.env is None:
            raise ValueError(f"{self} has no environment to sample from.")
        explore = self.config.explore if explore is None else explore
        with self.metrics.log_time(SAMPLE_TIMER):
            if self._observation is None or force_reset or num_episodes is not None:
                self._reset()
            fragment = Fragment(parts=self.parts.by_module)
            slots = self.config.get_rollout_fragment_length(self.worker_index)
            if num_timesteps is not None:
                slots = max(1, -(-num_timesteps // self.num_envs))
            finished = slot = 0
            while finished < num_episodes if num_episodes is not None else slot < slots:
                finished += self._step(fragment, explore, random_actions)
                slot += 1
            if num_episodes is not None:
                self._observation = None
            self._log_steps(fragment)
            if (overlap := self.config.n_step - 1) and not self.config.in_evaluation:
                fragment = fragment.after(self._pending)
                self._pending = fragment.last(min(overlap, len(fragment.done)))
            samples = [fragment]
            self._callback("on_sample_end", samples=samples)
        return samples

    def _step(self, fragment: Fragment, explore: bool, random_actions: bool) -> int:
        """One slot of all rows; returns the number of episodes that ended."""
        observation = self._observation
        rows = len(observation)
        outputs, kept = {}, (MODE, PARAMETERS, *([IS_RANDOM] if self.config.n_step_until_random else []))
        for module_id, part in self.parts.by_module.items():
            seen = torch.from_numpy(part.of(observation, part.observation_size))
            flat = seen if keeps_slots(self.config) else seen.flatten(0, 1)
            output = self._forward(module_id, flat, explore, random_actions)
            outputs[module_id] = kept_outputs(output, (Columns.ACTIONS, *kept), tuple(seen.shape[:2]))
        present = copy.copy(getattr(self.env, "present", None))
        step = self.env.step(self.parts.action({key: output[Columns.ACTIONS] for key, output in outputs.items()}))
        self._callback("on_episode_step", episode=step, env=self.env, env_index=0)
        step.next_observation = check_finite(step.next_observation, step.reward)
        chosen = {
            key: self.parts.joined({module_id: output[key] for module_id, output in outputs.items()}) for key in kept
        }
        fragment.add(observation, chosen, step, present, getattr(self.env, "present", None))
        self.num_env_steps_sampled_lifetime += rows * (self.num_workers or 1)
        self._episode_return += step.reward.sum(-1)
        self._episode_length += 1
        self._observation = step.next_observation
        return self._finish_episodes(step)

    def _forward(self, module_id: str, observation: torch.Tensor, explore: bool, random_actions: bool) -> Any:
        """A module's actions for observations [B, D], or [E, m, D] in whole slots."""
        module, batch = self.module[module_id], {Columns.OBS: observation}
        if random_actions:
            return module.forward_random(batch)
        if explore:
            return module.forward_exploration(batch, t=self.num_env_steps_sampled_lifetime)
        return module.forward_inference(batch)

    def _finish_episodes(self, step: BatchedStep) -> int:
        done = step.done
        count = int(done.sum())
        if count:
            window = self.config.metrics_num_episodes_for_smoothing
            for row in np.flatnonzero(done):
                self.metrics.log_value(EPISODE_RETURN_MEAN, float(self._episode_return[row]), window=window)
                self.metrics.log_value(EPISODE_LEN_MEAN, int(self._episode_length[row]), window=window)
            self.metrics.log_value(NUM_EPISODES, count, reduce="sum")
            self.metrics.log_value(NUM_EPISODES_LIFETIME, count, reduce="lifetime_sum")
            self._callback("on_episode_end", episode=step, env=self.env, env_index=0)
            self._episode_return[done] = 0.0
            self._episode_length[done] = 0
            self._observation = check_finite(self.env.reset_rows(done))
            self._callback("on_episode_start", episode=step, env=self.env, env_index=0)
        return count

    def _reset(self) -> None:
        entropy = None
        if self.config.seed is not None:
            # Training goes on to other nature, also in a runner that was restarted or restored; evaluation does not.
            begun = (0, 0) if self.config.in_evaluation else (self.num_env_steps_sampled_lifetime, self._num_resets)
            entropy = (self._seed, self.worker_index or 0, *begun)
            self._num_resets += 1
        seeds = np.random.SeedSequence(entropy).generate_state(self.num_envs, np.uint32)
        self._observation = check_finite(self.env.reset([int(seed) for seed in seeds]))
        self._pending = Fragment()
        self._episode_return = np.zeros(self.num_envs)
        self._episode_length = np.zeros(self.num_envs, int)
        self._callback("on_episode_start", episode=None, env=self.env, env_index=0)

    def _callback(self, name: str, **kwargs: Any) -> None:
        make_callback(
            name,
            callbacks_objects=self._callbacks,
            callbacks_functions=getattr(self.config, f"callbacks_{name}"),
            kwargs={"env_runner": self, "metrics_logger": self.metrics, "rl_module": getattr(self, "module", None)}
            | kwargs,
        )

    def _log_steps(self, fragment: Fragment) -> None:
        env_steps, agent_steps = fragment.env_steps(), fragment.agent_steps()
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED, env_steps, reduce="sum")
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, env_steps, reduce="lifetime_sum", with_throughput=True)
        self.metrics.log_value((NUM_AGENT_STEPS_SAMPLED, "all"), agent_steps, reduce="sum")
        self.metrics.log_value((NUM_AGENT_STEPS_SAMPLED_LIFETIME, "all"), agent_steps, reduce="lifetime_sum")
        first = self.module[next(iter(self.parts.by_module))]
        self.metrics.log_value("epsilon", float(first.epsilon.get_current_value()), window=1)
        self.metrics.log_value(WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)

    @override(EnvRunner)
    def get_metrics(self) -> Any:
        return self.metrics.reduce()

    @override(Checkpointable)
    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        state: dict[str, Any] = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(**kwargs)
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        if self._observation is not None and self._check_component("sampling", components, not_components):
            state["sampling"] = {
                "env": self.env.get_state(),
                "observation": self._observation,
                "pending": copy.deepcopy(self._pending.arrays()),
                "num_resets": self._num_resets,
                "episode_return": self._episode_return.copy(),
                "episode_length": self._episode_length.copy(),
                "exploration": {key: self.module[key].generator.get_state().numpy() for key in self.parts.by_module},
                "callbacks": [c.get_state() if hasattr(c, "get_state") else None for c in self._callbacks],
            }
        return state

    @override(Checkpointable)
    def set_state(self, state: dict[str, Any]) -> None:
        if COMPONENT_RL_MODULE in state:
            # Unlike the stock runners, a state that is not newer is loaded too: after a restore it is the right one.
            weights = state[COMPONENT_RL_MODULE]
            self.module.set_state(ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights)
            self._weights_seq_no = state.get(WEIGHTS_SEQ_NO, self._weights_seq_no)
        if NUM_ENV_STEPS_SAMPLED_LIFETIME in state:
            self.num_env_steps_sampled_lifetime = int(state[NUM_ENV_STEPS_SAMPLED_LIFETIME])
        if "sampling" in state and self.env is not None:
            sampling = state["sampling"]
            check_rows(sampling["observation"], self.num_envs)
            fresh = check_finite(self.env.set_state(sampling["env"]))
            # A general environment cannot go on in mid-episode (its state is empty): it has begun a new one.
            goes_on = bool(sampling["env"])
            self._observation = sampling["observation"] if goes_on else fresh
            pending = copy.deepcopy(sampling["pending"]) if goes_on else {}
            self._pending = Fragment(**pending, parts=self.parts.by_module)
            self._num_resets = sampling["num_resets"]
            self._episode_return = sampling["episode_return"] * goes_on
            self._episode_length = sampling["episode_length"] * goes_on
            for key, exploration in sampling["exploration"].items():
                self.module[key].generator.set_state(torch.from_numpy(np.array(exploration)))
            for callback, saved in zip(self._callbacks, sampling["callbacks"], strict=True):
                if saved is not None:
                    callback.set_state(saved)

    @override(Checkpointable)
    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        return (), {"config": self.config}

    @override(Checkpointable)
    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [(COMPONENT_RL_MODULE, self.module)]

    @override(EnvRunner)
    def stop(self) -> None:
        for env in getattr(self.env, "envs", []):
            env.close()
