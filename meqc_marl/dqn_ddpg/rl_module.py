"""The RLModule: DQN head and DDPG head, their targets, and exploration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, TargetNetworkAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.annotations import override
from ray.rllib.utils.schedules.scheduler import Scheduler
from torch import Tensor

from .ascent import ascended_value, inward_gradient, raw_to_move
from .bounds import Bounds, allowed_modes, unit_parameters
from .columns import (
    ACTION_BOUNDS,
    ACTOR_GRADIENT,
    IS_RANDOM,
    MODE,
    NEXT_VALUE,
    PARAMETERS,
    Q_TAKEN,
    RAW_PARAMETERS,
    TARGET_NOISE,
    UNIT,
)
from .encoders import rows_of
from .errors import ConfigurationError
from .known_reward import KnownReward
from .network_spec import OF_WEIGHTS, NetworkSpec
from .networks import Actor, Critic, greedy_action, greedy_mode
from .options import ModuleOptions, NetworkOptions
from .spaces import HybridActionSpace, parse_action_space
from .words import plain


class DQNDDPGModule(TorchRLModule, InferenceOnlyAPI, TargetNetworkAPI):
    """Chooses a mode by Q and its parameters by the actor.

    ``model_config`` holds :class:`~meqc_marl.dqn_ddpg.options.ModuleOptions` by name.

    In exploration a row acts at random with probability epsilon: an allowed mode and parameters, both uniform.
    Otherwise it takes the greedy mode, with Gaussian noise on the parameters.
    """

    @override(TorchRLModule)
    def setup(self) -> None:
        self.options = ModuleOptions.of(self.model_config)
        space = self.observation_space
        if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1 or not space.shape[0]:
            raise ConfigurationError(
                f"observation space {space} is not supported: here it must be a flat Box, not of size zero. The "
                "batched EnvRunner flattens by itself; of RLlib's own EnvRunners take FlattenObservations as "
                "env_to_module_connector."
            )
        self.layout: HybridActionSpace = parse_action_space(self.action_space, self.options.parameterless_modes)
        self.spec = NetworkSpec.of(
            {name: getattr(self.options, name) for name in NetworkOptions.model_fields}
            | {
                "observation_size": int(self.observation_space.shape[0]),
                "parameter_slots": [(slot.start, slot.stop) for slot in self.layout.slots],
            }
        )
        self.actor = Actor(self.spec)
        self.critic = Critic(self.spec)
        if self.options.twin_critics and not self.inference_only:
            self.twin_critic = Critic(self.spec)
        self.register_buffer("parameter_low", torch.from_numpy(self.layout.lows), persistent=False)
        self.register_buffer("parameter_high", torch.from_numpy(self.layout.highs), persistent=False)
        self.epsilon = Scheduler(self.options.epsilon, framework="torch")
        self.exploration_noise = Scheduler(self.options.exploration_noise, framework="torch")
        # A generator of its own, so that a checkpoint can hold the state of exploration alone.
        self.generator = torch.Generator().manual_seed(torch.initial_seed() % 2**63)

    @override(TorchRLModule)
    def train(self, mode: bool = True) -> DQNDDPGModule:
        """Nothing here differs between training and inference; RLlib switches at each pass, which costs as a layer."""
        return self if self.training == mode else super().train(mode)

    @override(TargetNetworkAPI)
    def make_target_networks(self) -> None:
        self.target_actor = make_target_network(self.actor)
        self.target_critic = make_target_network(self.critic)
        if self.options.twin_critics:
            self.target_twin_critic = make_target_network(self.twin_critic)

    @override(TargetNetworkAPI)
    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        pairs = [(self.actor, self.target_actor), (self.critic, self.target_critic)]
        return [*pairs, (self.twin_critic, self.target_twin_critic)] if self.options.twin_critics else pairs

    def take_options_of_weights(self, told: Mapping[str, Any]) -> None:
        """Have those options that the weights were trained with: what the heads are shown depends on them."""
        spec = NetworkSpec.of(self.spec.model_dump() | {name: told.get(name, ()) for name in OF_WEIGHTS})
        if spec == self.spec:
            return
        self.spec = spec
        for part in self.modules():
            if isinstance(part, Actor | Critic):
                part.see(self.spec)

    @override(TorchRLModule)
    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(*args, **kwargs)
        told = {name: plain(getattr(self.spec, name)) for name in OF_WEIGHTS}
        return state | told | {ACTION_BOUNDS: [self.layout.lows.tolist(), self.layout.highs.tolist()]}

    @override(TorchRLModule)
    def set_state(self, state: dict[str, Any]) -> None:
        """Take weights, and the options that they were trained with: there were none before the state told them.

        Raises:
            ConfigurationError: If the weights are of other networks, or of parameters within other bounds.
        """
        for name, own in self.state_dict().items():
            if name in state and np.shape(state[name]) != tuple(own.shape):
                raise ConfigurationError(
                    f"the weights do not fit the networks: {name} has the shape {tuple(np.shape(state[name]))} instead "
                    f"of {tuple(own.shape)}; hidden and the spaces must be those that they were trained with."
                )
        bounds = np.stack([self.layout.lows, self.layout.highs])
        if not np.array_equal(told := np.asarray(state.get(ACTION_BOUNDS, bounds), np.float32), bounds):
            raise ConfigurationError(
                f"the weights were trained for parameters within {plain(told.tolist())!s:.100}; those of the action "
                f"space are within {plain(bounds.tolist())!s:.100}."
            )
        self.take_options_of_weights(state)
        super().set_state({name: value for name, value in state.items() if name not in (*OF_WEIGHTS, ACTION_BOUNDS)})

    @property
    def critics(self) -> list[Critic]:
        """The critic, and its twin if it has one."""
        return [self.critic, self.twin_critic] if self.options.twin_critics else [self.critic]

    @override(InferenceOnlyAPI)
    def get_non_inference_attributes(self) -> list[str]:
        return ["target_actor", "target_critic", "twin_critic", "target_twin_critic"]

    @override(TargetNetworkAPI)
    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Values [B, C] of the next observation under the target networks.

        With ``double_q`` the main critic chooses the mode that the target critic values (van Hasselt et al. 2016). Of
        twin critics the lesser value counts, and noise, if the batch has it, smooths them over the parameters
        (Fujimoto et al. 2018).
        """
        observation = self._observation(batch, Columns.NEXT_OBS)
        with torch.no_grad():
            unit = unit_parameters(self.spec, self.target_actor(observation))
            if TARGET_NOISE in batch:
                unit = unit_parameters(self.spec, unit + batch[TARGET_NOISE].reshape(unit.shape))
            parameters = Bounds(self.spec, observation).shown_to_critic(unit)
            barred = ~allowed_modes(self.spec, observation)
            targets = [target for main, target in self.get_target_network_pairs() if isinstance(main, Critic)]
            q = torch.stack([target(observation, parameters) for target in targets]).amin(0)
            chooser = self.critic(observation, parameters) if self.options.double_q else q
            mode = chooser.masked_fill(barred, -torch.inf).argmax(-1, keepdim=True)
            value = q.gather(-1, mode)
            if self.critic.num_values == 2:
                ddpg = torch.stack([target.ddpg_value(observation, parameters) for target in targets]).amin(0)
                value = torch.cat([value, ddpg.unsqueeze(-1)], -1)
        return {NEXT_VALUE: value}

    @override(TorchRLModule)
    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        with torch.no_grad():
            mode, parameters, _ = greedy_action(self.spec, self.actor, self.critic, self._observation(batch))
        return self._actions(mode, parameters, torch.zeros_like(mode, dtype=torch.bool))

    @override(TorchRLModule)
    def _forward_exploration(self, batch: dict[str, Any], t: int = 0, **kwargs: Any) -> dict[str, Any]:
        observation = self._observation(batch)
        bounds = Bounds(self.spec, observation)
        epsilon = float(self.epsilon.update(t))
        with torch.no_grad():
            if epsilon < 1.0:
                unit = unit_parameters(self.spec, self.actor(observation))
                mode, _ = greedy_mode(self.critic, observation, bounds, unit)
                noise = torch.empty_like(unit).normal_(generator=self.generator)
                noisy = unit + float(self.exploration_noise.update(t)) * noise
                parameters = bounds.chosen(noisy)
            else:
                rows = observation[..., 0].numel()
                mode = torch.zeros(rows, dtype=torch.long)
                parameters = torch.zeros(rows, self.spec.num_parameters)
            random_mode, random_parameters = self._random(observation, bounds)
            is_random = torch.rand(len(random_mode), generator=self.generator) < epsilon
            mode = torch.where(is_random, random_mode, mode)
            parameters = torch.where(is_random.unsqueeze(-1), random_parameters, parameters)
        return self._actions(mode, parameters, is_random)

    def forward_random(self, batch: dict[str, Any]) -> dict[str, Any]:
        """An allowed mode and parameters, both uniform; keys as those of exploration."""
        observation = self._observation(batch)
        mode, parameters = self._random(observation, Bounds(self.spec, observation))
        return self._actions(mode, parameters, torch.ones_like(mode, dtype=torch.bool))

    def _observation(self, batch: dict[str, Any], column: str = Columns.OBS) -> Tensor:
        """Float32 [B, D], also of whole slots: without a context every agent decides by itself; with one [B, M, D]."""
        observation: Tensor = batch[column]
        return (rows_of(observation) if self.spec.context == "none" else observation).float()

    def _random(self, observation: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor]:
        weights = allowed_modes(self.spec, observation).float()
        mode = torch.multinomial(weights, 1, generator=self.generator).squeeze(-1)
        uniform = torch.rand(len(mode), self.spec.num_parameters, generator=self.generator)
        return mode, bounds.chosen(uniform)

    def _actions(self, mode: Tensor, parameters: Tensor, is_random: Tensor) -> dict[str, Any]:
        """Flat actions for the batched runner and, under ``Columns.ACTIONS``, the environment's own structure."""
        scaled = self.parameter_low + parameters * (self.parameter_high - self.parameter_low)
        action = self.layout.build(mode, scaled)
        return {MODE: mode, PARAMETERS: parameters, IS_RANDOM: is_random, Columns.ACTIONS: action}

    @override(TorchRLModule)
    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Values [critics, B, C] of the modes taken, raw parameters [B, P], and the gradient that they follow."""
        observation = self._observation(batch)
        agents = batch[Columns.OBS].shape[1] if batch[Columns.OBS].dim() > 2 else 1
        bounds, reward = Bounds(self.spec, observation), KnownReward(self.spec, observation)
        raw, moved = raw_to_move(self.spec, self.actor, observation, agents)
        leaf = bounds.shown_to_critic(unit_parameters(self.spec, raw.detach())).requires_grad_()
        gradient = torch.zeros_like(leaf)
        if not self.spec.discrete:
            value = ascended_value(self.critic, observation, bounds, reward, leaf, moved)
            (gradient,) = torch.autograd.grad(value, leaf)
            if self.spec.bound_columns:  # the chain rule through the map, or nothing where there is one parameter only
                low, high = bounds.ends
                gradient = gradient * (high > low if self.spec.middle_columns else high - low)
        mode, parameters = batch[MODE].reshape(-1).long(), batch[PARAMETERS].reshape(raw.shape)
        known = reward.value(parameters).gather(-1, mode.unsqueeze(-1))
        if self.spec.middle_columns:
            parameters = bounds.places(parameters)
        out = {
            Q_TAKEN: torch.stack([critic.taken(observation, mode, parameters) + known for critic in self.critics]),
            RAW_PARAMETERS: raw,
            ACTOR_GRADIENT: inward_gradient(self.spec, raw.detach(), gradient),
        }
        if self.spec.unit_columns:
            out[UNIT] = self.critic.units.of_modes(observation).gather(-1, mode.unsqueeze(-1)).squeeze(-1)
        return out
