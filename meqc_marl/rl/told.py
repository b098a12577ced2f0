"""What a slot tells the Lyapunov callback, and how it is read off RLlib's own MultiAgentEpisode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.env.infos import OUTCOME
from meqc_marl.lyapunov import BACKLOG_COLUMN
from meqc_marl.physics.consequences import Consequences, Effect
from meqc_marl.physics.cost import Outcome
from meqc_marl.physics.queueing import Backlogs, waits
from meqc_marl.rl.offloading_env import check_costs

_Waits = tuple[np.ndarray, np.ndarray]


class Told(NamedTuple):
    """What an environment tells of a slot of a row, or of all rows."""

    outcome: Outcome
    consequences: Callable[[], Consequences]
    waits: _Waits
    """At the server and at the QPU after the slot, in s [E]."""
    waits_without: Callable[[], _Waits]
    """The same without what one device sent [E, M]."""
    coming: np.ndarray | None
    """Who is there in the coming slot, bool [E, M]; None if everybody is in every slot."""


def told_by(scenario: Scenario, episode: Any) -> Told:
    """The last slot of an episode: one row, agents in order of their names."""
    infos = episode.get_infos(-1)
    agents = sorted(infos, key=_mobile_number)
    values = {name: np.array([[infos[a][name] for a in agents]]) for name in OUTCOME}
    check_costs(scenario, values["cost"])
    was, coming = (np.array([[infos[a][name] for a in agents]]) for name in ("was_present", "present"))

    def consequences() -> Consequences:
        what_if = np.stack([infos[agent]["what_if"] for agent in agents], -1)[:, :, None]
        return Consequences(*(Effect(*effect) for effect in what_if))

    def waits_without() -> _Waits:
        cycles, seconds = np.stack([infos[agent]["backlogs_without"] for agent in agents], -1)[:, None]
        return waits(scenario, Backlogs(cycles, seconds))

    one = infos[agents[0]]
    now = (np.array([one.get("cpu_wait_s", 0.0)]), np.array([one.get("qpu_wait_s", 0.0)]))
    return Told(Outcome(**values, present=None if was.all() else was), consequences, now, waits_without, coming)


def show(episode: Any, reward: np.ndarray, backlog: np.ndarray) -> None:
    """Write rewards and the backlog column [1, M] of the last slot into an episode."""
    for column, agent in enumerate(sorted(episode.get_infos(-1), key=_mobile_number)):
        single = episode.agent_episodes[agent]
        observation = np.array(single.get_observations(-1))
        observation[BACKLOG_COLUMN] = backlog[0, column]
        single.set_observations(new_data=observation, at_indices=-1)
        single.set_rewards(new_data=float(reward[0, column]), at_indices=-1)


def _mobile_number(agent: str) -> int:
    return int(agent.rsplit("_", 1)[1])
