"""Units of a state's own, so that what is learned of amounts at one scale holds at every scale. No Ray here.

Where the value of a mode grows in proportion to amounts that the observation tells (what it costs, say), its pass sees
them as multiples of the largest of them, and what it gives is a multiple of that, too
(:attr:`NetworkSpec.unit_columns`). Costs a thousand times those of training are no other states than those of training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .network_spec import NetworkSpec

#: The largest amount of a state in its own unit: signed logs still tell a hundredth of it from nothing.
LARGEST_SEEN = 10.0
#: Of a signed log: amounts beyond would be infinite as numbers of 32 bits.
_LARGEST = 40.0
#: Where all amounts are less there are none, and the unit is 1.
_NOTHING = 1e-20


def opened(signed_log: Tensor) -> Tensor:
    """The x of sign(x) ln(1 + abs(x))."""
    return signed_log.sign() * torch.expm1(signed_log.abs().clamp(max=_LARGEST))


class OwnUnits(nn.Module):
    """What the passes of modes are shown of observations, and the units of what they give.

    Without ``unit_columns`` observations are shown as they are, and units are 1.

    Args:
        spec: Layout of the heads.
        sees_prices: Whether the passes see prices, which count among the amounts then: what is best depends on costs
            and prices alike, and where one of them is next to nothing beside the other it hardly matters how little.
    """

    amounts: Tensor

    def __init__(self, spec: NetworkSpec, sees_prices: bool) -> None:
        super().__init__()
        self.spec = spec
        self.of: list[list[int]] = [[] for _ in range(spec.num_modes)]
        amounts = torch.zeros(spec.num_modes, spec.observation_size, dtype=torch.bool)
        for mode, column, largest in spec.unit_columns:
            amounts[mode, column] = True
            if largest:
                self.of[mode].append(column)
        owners = spec.owners
        for parameter, column, _ in spec.price_columns if sees_prices else ():
            mode = owners[parameter]
            if self.of[mode]:
                amounts[mode, column] = True
                self.of[mode].append(column)
        self.register_buffer("amounts", amounts, persistent=False)

    def of_modes(self, observation: Tensor) -> Tensor:
        """The unit of each mode [B, K] where these observations [B, D] were made; 1 of a mode without amounts."""
        one = observation.new_ones(observation.shape[:1])
        units = [one] * len(self.of)
        for mode, columns in enumerate(self.of):
            if columns:
                largest = opened(observation[:, columns].abs().amax(-1))
                units[mode] = torch.where(largest > _NOTHING, largest / LARGEST_SEEN, one)
        return torch.stack(units, -1)

    def of_each(self, observation: Tensor, modes: Tensor | slice) -> tuple[Tensor, Tensor | float]:
        """What a pass for each of N modes is shown of observations [B, D], [B, N or 1, D], and the units [B, N]."""
        if not self.spec.unit_columns:
            return observation.unsqueeze(1), 1.0
        unit = self.of_modes(observation)[:, modes]
        return self._shown(observation.unsqueeze(1), unit, self.amounts[modes]), unit

    def of_one(self, observation: Tensor, mode: Tensor) -> tuple[Tensor, Tensor | float]:
        """The same of one mode for each observation, of these numbers [B]: [B, D] and [B]."""
        if not self.spec.unit_columns:
            return observation, 1.0
        unit = self.of_modes(observation).gather(-1, mode.unsqueeze(-1)).squeeze(-1)
        return self._shown(observation, unit, self.amounts[mode]), unit

    @staticmethod
    def _shown(observation: Tensor, unit: Tensor, amounts: Tensor) -> Tensor:
        multiple = opened(observation) / unit.unsqueeze(-1)
        return torch.where(amounts, multiple.sign() * multiple.abs().log1p(), observation)
