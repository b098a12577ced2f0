"""Time-major arrays to transitions of one or of several steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ray.rllib.core.columns import Columns

from .columns import DISCOUNT, MODE, PARAMETERS


def multi_step(
    reward: np.ndarray,
    next_observation: np.ndarray,
    done: np.ndarray,
    terminated: np.ndarray,
    discount: float,
    num_steps: int = 1,
    complete: bool = True,
) -> dict[str, np.ndarray]:
    """Returns over up to ``num_steps`` steps, and what they bootstrap from.

    A return ends early where the episode does, with the value of the true last observation if it was truncated.

    Args:
        reward: Float32 [T, ...].
        next_observation: Float32 [T, ..., D].
        done: Bool [T, ...]: the episode ended in this step.
        terminated: Bool [T, ...]: it ended in a state of value zero.
        discount: Gamma.
        num_steps: Steps n of a return.
        complete: Only the first T - n + 1 steps, whose returns are whole; else all, those at the end being shorter.

    Returns:
        Columns ``rewards`` (discounted sum), ``new_obs`` (after the last step) and ``discount`` (gamma to the power of
        the steps summed, 0 after a termination), [S, ...] with S the steps begun from.
    """
    steps = len(reward)
    starts = max(0, steps - num_steps + 1) if complete else steps
    total, value_of, factor = (
        reward[:starts].copy(),
        next_observation[:starts].copy(),
        np.where(terminated[:starts], 0.0, discount).astype(np.float32),
    )
    running = ~done[:starts]
    for ahead in range(1, min(num_steps, steps)):
        here = slice(ahead, min(ahead + starts, steps))
        count = here.stop - here.start
        goes_on = running[:count]
        total[:count] += np.where(goes_on, np.float32(discount**ahead) * reward[here], np.float32(0.0))
        np.copyto(value_of[:count], next_observation[here], where=goes_on[..., None])
        np.copyto(
            factor[:count],
            np.where(terminated[here], 0.0, discount ** (ahead + 1)).astype(np.float32),
            where=goes_on,
        )
        running[:count] = goes_on & ~done[here]
    return {Columns.REWARDS: total, Columns.NEXT_OBS: value_of, DISCOUNT: factor}


@dataclass
class Fragment:
    """Consecutive slots of all rows, time first: arrays [T, E, M, ...], and [T, E] for ``terminated`` and ``done``."""

    observation: list[np.ndarray] = field(default_factory=list)
    next_observation: list[np.ndarray] = field(default_factory=list)
    mode: list[np.ndarray] = field(default_factory=list)
    parameters: list[np.ndarray] = field(default_factory=list)
    reward: list[np.ndarray] = field(default_factory=list)
    terminated: list[np.ndarray] = field(default_factory=list)
    done: list[np.ndarray] = field(default_factory=list)

    def env_steps(self) -> int:
        """Slots times rows."""
        return len(self.terminated) * len(self.terminated[0]) if self.terminated else 0

    def agent_steps(self) -> int:
        """Slots times rows times agents."""
        return self.env_steps() * self.reward[0].shape[-1] if self.reward else 0

    def after(self, earlier: Fragment) -> Fragment:
        """This fragment with an earlier one before it."""
        return Fragment(**{name: getattr(earlier, name) + slots for name, slots in vars(self).items()})

    def last(self, slots: int) -> Fragment:
        """The last slots."""
        return Fragment(**{name: values[len(values) - slots :] if slots else [] for name, values in vars(self).items()})

    def rows(self, discount: float, num_steps: int = 1) -> dict[str, np.ndarray]:
        """Flatten to transitions [(T - num_steps + 1) * E * M, ...], as the replay buffer takes them."""
        reward = np.stack(self.reward)
        done, terminated = (np.stack(flags)[..., None] for flags in (self.done, self.terminated))
        shape = np.broadcast_shapes(done.shape, reward.shape)
        done, terminated = np.broadcast_to(done, shape), np.broadcast_to(terminated, shape)
        returns = multi_step(reward, np.stack(self.next_observation), done, terminated, discount, num_steps)
        starts = len(returns[Columns.REWARDS])
        if not starts:
            return {}
        columns = {
            Columns.OBS: np.stack(self.observation[:starts]),
            MODE: np.stack(self.mode[:starts]),
            PARAMETERS: np.stack(self.parameters[:starts]),
            **returns,
        }
        return {name: value.reshape(returns[Columns.REWARDS].size, *value.shape[3:]) for name, value in columns.items()}
