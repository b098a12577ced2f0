"""Time-major arrays to transitions of one or of several steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ray.rllib.core.columns import Columns

from .batched_env import BatchedStep
from .columns import DISCOUNT, IS_RANDOM, MODE, PARAMETERS, PRESENT


def multi_step(
    reward: np.ndarray,
    next_observation: np.ndarray,
    done: np.ndarray,
    terminated: np.ndarray,
    discount: float,
    num_steps: int = 1,
    complete: bool = True,
    is_random: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Returns over up to ``num_steps`` steps, and what they bootstrap from.

    A return ends early where the episode does, with the value of the true last observation if it was truncated; and, if
    told which actions were random, before the first of them that follows its own, which may be random.

    Args:
        reward: Float32 [T, ...].
        next_observation: Float32 [T, ..., D].
        done: Bool [T, ...]: the episode ended in this step.
        terminated: Bool [T, ...]: it ended in a state of value zero.
        discount: Gamma.
        num_steps: Steps n of a return.
        complete: Only the first T - n + 1 steps, whose returns are whole; else all, those at the end being shorter.
        is_random: Bool [T, ...]: the step's action was drawn at random (Watkins 1989).

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
        goes_on = running[:count] if is_random is None else running[:count] & ~is_random[here]
        total[:count] += np.where(goes_on, np.float32(discount**ahead) * reward[here], np.float32(0.0))
        np.copyto(value_of[:count], next_observation[here], where=goes_on[..., None])
        np.copyto(
            factor[:count],
            np.where(terminated[here], 0.0, discount ** (ahead + 1)).astype(np.float32),
            where=goes_on,
        )
        running[:count] = goes_on & ~done[here]
    return {Columns.REWARDS: total, Columns.NEXT_OBS: value_of, DISCOUNT: factor}


@dataclass(frozen=True)
class Part:
    """What of a fragment's arrays belongs to one module.

    Attributes:
        agents: Which agents: indices [m], or all of them.
        observation_size: Length D of their observations; those of others may be longer.
        num_parameters: Length P of their parameter vectors.
    """

    agents: slice | np.ndarray
    observation_size: int
    num_parameters: int

    def of(self, values: np.ndarray, width: int | None = None) -> np.ndarray:
        """The agents' share of an array [..., M], or of the first ``width`` columns of an array [..., M, W]."""
        if width is None:
            share: np.ndarray = values[..., self.agents]
            return share
        if isinstance(self.agents, slice) and width == values.shape[-1]:
            return values
        return values[..., self.agents, :width]


