"""The two heads as plain torch modules: a DDPG actor for the fractions and a DQN critic over the modes.

P-DQN (Xiong et al. 2018, arXiv 1810.06394) with the multi-pass critic (Bester et al. 2019, arXiv 1905.04388): the
critic sees one mode's parameters at a time, so that Q_k cannot depend on the fractions of other modes. No Ray here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkSpec:
    """All that is needed to rebuild the two heads; plain numbers, so that it can be stored as JSON.

    Attributes:
        observation_size: Length D of an observation.
        parameter_slots: (start, stop) of each mode's parameters in the vector of P.
        hidden: Width of each hidden layer, of both heads.
        critic: ``multi-pass`` (own parameters only) or ``joint`` (Q_k sees all parameters, plain P-DQN).
        activation: Of the hidden layers. A smooth one gives the actor a smooth dQ/dx.
        mask_columns: (mode, observation column) pairs: the mode is allowed where the column is above one half.
    """

    observation_size: int
    parameter_slots: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...] = (128, 128)
    critic: Literal["multi-pass", "joint"] = "multi-pass"
    activation: Literal["relu", "silu"] = "silu"
    mask_columns: tuple[tuple[int, int], ...] = ()

    @property
    def num_modes(self) -> int:
        """Number of modes K."""
        return len(self.parameter_slots)

    @property
    def num_parameters(self) -> int:
        """Length P of the parameter vector."""
        return max(stop for _, stop in self.parameter_slots)

    @property
    def parametric_modes(self) -> slice:
        """The shortest range of modes that holds all with parameters: the others need no actor gradient."""
        modes = [mode for mode, (start, stop) in enumerate(self.parameter_slots) if stop > start]
        return slice(modes[0], modes[-1] + 1)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NetworkSpec:
        """Inverse of :meth:`to_json`.

        Raises:
            ValueError, KeyError, TypeError: If the data describes no network.
        """
        spec = cls(
            observation_size=int(data["observation_size"]),
            parameter_slots=tuple((int(a), int(b)) for a, b in data["parameter_slots"]),
            hidden=tuple(int(width) for width in data["hidden"]),
            critic=data["critic"],
            activation=data["activation"],
            mask_columns=tuple((int(a), int(b)) for a, b in data["mask_columns"]),
        )
        sound = {
            "parameter_slots": spec.parameter_slots and all(0 <= a <= b for a, b in spec.parameter_slots),
            "hidden": spec.hidden and min(spec.hidden) >= 1,
            "critic": spec.critic in ("multi-pass", "joint"),
            "activation": spec.activation in _ACTIVATIONS,
            "mask_columns": all(
                0 <= mode < spec.num_modes and 0 <= column < spec.observation_size for mode, column in spec.mask_columns
            ),
        }
        for name, is_sound in sound.items():
            if not is_sound:
                raise ValueError(f"{name} is {data[name]!r}")
        return spec


_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU}


def _trunk(sizes: Sequence[int], activation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(sizes):
        layers += [nn.Linear(wide, narrow), _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


class Actor(nn.Module):
    """The DDPG head: observation [B, D] -> raw parameters [B, P] of all modes, unbounded, meant in [0, 1].

    Parameters are clamped in use, and in training a gradient that leads further out of the range is dropped: both
    ends are reached exactly, which tanh or inverting gradients only approach.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.trunk = _trunk([spec.observation_size, *spec.hidden], spec.activation)
        self.head = nn.Linear(spec.hidden[-1], spec.num_parameters)
        nn.init.uniform_(self.head.weight, -3e-3, 3e-3)
        nn.init.constant_(self.head.bias, 0.5)

    def forward(self, observation: Tensor) -> Tensor:
        """Raw parameters [B, P]."""
        raw: Tensor = self.head(self.trunk(observation))
        return raw


class Critic(nn.Module):
    """The DQN head: Q(s, k, x_k) for all or for chosen modes."""

    mode_mask: Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.joint = spec.critic == "joint"
        self.observation_in = nn.Linear(spec.observation_size, spec.hidden[0])
        self.parameter_in = nn.Linear(spec.num_parameters, spec.hidden[0], bias=False)
        self.trunk = _trunk(spec.hidden, spec.activation)
        self.activation = _ACTIVATIONS[spec.activation]()
        self.head = nn.Linear(spec.hidden[-1], spec.num_modes)
        mask = torch.zeros(spec.num_modes, spec.num_parameters)
        for mode, (start, stop) in enumerate(spec.parameter_slots):
            mask[mode, start:stop] = 1.0
        self.register_buffer("mode_mask", mask, persistent=False)

    def forward(self, observation: Tensor, parameters: Tensor, modes: slice = slice(None)) -> Tensor:
        """Q values of all modes, or of a range of them.

        Args:
            observation: [B, D].
            parameters: [B, P] in [0, 1].
            modes: The modes wanted.

        Returns:
            [B, K], or [B, number of modes wanted].
        """
        first = self.observation_in(observation)
        if self.joint:
            hidden = self.trunk(self.activation(first + self.parameter_in(parameters)))
            return torch.nn.functional.linear(hidden, self.head.weight[modes], self.head.bias[modes])
        passes = self.parameter_in(parameters.unsqueeze(1) * self.mode_mask[modes])
        hidden = self.trunk(self.activation(first.unsqueeze(1) + passes))
        # Pass k keeps output k only.
        return (hidden * self.head.weight[modes]).sum(-1) + self.head.bias[modes]

    def taken(self, observation: Tensor, mode: Tensor, parameters: Tensor) -> Tensor:
        """Q [B] of the mode taken [B]: one pass instead of K."""
        own = parameters if self.joint else parameters * self.mode_mask[mode]
        hidden = self.trunk(self.activation(self.observation_in(observation) + self.parameter_in(own)))
        return (hidden * self.head.weight[mode]).sum(-1) + self.head.bias[mode]


def allowed_modes(spec: NetworkSpec, observation: Tensor) -> Tensor:
    """Bool [B, K]: which modes the observation [B, D] allows."""
    allowed = torch.ones((observation.shape[0], spec.num_modes), dtype=torch.bool, device=observation.device)
    for mode, column in spec.mask_columns:
        allowed[:, mode] = observation[:, column] > 0.5
    return allowed


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
    parameters = actor(observation).clamp(0.0, 1.0)
    q = critic(observation, parameters)
    q = q.masked_fill(~allowed_modes(spec, observation), -torch.inf)
    return q.argmax(-1), parameters, q


class Decision(nn.Module):
    """The learned decision with a single shared Box: observation [B, D] -> mode int64 [B], parameter [B] in [0, 1]."""

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
        return mode, chosen * self.has_slot[mode]
