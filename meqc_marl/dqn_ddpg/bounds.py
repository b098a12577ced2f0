"""Which modes an observation allows, and the parameters that an actor's raw output stands for. No Ray here.

Everything is in [0, 1] of a parameter's range. A place is where in its interval a parameter lies: 0 at the low end, 1
at the high end, one half at the middle.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from .encoders import OfObservations, rows_of
from .network_spec import NetworkSpec

#: Less than any way between two knots that are apart.
_SHORTEST = 1e-12


def allowed_modes(spec: NetworkSpec, observation: Tensor) -> Tensor:
    """Bool [B, K]: which modes the observation [B, D] allows. Where its masks bar all, they do not count."""
    observation = rows_of(observation)
    allowed = torch.ones((observation.shape[0], spec.num_modes), dtype=torch.bool, device=observation.device)
    free = spec.allowed_modes or range(spec.num_modes)
    for mode, column in spec.mask_columns:
        allowed[:, mode] &= observation[:, column] > 0.5
    barred = [mode for mode in range(spec.num_modes) if mode not in free]
    if barred:
        allowed[:, barred] = False
    if set(free) <= {mode for mode, _ in spec.mask_columns}:
        rest = torch.tensor([mode in free for mode in range(spec.num_modes)], device=observation.device)
        allowed = allowed | (~allowed.any(-1, keepdim=True) & rest)
    return allowed


def unit_parameters(spec: NetworkSpec, raw: Tensor) -> Tensor:
    """The places [B, P] in their interval that raw parameters [B, P] stand for: clamped to [0, 1], or all 1."""
    return torch.ones_like(raw) if spec.discrete else raw.clamp(0.0, 1.0)


class Bounds(OfObservations):
    """The interval in which observations keep each parameter, and the way between places and parameters."""

    @cached_property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Low and high end [B, P] in [0, 1]."""
        lows, highs = self.spec.bound_ends
        told = self._observation
        if len(self.spec.bound_columns) < self.spec.num_parameters:
            # Not len(): an exported graph would hold it for ever.
            told = torch.cat([told, told.new_tensor([0.0, 1.0]).expand(told.shape[0], 2)], -1)
        return told[:, lows].clamp(0.0, 1.0), told[:, highs].clamp(0.0, 1.0)

    @cached_property
    def middle(self) -> Tensor:
        """The knot between the ends [B, P]; halfway without a column for it."""
        low, high = self.ends
        columns = dict(self.spec.middle_columns)
        halfway = (low + high) / 2.0
        told = [
            self._observation[:, columns[i]] if i in columns else halfway[:, i] for i in range(self.spec.num_parameters)
        ]
        return torch.stack(told, -1).minimum(high).maximum(low)

    def parameters(self, places: Tensor) -> Tensor:
        """The parameters [B, P] that places [B, P] in their interval are; both ends and the middle are met exactly."""
        if self.spec.middle_columns:
            (low, high), middle = self.ends, self.middle
            lower, upper = torch.lerp(low, middle, 2.0 * places), torch.lerp(middle, high, 2.0 * places - 1.0)
            return torch.where(places < 0.5, lower, upper)
        return torch.lerp(*self.ends, places) if self.spec.bound_columns else places

    def places(self, parameters: Tensor) -> Tensor:
        """The places [B, P] in their interval that parameters [B, P] have; the middle where a part is a point."""
        (low, high), middle = self.ends, self.middle
        lower, upper = _part(parameters, low, middle), _part(parameters, middle, high)
        return torch.where(parameters < middle, 0.5 * lower, 0.5 + 0.5 * upper)

    def shown_to_critic(self, places: Tensor) -> Tensor:
        """What the critic is shown of places [B, P]: themselves where a middle is told, else the parameters.

        In a part of an interval that is a point all places are the same parameter: shown is that of the middle, which
        :meth:`places` gives for it, so that no place is asked about that was never learned.
        """
        if not self.spec.middle_columns:
            return self.parameters(places)
        (low, high), middle = self.ends, self.middle
        least, most = torch.where(middle > low, 0.0, 0.5), torch.where(high > middle, 1.0, 0.5)
        return places.minimum(most).maximum(least)

    def chosen(self, raw: Tensor) -> Tensor:
        """The parameters [B, P] in [0, 1], as they are executed, that raw ones [B, P] stand for."""
        return self.parameters(unit_parameters(self.spec, raw))


def _part(value: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """How far a value is on the way from start to stop, within [0, 1]."""
    way = stop - start
    return torch.where(way > 0.0, (value - start) / way.clamp(min=_SHORTEST), 0.0).clamp(0.0, 1.0)
