"""The Learner: TD error for the DQN head, deterministic policy gradient for the DDPG head, Polyak targets."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils.annotations import override

from meqc_marl.rl.rl_module import ACTOR_GRADIENT, NEXT_VALUE, PARAMETERS, Q_TAKEN, RAW_PARAMETERS

CRITIC_LOSS = "critic_loss"
ACTOR_LOSS = "actor_loss"
Q_MEAN = "q_mean"
TD_ERROR = "td_error_mean"
DISCOUNT = "discount"


class DQNDDPGLearner(TorchLearner):
    """One summed loss with one backward pass, so that gradients stay in step on several learners.

    The actor's term is -x * dQ/dx with the derivative held constant: its gradient is the deterministic policy gradient
    (inside the bounds) and touches no critic parameter.
    """

    @override(TorchLearner)
    def build(self) -> None:
        super().build()
        self._sums: dict[str, dict[str, Any]] = {}
        self._num_summed = 0
        for _, module in self.module.items():
            module.unwrapped().make_target_networks()

    @override(TorchLearner)
    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        module = self.module[module_id].unwrapped()
        for name, part, lr in (
            ("critic", module.critic, config.critic_lr),
            ("actor", module.actor, config.actor_lr),
        ):
            parameters = list(part.parameters())
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
        target = batch[Columns.REWARDS] * config.reward_scale
        if config.gamma > 0:
            next_value = self.module[module_id].unwrapped().forward_target(batch)[NEXT_VALUE]
            target = target + batch[DISCOUNT] * next_value
        td_error = fwd_out[Q_TAKEN] - target
        critic_loss = torch.nn.functional.huber_loss(fwd_out[Q_TAKEN], target, delta=config.huber_delta)
        actor_loss = -(fwd_out[ACTOR_GRADIENT] * fwd_out[RAW_PARAMETERS]).sum(-1).mean()
        sums = self._sums.setdefault(module_id, {})
        for name, value in (
            (CRITIC_LOSS, critic_loss),
            (ACTOR_LOSS, actor_loss),
            (Q_MEAN, fwd_out[Q_TAKEN].mean()),
            (TD_ERROR, td_error.abs().mean()),
        ):
            sums[name] = sums.get(name, 0.0) + value.detach()
        self._num_summed += 1
        return critic_loss + actor_loss

    @override(TorchLearner)
    def apply_gradients(self, gradients_dict: dict[Any, Any]) -> None:
        """Clip, check, step, and move the targets; the stock version tests every parameter for NaN one by one."""
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
    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)
        for module_id, sums in self._sums.items():
            for name, value in sums.items():
                self.metrics.log_value((module_id, name), float(value) / self._num_summed, window=1)
        self._sums, self._num_summed = {}, 0

    @override(Learner)
    def set_state(self, state: dict[str, Any]) -> None:
        """Restore; also when the state is older than what is running, which the stock version skips in silence."""
        if COMPONENT_RL_MODULE in state:
            for module_id, module_state in state[COMPONENT_RL_MODULE].items():
                known, given = set(self.module[module_id].get_state()), set(module_state)
                if known != given:
                    raise ValueError(
                        f"the checkpoint of module {module_id} does not fit its networks: missing "
                        f"{sorted(known - given)}, unexpected {sorted(given - known)}."
                    )
            self._weights_seq_no = -1
        super().set_state(state)


#: Columns of a train batch, in the order of the replay buffer.
TRAIN_COLUMNS = (Columns.OBS, "mode", PARAMETERS, Columns.REWARDS, Columns.NEXT_OBS, DISCOUNT)
