"""The Lyapunov shaping for frameworks other than RLlib: a PettingZoo wrapper."""

from __future__ import annotations

from typing import Any

import numpy as np
from pettingzoo.utils import BaseParallelWrapper

from meqc_marl.config import Scenario
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.errors import InputError, shown
from meqc_marl.lyapunov.credit import beyond_local, difference_reward, team_reward
from meqc_marl.lyapunov.queues import BACKLOG_COLUMN, VirtualQueues, scaled_backlog
from meqc_marl.lyapunov.value import BacklogValue, discount_of


class LyapunovParallelEnv(BaseParallelWrapper):
    """:class:`OffloadingParallelEnv` with virtual queues.

    The reward becomes the shaped one (18), of the device itself, of all devices or of its part in that of all as
    ``lyapunov.reward`` says. Where anything is queued, the latter includes what its work costs later slots, by a
    ``value`` of the waits that is learned while the environment runs. The backlog column is filled in; ``infos`` gain
    ``backlog`` (after the slot), ``drift`` and ``objective``.
    """

    def __init__(self, env: OffloadingParallelEnv) -> None:
        if not isinstance(getattr(env, "scenario", None), Scenario):
            raise InputError(f"env is {shown(env)}; it must be an OffloadingParallelEnv.")
        super().__init__(env)
        scenario = env.scenario
        self.queues = VirtualQueues(scenario.lyapunov, scenario.cost.miss_penalty, 1, scenario.num_devices)
        #: Of the waits, where they are charged; it stays from episode to episode.
        self.value: BacklogValue | None = None
        if (discount := discount_of(scenario)) and scenario.lyapunov.reward == "difference":
            self.value = BacklogValue(discount)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start an episode with empty queues."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self.queues.reset()
        if self.value is not None:
            self.value.begin()
        for info in infos.values():
            info.update(backlog=0.0, drift=0.0, objective=0.0)
        return self._with_backlog(observations), infos

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Step the environment, then the queues."""
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        agents = self.env.possible_agents
        cost, fraction, missed = (
            np.array([[infos[agent][field] for agent in agents]]) for field in ("cost", "fraction", "deadline_missed")
        )
        present = self.env.simulator.last.outcome.present
        before = self.queues.shown(present)
        step = self.queues.advance(cost, fraction, missed, present)
        reward = self._paid(step.reward, before, infos)
        for column, agent in enumerate(agents):
            rewards[agent] = float(reward[0, column])
            infos[agent].update(
                backlog=float(step.backlog[0, column]),
                drift=float(step.drift[0, column]),
                objective=float(step.objective[0, column]),
            )
        return self._with_backlog(observations), rewards, terminations, truncations, infos

    def _paid(self, own: np.ndarray, backlog: np.ndarray, infos: dict[str, dict[str, Any]]) -> np.ndarray:
        """The reward that the scenario pays [1, M]."""
        config, simulator = self.queues.config, self.env.simulator
        if config.reward == "own":
            return own
        if config.reward == "team":
            return team_reward(own, simulator.last.outcome.present)
        mode = np.array([[infos[agent]["mode"] for agent in self.env.possible_agents]])
        penalty = self.queues.deadline_penalty
        added = difference_reward(config, penalty, backlog, mode, own, simulator.consequences())
        if self.value is None:
            return added
        gain = beyond_local(config, backlog, simulator.last.outcome.local_cost, own).mean(-1)
        queue = self.queues.shown(simulator.last.outcome.present) / config.v
        self.value.observe(gain, queue.mean(-1), simulator.waits)
        return np.asarray(added + config.v * self.value.credit(simulator.waits, simulator.waits_without_each()))

    def state(self) -> np.ndarray:
        """Observations of all devices one after another, backlog columns filled in, float32 [M K]."""
        state = self.env.state().reshape(len(self.env.possible_agents), -1)
        state[:, BACKLOG_COLUMN] = self._column()
        return state.ravel()

    def _with_backlog(self, observations: dict[str, Any]) -> dict[str, Any]:
        backlog = self._column()
        filled = {}
        for column, agent in enumerate(self.env.possible_agents):
            filled[agent] = observations[agent].copy()
            filled[agent][BACKLOG_COLUMN] = backlog[column]
        return filled

    def _column(self) -> np.ndarray:
        """The backlog column of each device for the coming slot, float32 [M]."""
        return scaled_backlog(self.queues.config, self.queues.shown(self.env.simulator.present)[0])
