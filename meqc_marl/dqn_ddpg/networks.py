"""The two heads as plain torch modules: a DDPG actor for the fractions and a DQN critic over the modes.

P-DQN (Xiong et al. 2018, arXiv 1810.06394) with the multi-pass critic (Bester et al. 2019, arXiv 1905.04388): the
critic sees one mode's parameters at a time, so that Q_k cannot depend on the fractions of other modes. As an option the
paper's own form, a DQN and a DDPG side by side, each with a value function of its own. No Ray here.

Each head has an encoder of its own in front (:mod:`encoders`). With a context, observations are whole slots [B, M, D]
wherever [B, D] is written, and the results are those of B * M rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .bounds import Bounds, allowed_modes, unit_parameters
from .encoders import ACTIVATIONS, encoder_of, trunk
from .known_reward import KnownReward
from .network_spec import NetworkSpec
from .own_units import OwnUnits

#: The sigmoid is stretched to [-0.1, 1.1], so that both ends are reached at finite weights.
_STRETCH = 1.2


def _seen(spec: NetworkSpec) -> Tensor:
    """1 where a mode depends on a column of the observation [K, D]."""
    seen = torch.zeros(spec.num_modes, spec.observation_size)
    for mode, columns in enumerate(spec.seen_by_mode):
        seen[mode, list(columns)] = 1.0
    return seen


def owned(spec: NetworkSpec) -> Tensor:
    """1 where a parameter belongs to a mode [K, P]."""
    mask = torch.zeros(spec.num_modes, spec.num_parameters)
    for mode, (start, stop) in enumerate(spec.parameter_slots):
        mask[mode, start:stop] = 1.0
    return mask


class Actor(nn.Module):
    """The DDPG head: observation [B, D] -> raw parameters [B, P] of all modes, meant in [0, 1], clamped in use.

    In training (:func:`~.ascent.inward_gradient`) ``clamp`` drops a gradient that leads further out of the range, so
    that both ends are reached exactly; ``sigmoid`` does the same with a stretched sigmoid of the output; ``inverting``
    scales the gradient by the room left (Hausknecht and Stone 2016, arXiv 1511.04143), which only approaches the ends.
    """

    seen: Tensor | None
    owners: Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.squash = spec.bounds == "sigmoid"
        self.encoder = encoder_of(spec)
        self.trunk = trunk([spec.input_size, *spec.hidden], spec.activation)
        self.head = nn.Linear(spec.hidden[-1], spec.num_parameters)
        self.see(spec)
        nn.init.uniform_(self.head.weight, -3e-3, 3e-3)
        nn.init.constant_(self.head.bias, 0.0 if self.squash else 0.5)

    def see(self, spec: NetworkSpec) -> None:
        """Take over which columns each parameter depends on, those of all modes that it belongs to, and in which
        units."""
        seen = (owned(spec).T @ _seen(spec)).clamp(max=1.0) if spec.mode_columns else None
        self.register_buffer("seen", None if seen is None else seen.to(self.head.weight.device), False)
        self.units = OwnUnits(spec, sees_prices=True).to(self.head.weight.device)
        owners = torch.tensor(spec.owners, dtype=torch.long, device=self.head.weight.device)
        self.register_buffer("owners", owners, False)

    def forward(self, observation: Tensor) -> Tensor:
        """Raw parameters [B, P]."""
        own = self.encoder(observation)
        if self.seen is None:
            raw: Tensor = self.head(self.trunk(own))
        else:  # a pass for each parameter, of which its own output is kept
            shown, _ = self.units.of_each(own, self.owners)
            raw = (self.trunk(shown * self.seen) * self.head.weight).sum(-1) + self.head.bias
        return self._stretched(raw)

    def one(self, observation: Tensor, parameter: Tensor) -> Tensor:
        """One raw parameter [B] of each row, of these numbers [B]: a pass instead of P."""
        own = self.encoder(observation)
        if self.seen is not None:
            own = self.units.of_one(own, self.owners[parameter])[0] * self.seen[parameter]
        hidden = self.trunk(own)
        return self._stretched((hidden * self.head.weight[parameter]).sum(-1) + self.head.bias[parameter])

    def _stretched(self, raw: Tensor) -> Tensor:
        return _STRETCH * raw.sigmoid() - (_STRETCH - 1.0) / 2.0 if self.squash else raw


class _Value(nn.Module):
    """A network of observation [..., D] and parameters [..., P], with an output for each mode or a single one."""

    def __init__(self, spec: NetworkSpec, num_parameters: int, num_outputs: int) -> None:
        super().__init__()
        self.encoder = encoder_of(spec)
        self.observation_in = nn.Linear(spec.input_size, spec.hidden[0])
        if num_parameters:
            self.parameter_in = nn.Linear(num_parameters, spec.hidden[0], bias=False)
        self.trunk = trunk(spec.hidden, spec.activation)
        self.activation = ACTIVATIONS[spec.activation]()
        self.head = nn.Linear(spec.hidden[-1], num_outputs)

    def first(self, observation: Tensor) -> Tensor:
        """The observation's share of the first layer."""
        share: Tensor = self.observation_in(self.encoder(observation))
        return share

    def hidden(self, first: Tensor, parameters: Tensor | None = None) -> Tensor:
        """Last hidden layer, from the observation's share of the first and the parameters."""
        return self.trunk(self.activation(first if parameters is None else first + self.parameter_in(parameters)))


