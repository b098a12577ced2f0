"""Mixed discrete-continuous action spaces: one Discrete (the mode) plus Boxes (its parameters).

Four layouts are understood:

* ``Dict(mode=Discrete(K), fraction=Box(d), ...)``: all Boxes are shared, whichever mode is taken.
* ``Tuple(Discrete(K), Box)`` in any order: the same with one Box.
* ``Tuple(Discrete(K), Box, ..., Box)`` with K Boxes: Box k belongs to mode k (as in Platform); of size zero if it has
  no parameters.
* ``Tuple(Discrete(K), Tuple(Box, ..., Box))`` with K Boxes: the same, nested.

The learner works on flat arrays: the index of a mode, from 0 whatever the Discrete's start, and a parameter vector of
length P = sum of the parameters of all modes, each in [0, 1]. A shared Box gives every mode a slot of its own in that
vector, because the best fraction depends on where the rest of the task goes. Integer Boxes are rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from .errors import ConfigurationError

#: What PyTorch computes with.
_TYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")
#: Of float32: numbers whose differences are finite, whole numbers that are exact, and room for some values between two.
_MOST, _MOST_WHOLE, _LEAST_ROOM = 1e38, 2**24, 1e-7


@dataclass(frozen=True)
class HybridActionSpace:
    """How modes and their parameters are laid out.

    Attributes:
        num_modes: Number of modes K.
        slots: For each mode the slice of the parameter vector that belongs to it.
        lows, highs: Bounds of all P parameters in the environment's units.
        build: Maps (mode, parameters of all modes in environment units) to the environment's action; works on single
            actions and on batches alike (leading axes are kept), of arrays and of tensors. ``build.split`` gives back
            the mode and the Boxes.
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
    def shared(self) -> bool:
        """Whether all modes share the Boxes."""
        return isinstance(self.build, _SharedBoxes)

    @property
    def mode_dtype(self) -> np.dtype:
        """The smallest integers that hold every mode, for storage."""
        return next(np.dtype(kind) for kind in (np.int8, np.int16, np.int32) if self.num_modes <= np.iinfo(kind).max)

    def scale(self, unit: Any) -> Any:
        """Map parameters from [0, 1] to the environment's bounds. Accepts numpy arrays."""
        return self.lows + unit * (self.highs - self.lows)

    def unscale(self, given: np.ndarray, slot: slice = slice(None)) -> np.ndarray:
        """Inverse of :meth:`scale` for a range of parameters; 0 where the bounds leave no room."""
        room = self.highs[slot] - self.lows[slot]
        return (given - self.lows[slot]) / np.where(room > 0, room, 1.0).astype(np.float32)


def parse_action_space(space: gym.Space, parameterless: Sequence[int] = ()) -> HybridActionSpace:
    """Read a hybrid action space.

    Args:
        space: See the module.
        parameterless: Modes that ignore a shared Box and so need no slot (such as LOCAL).

    Raises:
        ConfigurationError: If the space is of another kind, a Box is unbounded, or nothing is left to choose.
    """
    if isinstance(space, gym.spaces.Dict):
        leaves: list[tuple[Any, gym.Space]] = list(space.spaces.items())
    elif isinstance(space, gym.spaces.Tuple):
        leaves = list(enumerate(space.spaces))
    else:
        raise _refusal(space, "a Dict or Tuple of one Discrete and Boxes is needed")
    nested = len(leaves) == 2 and isinstance(leaves[1][1], gym.spaces.Tuple)
    boxes = list(enumerate(leaves[1][1].spaces)) if nested else [e for e in leaves if isinstance(e[1], gym.spaces.Box)]
    modes = [e for e in leaves if isinstance(e[1], gym.spaces.Discrete)]
    others = [e for e in leaves if e not in modes and e not in boxes] if not nested else []
    if len(modes) != 1 or not boxes or others or not all(isinstance(b, gym.spaces.Box) for _, b in boxes):
        raise _refusal(space, "exactly one Discrete and at least one Box, and nothing else, are needed")
    for _, box in boxes:
        if not (box.is_bounded() and box.dtype.name in _TYPES):
            raise _refusal(space, f"every Box must be bounded, and of one of the types {', '.join(_TYPES)}")
        if not _is_resolved(box):
            raise _refusal(
                space,
                f"bounds must be within {_MOST:g}, those of whole numbers within {_MOST_WHOLE:,}, and apart by a "
                "ten-millionth of their size at least, for float32 to tell what is between; let the environment scale",
            )
    (mode_key, discrete), num_modes = modes[0], int(modes[0][1].n)
    if not set(parameterless) <= set(range(num_modes)):
        raise ConfigurationError(
            f"parameterless_modes is {list(parameterless)}; the action space has the modes 0 to {num_modes - 1}."
        )
    in_tuple = isinstance(space, gym.spaces.Tuple)
    own = in_tuple and mode_key == 0 and len(boxes) == num_modes and (nested or num_modes > 1)
    if nested and not own:
        raise _refusal(space, "a nested Tuple must follow the Discrete and hold a Box for each mode")
    if in_tuple and not own and len(boxes) > 1:
        raise _refusal(
            space,
            f"a Tuple must begin with the Discrete and hold a Box for each of the {num_modes} modes (of size zero "
            "where it has no parameters), or a single Box for all; Boxes that all modes share belong in a Dict",
        )
    if own and parameterless:
        raise ConfigurationError(
            f"parameterless_modes is {list(parameterless)}; it is for Boxes that modes share, here each has its own."
        )
    parts = tuple(_Box.of(key, box) for key, box in boxes)
    start, low, high = int(discrete.start), _joined(parts, "low"), _joined(parts, "high")
    sizes = (
        [part.size for part in parts] if own else [len(low) * (mode not in parameterless) for mode in range(num_modes)]
    )
    ends = np.cumsum(sizes)
    slots = tuple(slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True))
    if not ends[-1]:
        raise _refusal(space, "no mode has a parameter to choose")
    if own:
        return HybridActionSpace(num_modes, slots, low, high, _OwnBoxes(slots, parts, nested, start))
    copies = sum(size > 0 for size in sizes)
    shared = _SharedBoxes(slots, mode_key, parts, not in_tuple, start)
    return HybridActionSpace(num_modes, slots, np.tile(low, copies), np.tile(high, copies), shared)


