"""Mixed discrete-continuous action spaces: one Discrete (the mode) plus Boxes (its parameters).

Three layouts are understood:

* ``Dict(mode=Discrete(K), fraction=Box(d))``: the Boxes are shared, whichever mode is taken.
* ``Tuple(Discrete(K), Box, ..., Box)`` with K Boxes: Box k belongs to mode k (as in Platform).
* ``Tuple(Discrete(K), Tuple(Box, ..., Box))``: the same, nested.

The learner works on flat arrays: a mode index and a parameter vector of length P = sum of the parameters of all modes,
each in [0, 1]. A shared Box gives every mode a slot of its own in that vector, because the best fraction depends on
where the rest of the task goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from .errors import ConfigurationError


@dataclass(frozen=True)
class HybridActionSpace:
    """How modes and their parameters are laid out.

    Attributes:
        num_modes: Number of modes K.
        slots: For each mode the slice of the parameter vector that belongs to it.
        lows, highs: Bounds of all P parameters in the environment's units.
        build: Maps (mode, parameters of all modes in environment units) to the environment's action; works on single
            actions and on batches alike (leading axes are kept). ``build.split`` gives back the mode and the Boxes.
    """

    num_modes: int
    slots: tuple[slice, ...]
    lows: np.ndarray
    highs: np.ndarray
    build: _OwnBoxes | _SharedBoxes

    @property
    def num_parameters(self) -> int:
        """Length P of the parameter vector."""
        return len(self.lows)

    @property
    def mask(self) -> np.ndarray:
        """Float32 [K, P]: 1 where a parameter belongs to a mode."""
        mask = np.zeros((self.num_modes, self.num_parameters), np.float32)
        for mode, slot in enumerate(self.slots):
            mask[mode, slot] = 1.0
        return mask

    @property
    def shared(self) -> bool:
        """Whether all modes share the Boxes."""
        return isinstance(self.build, _SharedBoxes)

    def scale(self, unit: Any) -> Any:
        """Map parameters from [0, 1] to the environment's bounds. Accepts numpy arrays."""
        return self.lows + unit * (self.highs - self.lows)


def parse_action_space(space: gym.Space, parameterless: Sequence[int] = ()) -> HybridActionSpace:
    """Read a hybrid action space.

    Args:
        space: A Dict or Tuple with exactly one Discrete and at least one bounded Box.
        parameterless: Modes that ignore a shared Box and so need no slot (such as LOCAL).

    Raises:
        ConfigurationError: If the space is of another kind or a Box is unbounded.
    """
    if isinstance(space, gym.spaces.Dict):
        leaves: list[tuple[Any, gym.Space]] = list(space.spaces.items())
    elif isinstance(space, gym.spaces.Tuple):
        leaves = list(enumerate(space.spaces))
    else:
        raise ConfigurationError(
            f"action space {space} is not supported: a Dict or Tuple of one Discrete and Boxes is needed."
        )
    nested = len(leaves) == 2 and isinstance(leaves[1][1], gym.spaces.Tuple)
    boxes = list(enumerate(leaves[1][1].spaces)) if nested else [e for e in leaves if isinstance(e[1], gym.spaces.Box)]
    modes = [e for e in leaves if isinstance(e[1], gym.spaces.Discrete)]
    if len(modes) != 1 or not boxes or not all(isinstance(b, gym.spaces.Box) for _, b in boxes):
        raise ConfigurationError(
            f"action space {space} is not supported: exactly one Discrete and at least one Box are needed."
        )
    if not all(b.is_bounded() for _, b in boxes):
        raise ConfigurationError(f"action space {space} is not supported: every Box must be bounded.")
    num_modes = int(modes[0][1].n)
    if nested and len(boxes) != num_modes:
        raise ConfigurationError(
            f"action space {space} is not supported: a nested Tuple must hold a Box for each mode."
        )
    first = modes[0][0] == 0
    own = isinstance(space, gym.spaces.Tuple) and len(boxes) == num_modes and first and (nested or num_modes > 1)
    flat_low = [b.low.ravel().astype(np.float32) for _, b in boxes]
    flat_high = [b.high.ravel().astype(np.float32) for _, b in boxes]
    if own:
        ends = np.cumsum([len(low) for low in flat_low])
        slots = tuple(slice(int(end) - len(low), int(end)) for end, low in zip(ends, flat_low, strict=True))
        return HybridActionSpace(
            num_modes, slots, np.concatenate(flat_low), np.concatenate(flat_high), _OwnBoxes(slots, nested)
        )
    low, high = np.concatenate(flat_low), np.concatenate(flat_high)
    slots_list, start = [], 0
    for mode in range(num_modes):
        size = 0 if mode in parameterless else len(low)
        slots_list.append(slice(start, start + size))
        start += size
    with_slot = num_modes - len(set(parameterless))
    build = _SharedBoxes(
        tuple(slots_list),
        modes[0][0],
        tuple((key, box.shape) for key, box in boxes),
        isinstance(space, gym.spaces.Dict),
    )
    return HybridActionSpace(num_modes, tuple(slots_list), np.tile(low, with_slot), np.tile(high, with_slot), build)


@dataclass(frozen=True)
class _OwnBoxes:
    """Builds ``(mode, (box_0, ..., box_K-1))`` or its flat form."""

    slots: tuple[slice, ...]
    nested: bool

    def __call__(self, mode: Any, parameters: Any) -> Any:
        boxes = tuple(parameters[..., slot] for slot in self.slots)
        return (mode, boxes) if self.nested else (mode, *boxes)

    def split(self, action: Any) -> tuple[Any, list[Any]]:
        """The mode and the Boxes of all modes."""
        mode, *boxes = action
        return mode, list(boxes[0]) if self.nested else boxes


@dataclass(frozen=True)
class _SharedBoxes:
    """Builds ``{mode, box...}`` with the parameters of the mode taken (0 where it has none)."""

    slots: tuple[slice, ...]
    mode_key: Any
    boxes: tuple[tuple[Any, tuple[int, ...]], ...]
    as_dict: bool

    def __call__(self, mode: Any, parameters: Any) -> Any:
        width = max(slot.stop - slot.start for slot in self.slots)
        chosen = parameters[..., :width] * 0
        for k, slot in enumerate(self.slots):
            if slot.stop > slot.start:
                taken = (mode == k)[..., None]
                chosen = taken * parameters[..., slot] + ~taken * chosen
        action, start = {self.mode_key: mode}, 0
        for key, shape in self.boxes:
            size = int(np.prod(shape, dtype=int))
            action[key] = chosen[..., start : start + size].reshape(*chosen.shape[:-1], *shape)
            start += size
        if self.as_dict:
            return action
        return tuple(action[key] for key in sorted(action))

    def split(self, action: Any) -> tuple[Any, list[Any]]:
        """The mode and the shared Boxes."""
        return action[self.mode_key], [action[key] for key, _ in self.boxes]