class Critic(_Value):
    """The DQN head: what is to be learned of Q(s, k, x_k), for all or for chosen modes: all but the known reward."""

    mode_mask: Tensor
    seen: Tensor | None

    def __init__(self, spec: NetworkSpec) -> None:
        self.kind = spec.critic
        super().__init__(spec, 0 if spec.critic == "separate" else spec.num_parameters, spec.num_modes)
        if spec.critic == "multi-pass":  # the others need none, and with many modes it is large
            self.register_buffer("mode_mask", owned(spec), persistent=False)
        if spec.critic == "separate":
            self.ddpg = _Value(spec, spec.num_parameters, 1)
        self.see(spec)

    def see(self, spec: NetworkSpec) -> None:
        """Take over which columns what is to be learned of each mode depends on, and in which units."""
        seen = _seen(spec)
        seen[:, [column for _, column, _ in spec.price_columns]] = 0.0
        apart = spec.mode_columns or spec.price_columns
        self.register_buffer("seen", seen.to(self.head.weight.device) if apart else None, False)
        self.units = OwnUnits(spec, sees_prices=False).to(self.head.weight.device)

    @property
    def num_values(self) -> int:
        """Number C of values learned for each transition: two if DQN and DDPG are separate."""
        return 2 if self.kind == "separate" else 1

    def forward(self, observation: Tensor, parameters: Tensor, modes: slice = slice(None)) -> Tensor:
        """Q values of all modes, or of a range of them.

        Args:
            observation: [B, D].
            parameters: [B, P] in [0, 1], or what is shown of them (:meth:`Bounds.shown_to_critic`).
            modes: The modes wanted.

        Returns:
            [B, K], or [B, number of modes wanted].
        """
        if self.kind != "multi-pass":
            first = self.first(observation)
            hidden = self.hidden(first, None if self.kind == "separate" else parameters)
            return torch.nn.functional.linear(hidden, self.head.weight[modes], self.head.bias[modes])
        unit: Tensor | float = 1.0
        if self.seen is None:
            first = self.first(observation).unsqueeze(1)
        else:
            shown, unit = self.units.of_each(observation, modes)
            first = self.first(shown * self.seen[modes])
        hidden = self.hidden(first, parameters.unsqueeze(1) * self.mode_mask[modes])
        # Pass k keeps output k only.
        return ((hidden * self.head.weight[modes]).sum(-1) + self.head.bias[modes]) * unit

    def actor_value(self, observation: Tensor, parameters: Tensor, weight: Tensor, modes: slice) -> Tensor:
        """What the actor ascends, summed over the batch: weighted Q of modes with parameters, or DDPG's value.

        Args:
            observation: [B, D].
            parameters: [B, P] in [0, 1].
            weight: Of each mode [B, K], 0 where it is not allowed.
            modes: The modes that have parameters.
        """
        if self.kind == "separate":
            return self.ddpg_value(observation, parameters).sum()
        return (self(observation, parameters, modes) * weight[:, modes]).sum()

    def ddpg_value(self, observation: Tensor, parameters: Tensor) -> Tensor:
        """DDPG's value [B] of observation and parameters, whichever mode is taken."""
        hidden = self.ddpg.hidden(self.ddpg.first(observation), parameters)
        value: Tensor = self.ddpg.head(hidden).squeeze(-1)
        return value

    def taken(self, observation: Tensor, mode: Tensor, parameters: Tensor) -> Tensor:
        """Values [B, C] of the modes taken [B]: one pass instead of K."""
        own = parameters * self.mode_mask[mode] if self.kind == "multi-pass" else parameters
        unit: Tensor | float = 1.0
        if self.seen is not None:
            shown, unit = self.units.of_one(observation, mode)
            observation = shown * self.seen[mode]
        hidden = self.hidden(self.first(observation), None if self.kind == "separate" else own)
        q = ((hidden * self.head.weight[mode]).sum(-1) + self.head.bias[mode]) * unit
        if self.kind == "separate":
            return torch.stack([q, self.ddpg_value(observation, parameters)], -1)
        return q.unsqueeze(-1)


