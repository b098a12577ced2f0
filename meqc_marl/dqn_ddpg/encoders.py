"""What a device sees of the others before the heads decide: an embedding of the whole row, the same for any number.

DeepSets (Zaheer et al. 2017, arXiv 1703.06114): one network embeds every device, and the embeddings are averaged. As an
option each device weighs the embeddings by attention (Vaswani et al. 2017, arXiv 1706.03762), with one head. Both are
means, so that what is trained with some devices serves more of them. Where the observation masks every mode, a device
that may take none is not there, and the others do not see it. No Ray here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .network_spec import NetworkSpec

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU}


def trunk(sizes: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers between these widths, each with its activation."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(sizes):
        layers += [nn.Linear(wide, narrow), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def rows_of(observation: Tensor) -> Tensor:
    """Whole slots [B, M, D] as rows [B * M, D]; rows [B, D] as they are."""
    return observation.flatten(0, -2) if observation.dim() > 2 else observation


class OfObservations:
    """What follows from observations; each part is worked out once, when it is first asked for.

    Args:
        spec: Layout of the heads.
        observation: [B, D], or whole slots.
    """

    def __init__(self, spec: NetworkSpec, observation: Tensor) -> None:
        self.spec = spec
        self._observation = rows_of(observation)


class ContextEncoder(nn.Module):
    """Observations [B, M, D] of whole slots -> rows [B * M, D + W]: each device's own, then what it sees of all M."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        width = spec.context_width
        self.kind = spec.context
        # Who may take no mode at all is not there.
        masked = {mode for mode, _ in spec.mask_columns}
        self.barred_by = [column for _, column in spec.mask_columns] if len(masked) == spec.num_modes else []
        self.embed = trunk([spec.observation_size, width, width], spec.activation)
        if spec.context == "attention":
            self.query = nn.Linear(width, width, bias=False)
            self.key = nn.Linear(width, width, bias=False)
            self.value = nn.Linear(width, width)

    def forward(self, observation: Tensor) -> Tensor:
        """Rows [B * M, D + W].

        Raises:
            ValueError: If the observations are not of whole slots.
        """
        if observation.dim() != 3:
            raise ValueError(
                f"context is '{self.kind}'; it needs observations of whole slots [B, M, D], not "
                f"{list(observation.shape)}."
            )
        return torch.cat([observation, self.context(observation)], -1).flatten(0, 1)

    def context(self, observation: Tensor) -> Tensor:
        """What each device sees of all, [B, M, W]."""
        embedding = self.embed(observation)
        present = self._present(observation)
        if self.kind == "mean":
            if present is None:
                return embedding.mean(-2, keepdim=True).expand_as(embedding)
            number = present.sum(-1, keepdim=True).clamp(min=1).unsqueeze(-1)
            return ((embedding * present.unsqueeze(-1)).sum(-2, keepdim=True) / number).expand_as(embedding)
        query, key, value = (part(embedding).unsqueeze(1) for part in (self.query, self.key, self.value))
        seen = None if present is None else (present | ~present.any(-1, keepdim=True))[:, None, None]
        return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen).squeeze(1)

    def _present(self, observation: Tensor) -> Tensor | None:
        """Which devices are there, bool [B, M]; None if all are, or no mask tells it."""
        if not self.barred_by:
            return None
        present = (observation[..., self.barred_by] > 0.5).any(-1)
        return None if not torch.compiler.is_exporting() and bool(present.all()) else present


def encoder_of(spec: NetworkSpec) -> nn.Module:
    """What comes before a head: a :class:`ContextEncoder`, or nothing, which draws no weights."""
    return nn.Identity() if spec.context == "none" else ContextEncoder(spec)
