"""The simulator as the batched EnvRunner steps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from pydantic import ValidationError

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.scenario import Lyapunov
from meqc_marl.config.variation import parse_variations
from meqc_marl.dqn_ddpg.batched_env import BatchedStep
from meqc_marl.dqn_ddpg.multi_agent import ParallelEnvAdapter
from meqc_marl.env.parallel import OffloadingParallelEnv, action_space, observation_space
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.varied import VariedSimulator
from meqc_marl.errors import InputError, shown
from meqc_marl.nature.library import Library, LibraryFiles, open_library
from meqc_marl.nature.trace import Trace

LARGEST_COST = 1e30
"""Times V, and with queues beside it, still a number in the float32 of rewards and losses."""


def check_costs(scenario: Scenario, cost: np.ndarray) -> None:
    """Refuse to learn from costs that rewards cannot hold.

    Raises:
        InputError: If one is larger than :data:`LARGEST_COST`.
    """
    largest = float(np.abs(cost).max())
    if largest > LARGEST_COST:
        raise InputError(
            f"a slot of scenario '{scenario.name}' costs {largest:.3g}; to learn from, it must be at most "
            f"{LARGEST_COST:g} in size: give larger cost.latency_ref_s and cost.energy_ref_j."
        )


class OffloadingBatchedEnv:
    """The simulator as a :class:`BatchedEnv`; the reward is minus the cost, shaping is the Lyapunov callback's."""

    def __init__(
        self,
        scenario: Scenario | str,
        num_envs: int = 1,
        trace: Trace | Library | None = None,
        vary: Sequence[str] = (),
    ) -> None:
        self.scenario = load_scenario(scenario) if isinstance(scenario, str) else scenario
        self.simulator: OffloadingSimulator | VariedSimulator
        if vary:
            self.simulator = VariedSimulator(
                self.scenario,
                num_envs,
                parse_variations(self.scenario, vary),
                trace if isinstance(trace, Library) else None,
            )
        else:
            self.simulator = OffloadingSimulator(self.scenario, num_envs, trace)
        self.num_envs, self.num_agents = self.simulator.num_envs, self.simulator.num_devices
        self.observation_space, self.action_space = observation_space(self.scenario), action_space()

    @property
    def lyapunov(self) -> Lyapunov:
        """The Lyapunov section, with a V and a Delta for each row where they vary."""
        varies = isinstance(self.simulator, VariedSimulator)
        return cast(Lyapunov, self.simulator.lyapunov) if varies else self.scenario.lyapunov  # type: ignore[union-attr]

    @property
    def miss_penalty(self) -> Any:
        """What a missed deadline costs in the reward, for each row where it varies."""
        varied = isinstance(self.simulator, VariedSimulator)
        return self.simulator.miss_penalty if varied else self.scenario.cost.miss_penalty  # type: ignore[union-attr]

    @property
    def present(self) -> np.ndarray | None:
        """Who is there in the current slot, bool [E, M]; None if everybody is in every slot."""
        return self.simulator.present

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start all rows; returns observations [E, M, D]."""
        return self.simulator.reset(list(seeds))

    def step(self, action: Any) -> BatchedStep:
        """Step all rows."""
        outcome = self.simulator.step(action["mode"], action["fraction"][..., 0])
        check_costs(self.scenario, outcome.cost)
        rows = np.full(self.num_envs, self.simulator.truncated)
        return BatchedStep(
            reward=-outcome.cost.astype(np.float32),
            next_observation=self.simulator.observation,
            terminated=np.zeros(self.num_envs, bool),
            truncated=rows,
            outcome=outcome,
        )

    def reset_rows(self, rows: np.ndarray) -> np.ndarray:
        """All rows have the same horizon and so start together."""
        return self.simulator.reset()

    def get_state(self) -> dict[str, Any]:
        """Row seeds, episode and slot; nature is drawn again from them."""
        return self.simulator.get_state()

    def set_state(self, state: dict[str, Any]) -> np.ndarray:
        """Restore; returns the observation with an empty backlog column."""
        self.simulator.set_state(state)
        return self.simulator.observation


class ConfiguredBatchedEnv(OffloadingBatchedEnv):
    """As RLlib builds it, from a configuration with the scenario's fields.

    A class and no registered name: a configuration that is read in another process brings it along.
    """

    def __init__(self, context: Any) -> None:
        scenario, library = _configured(context, ("scenario", "vary", "trace"))
        super().__init__(scenario, context.num_envs, library, context.get("vary", ()))


class ConfiguredParallelEnv(ParallelEnvAdapter):
    """The same for RLlib's own EnvRunner, over the PettingZoo environment."""

    def __init__(self, context: Any) -> None:
        super().__init__(OffloadingParallelEnv(*_configured(context, ("scenario", "trace"))))


def _configured(context: Mapping[str, Any], known: tuple[str, ...]) -> tuple[Scenario, Library | None]:
    """Scenario and library of an ``env_config``, which holds nothing that would be left undone."""
    for key in context:
        if key not in known:
            raise InputError(f"env_config holds {shown(key)}; it may hold {' and '.join(known)}.")
    if "scenario" not in context:
        raise InputError("env_config lacks scenario; it must hold the fields of a scenario.")
    scenario = Scenario.model_validate(context["scenario"])
    return scenario, library_of(context, scenario.num_devices)


def library_of(env_config: Mapping[str, Any], num_devices: int) -> Library | None:
    """The library that an ``env_config`` names, read once in a process; None for none.

    Raises:
        InputError: If what it names is none, or is not what it was.
    """
    if (given := env_config.get("trace")) is None:
        return None
    try:
        files = LibraryFiles.model_validate(given)
    except ValidationError:
        raise InputError(f"trace of env_config is {shown(given)}; it must be what LibraryFiles holds.") from None
    return open_library(files, num_devices)
