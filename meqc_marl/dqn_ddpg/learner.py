"""The Learner: TD error for the DQN head, deterministic policy gradient for the DDPG head, Polyak targets."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.policy.sample_batch import MultiAgentBatch
from ray.rllib.utils.annotations import override

from .columns import (
    ACTION_BOUNDS,
    ACTOR_GRADIENT,
    DISCOUNT,
    INDEX,
    NEXT_VALUE,
    PRESENT,
    Q_TAKEN,
    RAW_PARAMETERS,
    UNIT,
    WEIGHT,
)
from .errors import ConfigurationError
from .network_spec import OF_WEIGHTS

CRITIC_LOSS = "critic_loss"
ACTOR_LOSS = "actor_loss"
Q_MEAN = "q_mean"
TD_ERROR = "td_error_mean"
#: Row of the replay buffer and absolute TD error of everything trained on, float64 [2, N].
ROW_ERRORS = "row_errors"


class DQNDDPGLearner(TorchLearner):
    """One summed loss with one backward pass, so that gradients stay in step on several learners.

    The actor's term is -x * dQ/dx with the derivative held constant: its gradient is the deterministic policy gradient
    (inside the bounds) and touches no critic parameter.
    """

    @override(TorchLearner)
    def build(self) -> None:
        super().build()
        # With RLlib's seeding PyTorch fills all memory that it takes with NaN, to show what is read but never written.
        # Nothing here does so, and it costs a twentieth of an update.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        self._sums: dict[str, dict[str, Any]] = {}
        self._num_summed: dict[str, int] = defaultdict(int)
        self._trained: list[MultiAgentBatch] = []
        self._row_errors: dict[str, list[torch.Tensor]] = defaultdict(list)
        for _, module in self.module.items():
            module.unwrapped().make_target_networks()

    @override(TorchLearner)
    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        module = self.module[module_id].unwrapped()
        for name, parts, lr in (
            ("critic", module.critics, config.critic_lr),
            ("actor", [module.actor], config.actor_lr),
        ):
            parameters = [parameter for part in parts for parameter in part.parameters()]
            self.register_optimizer(
                module_id=module_id,
                optimizer_name=name,
                optimizer=torch.optim.Adam(parameters, fused=True),
                params=parameters,
                lr_or_lr_schedule=lr,
            )

    @override(Learner)
    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        taken = fwd_out[Q_TAKEN]
        target = (batch[Columns.REWARDS] * config.reward_scale).reshape(-1, 1)
        if config.gamma > 0:
            next_value = self.module[module_id].unwrapped().forward_target(batch)[NEXT_VALUE]
            target = target + batch[DISCOUNT].reshape(-1, 1) * next_value
        target = target.expand_as(taken)
        ascent = fwd_out[ACTOR_GRADIENT] * fwd_out[RAW_PARAMETERS]
        agents = taken.shape[1] // len(batch[Columns.REWARDS])
        there = batch[PRESENT].reshape(-1) if PRESENT in batch else None
        if there is not None:  # who is not there counts for nothing, and the others for as much more
            taken, target, ascent = taken[:, there], target[:, there], ascent[there]
        q_mean = taken.mean()
        if UNIT in fwd_out:  # errors count alike at every scale
            unit = (fwd_out[UNIT] if there is None else fwd_out[UNIT][there]).unsqueeze(-1)
            taken, target = taken / unit, target / unit
        td_error = (taken.detach() - target).abs()
        if INDEX in batch:
            losses = torch.nn.functional.huber_loss(taken, target, delta=config.huber_delta, reduction="none")
            # Of whole slots [B, m] a row's weight and error are those of its agents together.
            weight, error = batch[WEIGHT].repeat_interleave(agents), td_error.mean((0, 2))
            if there is None:
                error = error.reshape(-1, agents).mean(-1)
            else:
                weight, present = weight[there], batch[PRESENT]
                error = torch.zeros(present.shape).masked_scatter_(present, error).sum(-1) / present.sum(-1)
            critic_loss = (losses * weight.unsqueeze(-1)).mean()
            self._row_errors[module_id].append(torch.stack([batch[INDEX].double(), error.double()]))
        else:
            critic_loss = torch.nn.functional.huber_loss(taken, target, delta=config.huber_delta)
        # Every critic and every value has a loss of its own.
        critic_loss = critic_loss * (taken.shape[0] * taken.shape[2])
        actor_loss = -ascent.sum(-1).mean()
        sums = self._sums.setdefault(module_id, {})
        for name, value in (
            (CRITIC_LOSS, critic_loss),
            (ACTOR_LOSS, actor_loss),
            (Q_MEAN, q_mean),
            (TD_ERROR, td_error.mean()),
        ):
            sums[name] = sums.get(name, 0.0) + value.detach()
        self._num_summed[module_id] += 1
        return critic_loss + actor_loss

    @override(TorchLearner)
    def apply_gradients(self, gradients_dict: dict[Any, Any]) -> None:
        """Clip, check, step, and move the targets; the stock version tests every parameter for NaN one by one."""
        for reference, gradient in gradients_dict.items():  # a Learner of the user's own may have changed them
            self._params[reference].grad = gradient
        for module_id, names in self._module_optimizers.items():
            module = self.module[module_id].unwrapped()
            config = self.config.get_config_for_module(module_id)
            for name in names:
                parameters = self._optimizer_parameters[self._named_optimizers[name]]
                norm = torch.nn.utils.clip_grad_norm_(
                    [self._params[p] for p in parameters], config.grad_norm or torch.inf, foreach=True
                )
                if not torch.isfinite(norm):
                    raise FloatingPointError(
                        f"the gradient of {name} is {norm}: rewards or observations are not finite, or a learning rate "
                        "is too high."
                    )
                self._named_optimizers[name].step()
            # Targets are of no use without bootstrapping.
            if config.gamma > 0:
                with torch.no_grad():
                    for main, target in module.get_target_network_pairs():
                        torch._foreach_lerp_(list(target.parameters()), list(main.parameters()), config.tau)

    @override(TorchLearner)
    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        super().before_gradient_based_update(timesteps=timesteps)
        for module_id, module in self.module.items():
            self._check_known_reward(module_id, module.unwrapped())

    def _check_known_reward(self, module_id: str, module: Any) -> None:
        """What weights know of the reward must be so here: they may come from elsewhere, or be told by a module's own
        configuration."""
        known, config = module.spec.price_columns, self.config.get_config_for_module(module_id)
        if known and (config.gamma > 0 or any(scale != config.reward_scale for *_, scale in known)):
            raise ConfigurationError(
                f"module {module_id} knows a part of the reward, for reward_scale {known[0][-1]:g} and gamma 0 "
                f"(price_columns); here reward_scale is {config.reward_scale:g} and gamma {config.gamma:g}."
            )

    @override(Learner)
    def _log_steps_trained_metrics(self, batch: MultiAgentBatch) -> None:
        """Log once an update instead of at each minibatch."""
        self._trained.append(batch)

    @override(TorchLearner)
    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)
        rows = {
            module_id: range(sum(len(batch.policy_batches[module_id]) for batch in self._trained))
            for module_id in self._trained[0].policy_batches
        }
        env_steps = sum(batch.env_steps() for batch in self._trained)
        super()._log_steps_trained_metrics(SimpleNamespace(policy_batches=rows, env_steps=lambda: env_steps))
        self._trained = []
        for module_id, sums in self._sums.items():
            for name, value in sums.items():
                self.metrics.log_value((module_id, name), float(value) / self._num_summed[module_id], window=1)
        self._sums = {}
        self._num_summed.clear()
        for module_id, errors in self._row_errors.items():
            self.metrics.log_value((module_id, ROW_ERRORS), torch.cat(errors, -1).numpy(), reduce="item_series")
        self._row_errors.clear()

    @override(Learner)
    def set_state(self, state: dict[str, Any]) -> None:
        """Restore; also when the state is older than what is running, which the stock version skips in silence."""
        if COMPONENT_RL_MODULE in state:
            older_lack = {*OF_WEIGHTS, ACTION_BOUNDS}
            for module_id, module_state in state[COMPONENT_RL_MODULE].items():
                known, given = set(self.module[module_id].get_state()), {*module_state, *older_lack}
                if known != given:
                    raise ValueError(
                        f"the checkpoint of module {module_id} does not fit its networks: missing "
                        f"{sorted(known - given)}, unexpected {sorted(given - known)}."
                    )
            self._weights_seq_no = -1
        super().set_state(state)


def pop_row_errors(results: list[Any]) -> dict[str, np.ndarray]:
    """Take the ROW_ERRORS [2, N] of each module out of the results of an update, in which they are too long to log."""
    errors = defaultdict(list)
    for result in results:
        for module_id, module_result in result.items():
            if ROW_ERRORS in module_result:
                errors[module_id].extend(module_result.pop(ROW_ERRORS).peek(compile=False))
    return {module_id: np.concatenate(parts, -1) for module_id, parts in errors.items()}
