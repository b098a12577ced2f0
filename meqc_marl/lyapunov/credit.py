"""Who is paid for what where devices share: its own objective, the mean of all, or what it adds to that of all."""

from __future__ import annotations

import numpy as np

from meqc_marl.config.scenario import Lyapunov
from meqc_marl.lyapunov.queues import growth, reward
from meqc_marl.nature.presence import mean_of_present, of_present
from meqc_marl.physics.consequences import Consequences, Effect
from meqc_marl.physics.modes import Mode


def team_reward(own: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
    """The mean of all devices of a row that are there [..., M], to each of them."""
    if present is None:
        return np.broadcast_to(own.mean(-1, keepdims=True), own.shape)
    return np.asarray(of_present(np.broadcast_to(mean_of_present(own, present, -1, True), own.shape), present))


def beyond_local(config: Lyapunov, backlog: np.ndarray, local_cost: np.ndarray, own: np.ndarray) -> np.ndarray:
    """A reward less that of leaving the task on the device, in units of V: C_L - C + (z / V) phi, less misses [..., M].

    Args:
        config: Of the reward (18).
        backlog: Virtual queues z before the slot, 0 of who is not there.
        local_cost: What the whole task costs on the device.
        own: Each device's own reward of the slot.
    """
    nothing = np.zeros(())
    return np.asarray((own - reward(config, local_cost, backlog, growth(config, nothing), nothing, 0.0)) / config.v)


def difference_reward(
    config: Lyapunov,
    penalty: float,
    backlog: np.ndarray,
    mode: np.ndarray,
    own: np.ndarray,
    others: Consequences,
) -> np.ndarray:
    """What each device adds to the reward of all by not staying local [..., M].

    Minus (objective of all, less that of all had the device stayed local), penalties of misses included; 0 for LOCAL.
    Whoever raises it raises the total by as much (Wolpert and Tumer, Adv. Complex Syst. 4, 265, 2001).

    Args:
        config, penalty: Of the reward (18).
        backlog: Virtual queues z before the slot, 0 of who is not there.
        mode: Executed modes.
        own: Each device's own reward of the slot.
        others: What would have been.
    """

    def reward_of(effect: Effect) -> np.ndarray:
        return reward(config, effect.cost, backlog, growth(config, effect.fraction), effect.missed, penalty)

    added = own - reward_of(others.local)
    for place, without in ((Mode.CPU, others.less_cpu), (Mode.QPU, others.less_qpu)):
        harm = own - reward_of(without)
        added += (mode == place) * (harm.sum(-1, keepdims=True) - harm)
    return np.where(mode == Mode.LOCAL, 0.0, added)
