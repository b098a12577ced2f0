"""Time-major arrays to transitions of one or of several steps."""

from __future__ import annotations

import numpy as np
from ray.rllib.core.columns import Columns

DISCOUNT = "discount"


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