def _is_resolved(box: gym.spaces.Box) -> bool:
    """Whether float32 tells the numbers of a Box apart."""
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)
    size, room = np.maximum(np.abs(low), np.abs(high)), high - low
    most = _MOST_WHOLE if np.issubdtype(box.dtype, np.integer) else _MOST
    return bool(((size <= most) & ((room == 0.0) | (room >= _LEAST_ROOM * size))).all())


def _refusal(space: gym.Space, needed: str) -> ConfigurationError:
    return ConfigurationError(f"action space {space} is not supported: {needed}.")


def _joined(parts: Sequence[_Box], end: str) -> np.ndarray:
    return np.concatenate([getattr(part, end).ravel().astype(np.float32) for part in parts])


@dataclass(frozen=True)
class _Box:
    """A Box of the environment's action: values [..., size] become an item [..., *shape] of the space."""

    key: Any
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, key: Any, box: gym.spaces.Box) -> _Box:
        return cls(key, box.low, box.high)

    @property
    def size(self) -> int:
        return self.low.size

    def __call__(self, values: Any) -> Any:
        """Of the Box's own type and within its bounds, which rounding to float32 may miss."""
        item = values.reshape((*values.shape[:-1], *self.low.shape))
        if self._is_exact:
            return item
        if isinstance(item, torch.Tensor):
            low, high = (end.to(item.device) for end in self._ends)
            item = item if low.is_floating_point() else item.round()
            return torch.maximum(torch.minimum(item.to(low.dtype), high), low)
        rounded = np.rint(item) if np.issubdtype(self.low.dtype, np.integer) else item
        return np.clip(rounded.astype(self.low.dtype), self.low, self.high)

    @cached_property
    def _ends(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.as_tensor(self.low), torch.as_tensor(self.high)

    @cached_property
    def _is_exact(self) -> bool:
        """Whether low + x (high - low), x in [0, 1], and 0 lie within the bounds in float32 anyhow."""
        if self.low.dtype != np.float32:
            return False
        reached = self.low + np.float32(1.0) * (self.high - self.low)
        return bool(((reached <= self.high) & (self.low <= 0) & (self.high >= 0)).all())


@dataclass(frozen=True)
class _OwnBoxes:
    """Builds ``(mode, (box_0, ..., box_K-1))`` or its flat form."""

    slots: tuple[slice, ...]
    boxes: tuple[_Box, ...]
    nested: bool
    start: int

    def __call__(self, mode: Any, parameters: Any) -> Any:
        boxes = tuple(box(parameters[..., slot]) for box, slot in zip(self.boxes, self.slots, strict=True))
        mode = mode + self.start if self.start else mode
        return (mode, boxes) if self.nested else (mode, *boxes)

    def split(self, action: Any) -> tuple[Any, list[Any]]:
        """The mode's index and the Boxes of all modes."""
        mode, *boxes = action
        return mode - self.start, list(boxes[0]) if self.nested else boxes


@dataclass(frozen=True)
class _SharedBoxes:
    """Builds ``{mode, box...}`` with the parameters of the mode taken (0 or the nearest bound where it has none)."""

    slots: tuple[slice, ...]
    mode_key: Any
    boxes: tuple[_Box, ...]
    as_dict: bool
    start: int

    def __call__(self, mode: Any, parameters: Any) -> Any:
        chosen = self._of_mode(mode, parameters)
        action, start = {self.mode_key: mode + self.start if self.start else mode}, 0
        for box in self.boxes:
            action[box.key] = box(chosen[..., start : start + box.size])
            start += box.size
        if self.as_dict:
            return action
        return tuple(action[key] for key in sorted(action))

    def split(self, action: Any) -> tuple[Any, list[Any]]:
        """The mode's index and the shared Boxes."""
        return action[self.mode_key] - self.start, [action[box.key] for box in self.boxes]

    def _of_mode(self, mode: Any, parameters: Any) -> Any:
        """The parameters [..., width] of the mode taken, 0 where it has none."""
        if isinstance(parameters, torch.Tensor):
            columns, has = (part.to(mode.device) for part in self._tensors)
            return parameters.gather(-1, columns[mode]) * has[mode]
        return np.take_along_axis(parameters, self._columns[mode], -1) * self._has[mode]

    @cached_property
    def _columns(self) -> np.ndarray:
        """Int64 [K, width]: where the parameters of each mode stand."""
        width = sum(box.size for box in self.boxes)
        starts = np.array([[slot.start if slot.stop > slot.start else 0] for slot in self.slots])
        return starts + np.arange(width)

    @cached_property
    def _has(self) -> np.ndarray:
        """Float32 [K, 1]: whether a mode has parameters."""
        return np.array([[slot.stop > slot.start] for slot in self.slots], np.float32)

    @cached_property
    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self._columns), torch.from_numpy(self._has)
