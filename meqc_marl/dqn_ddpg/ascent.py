"""What the actor ascends: which parameters a minibatch moves, their values, and what of the gradient is followed.

No Ray here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .bounds import Bounds, allowed_modes
from .known_reward import KnownReward
from .network_spec import NetworkSpec
from .networks import Actor, Critic


def inward_gradient(spec: NetworkSpec, raw: Tensor, gradient: Tensor) -> Tensor:
    """What of a gradient [B, P] in [0, 1] the actor follows at its raw parameters [B, P]; see :class:`Actor`."""
    if spec.bounds == "inverting":
        return gradient * torch.where(gradient > 0, 1.0 - raw, raw)
    outward = ((raw > 1.0) & (gradient > 0)) | ((raw < 0.0) & (gradient < 0))
    return gradient.masked_fill(outward, 0.0)


def raw_to_move(spec: NetworkSpec, actor: Actor, observation: Tensor, agents: int = 1) -> tuple[Tensor, Tensor | None]:
    """What the actor moves of a minibatch: raw parameters [B, P], and the mode [B] whose they are; None for all.

    Where rows take turns (:attr:`NetworkSpec.turns`) the parameters of other modes are 0 and have no gradient. In whole
    slots no agent always has the same turn.

    Args:
        spec: Layout of the heads.
        actor: DDPG head.
        observation: [B, D].
        agents: Of a slot, whose rows follow each other; 1 if rows are of no order.
    """
    if not spec.turns or len(observation) < len(spec.turns):
        return actor(observation), None
    turns = torch.tensor(spec.turns, device=observation.device)
    row = torch.arange(len(observation), device=observation.device)
    parameter, mode = turns[(row // agents + row % agents) % len(turns)].unbind(-1)
    raw = actor.one(observation, parameter).unsqueeze(-1)
    nothing = raw.new_zeros(len(observation), spec.num_parameters)
    return nothing.scatter(1, parameter.unsqueeze(-1), raw), mode


def ascended_value(
    critic: Critic, observation: Tensor, bounds: Bounds, reward: KnownReward, shown: Tensor, moved: Tensor | None
) -> Tensor:
    """What the actor ascends, summed over the rows: values of the modes to be moved where they are allowed, each
    divided by what is at stake.

    Args:
        critic: DQN head.
        observation: [B, D].
        bounds: Of the parameters there.
        reward: What is known of it there.
        shown: What the critic is shown of the actor's places [B, P].
        moved: The mode of each row [B]; None for all.
    """
    spec = bounds.spec
    weight = allowed_modes(spec, observation) / reward.at_stake()
    known = reward.value(bounds.parameters(shown) if spec.middle_columns else shown) * weight
    if moved is None:
        modes = spec.parametric_modes
        return critic.actor_value(observation, shown, weight, modes) + known[:, modes].sum()
    row = moved.unsqueeze(-1)
    return (critic.taken(observation, moved, shown) * weight.gather(1, row) + known.gather(1, row)).sum()
