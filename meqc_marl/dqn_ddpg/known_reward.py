"""The part of a reward that is known to be linear in the parameters, which no critic has to learn. No Ray here.

A price is what a parameter at the upper end of its range adds to the reward, and in proportion below; a column of the
observation holds its signed log (:attr:`NetworkSpec.price_columns`). Values are in the critic's units: times the scale
of rewards.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from .encoders import OfObservations
from .own_units import opened


class KnownReward(OfObservations):
    """What prices add to the values of the modes where these observations were made."""

    @cached_property
    def prices(self) -> Tensor:
        """What a parameter of 1 adds to the value of its mode [B, P]; 0 of those without a column."""
        told = self._observation
        of_columns = {column: opened(told[:, column]) for _, column, _ in self.spec.price_columns}
        found = dict.fromkeys(range(self.spec.num_parameters), torch.zeros_like(told[:, 0]))
        found |= {parameter: scale * of_columns[column] for parameter, column, scale in self.spec.price_columns}
        return torch.stack(list(found.values()), -1)

    def value(self, parameters: Tensor) -> Tensor:
        """What is known of the value [B, K] of each mode with these parameters [B, P]."""
        if not self.spec.price_columns:
            return self._observation.new_zeros(parameters.shape[0], self.spec.num_modes)
        return self._by_mode(self.prices * parameters)

    def at_stake(self) -> Tensor:
        """What the actor's step for each mode is divided by [B, K], so that rows of high prices do not drown others."""
        if not self.spec.price_columns:
            return self._observation.new_ones(len(self._observation), self.spec.num_modes)
        return 1.0 + self._by_mode(self.prices.abs())

    def _by_mode(self, of_parameters: Tensor) -> Tensor:
        """Sums [B, K] over the parameters [B, P] of each mode."""
        parts = [of_parameters[:, start:stop].sum(-1) for start, stop in self.spec.parameter_slots]
        return torch.stack(parts, -1)
