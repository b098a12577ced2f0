"""Virtual queues, the drift-plus-penalty objective and the shaped reward: Section IV-B, equations (13)-(18).

The formulas are written here and nowhere else. Two thin drivers use them: ``LyapunovCallback`` in RLlib and
:class:`~meqc_marl.lyapunov.wrapper.LyapunovParallelEnv` for every other framework.
"""

from meqc_marl.lyapunov.credit import beyond_local, difference_reward, team_reward
from meqc_marl.lyapunov.queues import (
    BACKLOG_COLUMN,
    LyapunovStep,
    VirtualQueues,
    drift,
    drift_bound,
    growth,
    next_backlog,
    objective,
    reward,
    scaled_backlog,
)
from meqc_marl.lyapunov.value import BacklogValue, discount_of

__all__ = [
    "BACKLOG_COLUMN",
    "BacklogValue",
    "LyapunovStep",
    "VirtualQueues",
    "beyond_local",
    "difference_reward",
    "discount_of",
    "drift",
    "drift_bound",
    "growth",
    "next_backlog",
    "objective",
    "reward",
    "scaled_backlog",
    "team_reward",
]
