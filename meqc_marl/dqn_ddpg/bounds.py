"""Which modes an observation allows, and the parameters that an actor's raw output stands for. No Ray here.

Everything is in [0, 1] of a parameter's range. A place is where in its interval a parameter lies: 0 at the low end, 1
at the high end, one half at the middle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .encoders import rows_of
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


def interval(spec: NetworkSpec, observation: Tensor) -> tuple[Tensor, Tensor]:
    """Ends [B, P] of the interval in [0, 1] in which the observation [B, D] keeps each parameter."""
    observation = rows_of(observation)
    lows, highs = spec.bound_ends
    if len(spec.bound_columns) < spec.num_parameters:
        ends = observation.new_tensor([0.0, 1.0]).expand(observation.shape[0], 2)
        observation = torch.cat([observation, ends], -1)
    return observation[:, lows].clamp(0.0, 1.0), observation[:, highs].clamp(0.0, 1.0)


def knots(spec: NetworkSpec, observation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Low end, middle and high end [B, P] of the interval of each parameter; halfway without a column for it."""
    low, high = interval(spec, observation)
    columns = dict(spec.middle_columns)
    told, halfway = rows_of(observation), (low + high) / 2.0
    middles = [told[:, columns[i]] if i in columns else halfway[:, i] for i in range(spec.num_parameters)]
    return low, torch.stack(middles, -1).minimum(high).maximum(low), high


def within_bounds(spec: NetworkSpec, unit: Tensor, observation: Tensor) -> Tensor:
    """The parameters [B, P] that places [B, P] in their interval are; both ends and the middle are met exactly."""
    if spec.middle_columns:
        low, middle, high = knots(spec, observation)
        lower, upper = torch.lerp(low, middle, 2.0 * unit), torch.lerp(middle, high, 2.0 * unit - 1.0)
        return torch.where(unit < 0.5, lower, upper)
    return torch.lerp(*interval(spec, observation), unit) if spec.bound_columns else unit


def places_of(spec: NetworkSpec, parameters: Tensor, observation: Tensor) -> Tensor:
    """The places [B, P] in their interval that parameters [B, P] have; the middle where a part of it is a point."""
    low, middle, high = knots(spec, observation)
    lower, upper = _part(parameters, low, middle), _part(parameters, middle, high)
    return torch.where(parameters < middle, 0.5 * lower, 0.5 + 0.5 * upper)


def _part(value: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """How far a value is on the way from start to stop, within [0, 1]."""
    way = stop - start
    return torch.where(way > 0.0, (value - start) / way.clamp(min=_SHORTEST), 0.0).clamp(0.0, 1.0)


def shown_to_critic(spec: NetworkSpec, unit: Tensor, observation: Tensor) -> Tensor:
    """What the critic is shown of places [B, P]: themselves where a middle is told, else the parameters.

    In a part of an interval that is a point all places are the same parameter: shown is that of the middle, which
    :func:`places_of` gives for it, so that no place is asked about that was never learned.
    """
    if not spec.middle_columns:
        return within_bounds(spec, unit, observation)
    low, middle, high = knots(spec, observation)
    least, most = torch.where(middle > low, 0.0, 0.5), torch.where(high > middle, 1.0, 0.5)
    return unit.minimum(most).maximum(least)


def chosen_parameters(spec: NetworkSpec, raw: Tensor, observation: Tensor) -> Tensor:
    """The parameters [B, P] in [0, 1], as they are executed, that raw ones [B, P] stand for."""
    return within_bounds(spec, unit_parameters(spec, raw), observation)