def greedy_mode(critic: Critic, observation: Tensor, bounds: Bounds, unit: Tensor) -> tuple[Tensor, Tensor]:
    """The best allowed mode int64 [B] at these places [B, P], and Q [B, K], -inf where a mode is not allowed."""
    spec = bounds.spec
    q = critic(observation, bounds.shown_to_critic(unit))
    if spec.price_columns:
        q = q + KnownReward(spec, observation).value(bounds.parameters(unit))
    q = q.masked_fill(~allowed_modes(spec, observation), -torch.inf)
    return q.argmax(-1), q


def greedy_action(
    spec: NetworkSpec, actor: Actor, critic: Critic, observation: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The learned decision.

    Args:
        spec: Layout of the heads.
        actor: DDPG head.
        critic: DQN head.
        observation: [B, D].

    Returns:
        Mode int64 [B], parameters of all modes [B, P] in [0, 1], and Q [B, K] with -inf where a mode is not allowed.
    """
    bounds = Bounds(spec, observation)
    unit = unit_parameters(spec, actor(observation))
    mode, q = greedy_mode(critic, observation, bounds, unit)
    return mode, bounds.parameters(unit), q


class Decision(nn.Module):
    """The learned decision with a single shared Box: observation [B, D] -> mode int64 [B], parameter [B] in [0, 1].

    With a context, of whole slots: [B, M, D] -> [B, M] each, for any M.
    """

    starts: Tensor
    has_slot: Tensor

    def __init__(self, spec: NetworkSpec, actor: Actor, critic: Critic) -> None:
        super().__init__()
        self.spec, self.actor, self.critic = spec, actor, critic
        self.register_buffer("starts", torch.tensor([min(a, spec.num_parameters - 1) for a, _ in spec.parameter_slots]))
        self.register_buffer("has_slot", torch.tensor([float(stop > start) for start, stop in spec.parameter_slots]))

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Mode and parameter of the mode, 0 where it has none."""
        mode, parameters, _ = greedy_action(self.spec, self.actor, self.critic, observation)
        chosen = parameters.gather(-1, self.starts[mode].unsqueeze(-1)).squeeze(-1)
        chosen = chosen * self.has_slot[mode]
        if observation.dim() > 2:
            return mode.reshape(observation.shape[:-1]), chosen.reshape(observation.shape[:-1])
        return mode, chosen