@dataclass
class Fragment:
    """Consecutive slots of all rows, time first: arrays [T, E, M, ...]; [T, E] for ``done`` and, where agents of a row
    do not differ in it, ``terminated``.

    Of agents that come and go ``present`` and ``next_present`` [T, E, M] say who is there in a slot and in the one
    after it; otherwise they are empty. So is ``is_random`` [T, E, M] unless returns end before random actions.

    ``parts`` says which agents belong to which module; where modules differ, observations and parameters are as wide
    as the widest, and zero beyond their own.
    """

    observation: list[np.ndarray] = field(default_factory=list)
    next_observation: list[np.ndarray] = field(default_factory=list)
    mode: list[np.ndarray] = field(default_factory=list)
    parameters: list[np.ndarray] = field(default_factory=list)
    reward: list[np.ndarray] = field(default_factory=list)
    terminated: list[np.ndarray] = field(default_factory=list)
    done: list[np.ndarray] = field(default_factory=list)
    present: list[np.ndarray] = field(default_factory=list)
    next_present: list[np.ndarray] = field(default_factory=list)
    is_random: list[np.ndarray] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)

    def arrays(self) -> dict[str, list[np.ndarray]]:
        """All but the parts, by name."""
        return {name: value for name, value in vars(self).items() if name != "parts"}

    def add(
        self,
        observation: np.ndarray,
        chosen: dict[str, np.ndarray],
        step: BatchedStep,
        present: np.ndarray | None = None,
        next_present: np.ndarray | None = None,
    ) -> None:
        """Append a slot: what was seen and done, what came of it, and who was there in it and is in the next.

        ``chosen`` has the arrays [E, M, ...] of ``mode``, ``parameters`` and, where it is wanted, ``is_random``. The
        observations are kept as they are; of the rest of what an environment gives, copies.
        """
        self.observation.append(observation)
        self.mode.append(chosen[MODE])
        self.parameters.append(chosen[PARAMETERS])
        if IS_RANDOM in chosen:
            self.is_random.append(chosen[IS_RANDOM])
        self.reward.append(step.reward.copy())
        self.next_observation.append(step.next_observation)
        self.terminated.append(step.terminated.copy())
        self.done.append(step.done)
        if present is not None and next_present is not None:
            self.present.append(present)
            self.next_present.append(next_present.copy())

    def env_steps(self) -> int:
        """Slots times rows."""
        return len(self.terminated) * len(self.terminated[0]) if self.terminated else 0

    def agent_steps(self) -> int:
        """Slots times rows times agents, of those that are there."""
        if self.present:
            return int(sum(present.sum() for present in self.present))
        return self.env_steps() * self.reward[0].shape[-1] if self.reward else 0

    def after(self, earlier: Fragment) -> Fragment:
        """This fragment with an earlier one before it."""
        joined = {name: getattr(earlier, name) + slots for name, slots in self.arrays().items()}
        return Fragment(**joined, parts=self.parts)

    def last(self, slots: int) -> Fragment:
        """The last slots."""
        ends = {name: values[len(values) - slots :] if slots else [] for name, values in self.arrays().items()}
        return Fragment(**ends, parts=self.parts)

    def rows(
        self, discount: float, num_steps: int = 1, part: Part | None = None, whole_slots: bool = False
    ) -> dict[str, np.ndarray]:
        """Transitions as the replay buffer takes them.

        Args:
            discount: Gamma.
            num_steps: Steps of a return.
            part: Whose transitions; by default everybody's.
            whole_slots: Keep the m agents of a slot together.

        Returns:
            Columns [(T - num_steps + 1) * E * m, ...], or [(T - num_steps + 1) * E, m, ...] in whole slots. Of agents
            that come and go only those that are there; in whole slots a column more tells who is.
        """
        if part is None:
            part = Part(slice(None), self.observation[0].shape[-1], self.parameters[0].shape[-1])
        reward = part.of(np.stack(self.reward))
        done, terminated = np.stack(self.done)[..., None], np.stack(self.terminated)
        terminated = part.of(terminated) if terminated.ndim == done.ndim else terminated[..., None]
        done, terminated = (np.broadcast_to(flags, reward.shape) for flags in (done, terminated))
        if self.present:  # who goes has come to an end
            gone = ~part.of(np.stack(self.next_present))
            done, terminated = done | gone, terminated | gone
        following = part.of(np.stack(self.next_observation), part.observation_size)
        is_random = part.of(np.stack(self.is_random)) if self.is_random else None
        returns = multi_step(reward, following, done, terminated, discount, num_steps, is_random=is_random)
        starts = len(returns[Columns.REWARDS])
        if not starts:
            return {}
        columns = {
            Columns.OBS: part.of(np.stack(self.observation[:starts]), part.observation_size),
            MODE: part.of(np.stack(self.mode[:starts])),
            PARAMETERS: part.of(np.stack(self.parameters[:starts]), part.num_parameters),
            **returns,
        }
        joined = 2 if whole_slots else 3
        if self.present:
            columns[PRESENT] = part.of(np.stack(self.present[:starts]))
        rows = {name: value.reshape(-1, *value.shape[joined:]) for name, value in columns.items()}
        if not self.present:
            return rows
        there = rows[PRESENT].any(-1) if whole_slots else rows.pop(PRESENT)
        return {name: value[there] for name, value in rows.items()}
