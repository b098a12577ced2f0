"""The part of a reward that is known to be linear in the parameters, which no critic has to learn. No Ray here.

A price is what a parameter at the upper end of its range adds to the reward, and in proportion below; a column of the
observation holds its signed log (:attr:`NetworkSpec.price_columns`). Values are in the critic's units: times the scale
of rewards.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .encoders import rows_of
from .network_spec import NetworkSpec

#: Of a signed log: products with prices beyond would be infinite as numbers of 32 bits.
_LARGEST = 40.0


def prices(spec: NetworkSpec, observation: Tensor) -> Tensor:
    """What a parameter of 1 adds to the value of its mode [B, P]; 0 of those without a column."""
    told = rows_of(observation)
    of_columns = {column: _opened(told[:, column]) for _, column, _ in spec.price_columns}
    found = dict.fromkeys(range(spec.num_parameters), torch.zeros_like(told[:, 0]))
    found |= {parameter: scale * of_columns[column] for parameter, column, scale in spec.price_columns}
    return torch.stack(list(found.values()), -1)


def _opened(signed_log: Tensor) -> Tensor:
    return signed_log.sign() * torch.expm1(signed_log.abs().clamp(max=_LARGEST))


def _by_mode(spec: NetworkSpec, of_parameters: Tensor) -> Tensor:
    """Sums [B, K] over the parameters [B, P] of each mode."""
    parts = [of_parameters[:, start:stop].sum(-1) for start, stop in spec.parameter_slots]
    return torch.stack(parts, -1)


def known_value(spec: NetworkSpec, observation: Tensor, parameters: Tensor) -> Tensor:
    """What is known of the value [B, K] of each mode with these parameters [B, P], at an observation [B, D]."""
    if not spec.price_columns:
        return rows_of(observation).new_zeros(parameters.shape[0], spec.num_modes)
    return _by_mode(spec, prices(spec, observation) * parameters)


def at_stake(spec: NetworkSpec, observation: Tensor) -> Tensor:
    """What the actor's step for each mode is divided by [B, K], so that rows of high prices do not drown the others."""
    told = rows_of(observation)
    if not spec.price_columns:
        return told.new_ones(len(told), spec.num_modes)
    return 1.0 + _by_mode(spec, prices(spec, told).abs())
