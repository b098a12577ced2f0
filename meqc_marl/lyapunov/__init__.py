"""Virtual queues, the drift-plus-penalty objective and the shaped reward: Section IV-B, equations (13)-(18).

The formulas are written here and nowhere else. Two thin drivers use them: ``LyapunovCallback`` in RLlib and
:class:`~meqc_marl.lyapunov.wrapper.LyapunovParallelEnv` for every other framework.
"""

from meqc_marl.lyapunov.credit import difference_reward, team_reward
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

__all__ = [
    "BACKLOG_COLUMN",
    "LyapunovStep",
    "VirtualQueues",
    "difference_reward",
    "drift",
    "drift_bound",
    "growth",
    "next_backlog",
    "objective",
    "reward",
    "scaled_backlog",
    "team_reward",
]
