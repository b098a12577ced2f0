"""The Lyapunov callback: advances the virtual queues, shapes the rewards, fills in the backlog, logs both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils.annotations import override

from meqc_marl.config.scenario import Lyapunov
from meqc_marl.dqn_ddpg.batched_env import BatchedStep
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.rl_module import DQNDDPGModule
from meqc_marl.env.loads import LOAD_COLUMNS
from meqc_marl.env.varied import VariedSimulator
from meqc_marl.lyapunov import (
    BACKLOG_COLUMN,
    BacklogValue,
    LyapunovStep,
    VirtualQueues,
    beyond_local,
    difference_reward,
    discount_of,
    scaled_backlog,
    team_reward,
)
from meqc_marl.nature.presence import of_present
from meqc_marl.physics.cost import Outcome
from meqc_marl.rl.offloading_env import OffloadingBatchedEnv
from meqc_marl.rl.tally import Tally
from meqc_marl.rl.told import Told, show, told_by

LYAPUNOV = "lyapunov"
TYPICAL_COST = 15.0
"""Of a device in a slot at the defaults, about; it brings rewards to about 1."""


class LyapunovCallback(RLlibCallback):
    """Drives :class:`~meqc_marl.lyapunov.VirtualQueues` inside RLlib; the reward is the shaped one (18).

    With the batched EnvRunner it is called once for all rows, in ``on_episode_step``, before anything is stored. With
    RLlib's ``MultiAgentEnvRunner`` it does the same on each ``MultiAgentEpisode``. A new episode, also one that follows
    an aborted one, starts with empty queues, which is what the environment already shows.

    Logged under ``env_runners/lyapunov/``: means over the fragment, with the definitions of
    :mod:`meqc_marl.evaluation.metrics`; for the fraction also means over the episode, of all devices and of the worst.
    """

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[int, VirtualQueues] = {}
        self._fraction_sum: dict[int, np.ndarray] = {}
        self._slots: dict[int, Any] = {}
        self._tally = Tally()
        self._scenario: Any = None
        self._batched: OffloadingBatchedEnv | None = None
        self._value: BacklogValue | None = None

    @override(RLlibCallback)
    def on_environment_created(self, *, env: Any, **kwargs: Any) -> None:
        if isinstance(env, OffloadingBatchedEnv):
            self._scenario, self._batched = env.scenario, env
        else:
            self._scenario = env.unwrapped.envs[0].unwrapped.scenario
        discount = discount_of(self._scenario)
        # An environment that is built anew after a fault is of the same system: what was learned stays.
        if self._value is None and discount and self._scenario.lyapunov.reward == "difference":
            self._value = BacklogValue(discount, 0 if self._varied is None else len(LOAD_COLUMNS))

    @override(RLlibCallback)
    def on_episode_start(self, *, env_index: int = 0, **kwargs: Any) -> None:
        for by_row in (self._queues, self._fraction_sum, self._slots):
            by_row.pop(env_index, None)
        if self._value is not None:
            self._value.begin(env_index)

    @override(RLlibCallback)
    def on_episode_step(self, *, episode: Any, env_index: int = 0, rl_module: Any = None, **kwargs: Any) -> None:
        self._paid(() if rl_module is None else [module.unwrapped() for _, module in rl_module.items()])
        if isinstance(episode, BatchedStep):
            assert episode.outcome is not None
            assert self._batched is not None
            simulator = self._batched.simulator
            without = simulator.waits_without_each
            told = Told(episode.outcome, simulator.consequences, simulator.waits, without, simulator.present)
            shaped, backlog = self._advance(told, 0)
            episode.reward[...] = shaped
            episode.next_observation[..., BACKLOG_COLUMN] = backlog
        else:
            show(episode, *self._advance(told_by(self._scenario, episode), env_index))

    def _advance(self, told: Told, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Advance the queues of a row (or of all rows); returns shaped reward and backlog column [E, M]."""
        outcome = told.outcome
        if index not in self._queues:
            rows, devices = outcome.cost.shape
            self._queues[index] = VirtualQueues(*self._settings(), rows, devices)
            self._fraction_sum[index], self._slots[index] = np.zeros((rows, devices)), 0
        queues = self._queues[index]
        queues.config, queues.deadline_penalty = self._settings()
        before = queues.shown(outcome.present)
        step = queues.advance(outcome.cost, outcome.fraction, outcome.deadline_missed, outcome.present)
        self._fraction_sum[index] += outcome.fraction
        self._slots[index] = self._slots[index] + of_present(1, outcome.present)
        self._tally.add(outcome, step, self._settings()[0].v)
        if self._scenario.resources.queued:
            self._tally.add_waits(*told.waits)
        shaped, kind = self._reward(outcome, before, step), self._scenario.lyapunov.reward
        if kind == "team":
            shaped = team_reward(shaped, outcome.present)
        elif kind == "difference":
            penalty = queues.deadline_penalty
            added = difference_reward(queues.config, penalty, before, outcome.mode, step.reward, told.consequences())
            shaped = (added + self._later(told, before, step, index)) / self._unit()
        return shaped / self._at_stake(before), scaled_backlog(queues.config, queues.shown(told.coming))

    def _later(self, told: Told, before: np.ndarray, step: LyapunovStep, index: int) -> np.ndarray | float:
        """What the work that each device sent costs all of them in later slots [E, M]; 0 where nothing is queued."""
        if self._value is None:
            return 0.0
        config = self._settings()[0]
        gain = beyond_local(config, before, told.outcome.local_cost, step.reward).mean(-1)
        queue = of_present(step.backlog, told.outcome.present) / config.v
        self._value.observe(gain, queue.mean(-1), told.waits, index, self._loads)
        return np.asarray(config.v * self._value.credit(told.waits, told.waits_without(), self._loads))

    @property
    def _varied(self) -> VariedSimulator | None:
        """The simulator, if its rows are of different scenarios."""
        simulator = None if self._batched is None else self._batched.simulator
        return simulator if isinstance(simulator, VariedSimulator) else None

    @property
    def _loads(self) -> np.ndarray | None:
        """What the rows are told of their loads [E, K]; None where they are of one scenario."""
        return None if self._varied is None else self._varied.loads

    def _settings(self) -> tuple[Lyapunov, Any]:
        """Lyapunov section and penalty of a miss, by row where fields vary."""
        if self._batched is not None:
            return self._batched.lyapunov, self._batched.miss_penalty
        return self._scenario.lyapunov, self._scenario.cost.miss_penalty

    def _paid(self, modules: Iterable[Any]) -> None:
        """See that the modules are paid what they expect."""
        if any(knows_what_a_queue_adds(module) for module in modules):
            raise ConfigurationError(
                f"callbacks are {type(self).__name__}, and the module knows what a queue adds to the reward "
                "(price_columns): give a DifferenceCallback, or price_columns=()."
            )

    def _reward(self, outcome: Outcome, before: np.ndarray, step: LyapunovStep) -> np.ndarray:
        """What a device is given for its own objective [E, M]."""
        return step.reward

    def _unit(self) -> Any:
        """What a reward is counted in, of the shaped one."""
        return 1.0

    def _at_stake(self, before: np.ndarray) -> np.ndarray | float:
        """What a device's reward is divided by beside, given the backlogs before the slot [E, M]."""
        return 1.0

    @override(RLlibCallback)
    def on_episode_end(self, *, env_index: int = 0, metrics_logger: Any = None, **kwargs: Any) -> None:
        sent, slots = self._fraction_sum[env_index], self._slots[env_index]
        ever = None if isinstance(slots, int) else slots > 0
        mean = sent / np.maximum(slots, 1)
        worst = mean.min(-1) if ever is None else np.where(ever, mean, 1.0).min(-1)
        overall = mean.mean() if ever is None else sent.sum() / max(int(slots.sum()), 1)
        metrics_logger.log_value((LYAPUNOV, "episode_fraction_mean"), float(overall), window=20)
        metrics_logger.log_value((LYAPUNOV, "episode_fraction_worst"), float(worst.mean()), window=20)

    @override(RLlibCallback)
    def on_sample_end(self, *, metrics_logger: Any, **kwargs: Any) -> None:
        tally, self._tally = self._tally, Tally()
        if not tally.num_slots:
            return
        for name, value in tally.means().items():
            metrics_logger.log_value((LYAPUNOV, name), value, window=20)
        metrics_logger.log_value((LYAPUNOV, "backlog_max"), tally.backlog_max, reduce="max", window=20)
        if self._scenario.resources.queued:
            metrics_logger.log_value((LYAPUNOV, "wait_max_s"), tally.wait_max, reduce="max", window=20)
        if self._value is not None:
            empty = np.zeros(1)
            tolls = self._value.tolls(empty, empty, self._loads)
            for name, toll in zip(("toll_cpu", "toll_qpu"), tolls, strict=True):
                metrics_logger.log_value((LYAPUNOV, name), float(toll.mean()) * self._scenario.num_devices, window=1)

    def get_state(self) -> dict[str, Any]:
        """Queues and running sums, for exact resumption."""
        return {
            "queues": {index: queues.get_state() for index, queues in self._queues.items()},
            "fraction_sum": {index: value.copy() for index, value in self._fraction_sum.items()},
            "slots": dict(self._slots),
            **({} if self._value is None else {"value": self._value.get_state()}),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`get_state`."""
        self._fraction_sum = {index: np.array(value) for index, value in state["fraction_sum"].items()}
        self._slots = dict(state["slots"])
        if self._value is not None:
            self._value.set_state(state["value"])
        self._queues = {}
        for index, saved in state["queues"].items():
            rows, devices = self._fraction_sum[index].shape
            queues = VirtualQueues(*self._settings(), rows, devices)
            queues.set_state(saved)
            self._queues[index] = queues


class DifferenceCallback(LyapunovCallback):
    """The same with the reward less that of leaving the task on the device, in units of V: C_L - C + (z / V) phi.

    What is taken off does not depend on the action, so the best action of a slot is the same. But what is left depends
    neither on V nor on Delta, nor on what every action costs alike. For learners that do not discount: a discounted sum
    of it is another problem.

    Modules that do not know what z / V adds (``price_columns``) are paid it over 1 + z / (V C) with a typical cost C,
    which depends on no action either: a long queue would otherwise drown all others in the fit of the value.
    """

    def __init__(self) -> None:
        super().__init__()
        self._divided, self._priced = True, False

    def _paid(self, modules: Iterable[Any]) -> None:
        """Rewards are divided where a module has to learn what a queue adds."""
        self._priced = any(knows_what_a_queue_adds(module) for module in modules)

    def _reward(self, outcome: Outcome, before: np.ndarray, step: LyapunovStep) -> np.ndarray:
        config, _ = self._settings()
        return beyond_local(config, before, outcome.local_cost, step.reward)

    def _unit(self) -> Any:
        return self._settings()[0].v

    def _at_stake(self, before: np.ndarray) -> np.ndarray | float:
        if self._priced or not self._divided:
            return 1.0
        return 1.0 + before / (self._unit() * TYPICAL_COST)

    def get_state(self) -> dict[str, Any]:
        """And whether rewards are divided by what is at stake."""
        return super().get_state() | {"divided": self._divided}

    def set_state(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`get_state`; a run from before rewards were divided goes on as it began, if it samples for
        itself: what remote and stock EnvRunners did before is not in a checkpoint."""
        super().set_state(state)
        self._divided = bool(state.get("divided", False))


def knows_what_a_queue_adds(module: Any) -> bool:
    """Whether a module adds (z / V) phi to its values by itself; one of another kind does not."""
    return isinstance(module, DQNDDPGModule) and bool(module.spec.price_columns)
