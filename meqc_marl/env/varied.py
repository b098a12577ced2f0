"""The simulator with fields of the scenario drawn anew for each row and episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.config.variation import Variation, drawn_together, varied
from meqc_marl.env.broadcast import Broadcast, Counts, nobody
from meqc_marl.env.checks import checked_backlogs
from meqc_marl.env.loads import LOAD_COLUMNS, load_of
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.view import observation_columns
from meqc_marl.errors import InputError, shown
from meqc_marl.nature.library import Library
from meqc_marl.physics.consequences import Consequences, Effect
from meqc_marl.physics.cost import Outcome
from meqc_marl.physics.queueing import Backlogs

_DECIDES_COLUMNS = ("resources.band", "resources.server", "resources.qpu")
"""What may be drawn of what decides which columns there are."""


@dataclass(frozen=True)
class RowsLyapunov:
    """A Lyapunov section with a V and a Delta for each row, [E, 1]; the formulas take it like one of single numbers."""

    v: np.ndarray
    delta: np.ndarray
    queue: str
    sign: str


def check_columns(scenario: Scenario, variations: Sequence[Variation]) -> None:
    """See that all rows have the same columns, whatever is drawn.

    Raises:
        InputError: If a combination of choices has other columns than the scenario, or is not allowed.
    """
    deciding = [each for each in variations if each.field in _DECIDES_COLUMNS]
    for drawn in drawn_together(scenario, deciding):
        if observation_columns(drawn) != observation_columns(scenario):
            fields = ", ".join(each.field for each in deciding)
            raise InputError(
                f"vary {shown(fields)} is not possible between rows that share nothing and others where observation is "
                f"{scenario.observation}, which shows them other columns; observation = paper shows the same."
            )


class VariedSimulator:
    """Rows that are simulators of their own, each of the scenario that is drawn for it at every reset.

    What is drawn depends on the row's seed and the episode alone, so that a row is the same in any batch, and a state
    is seeds, episode and slot as that of :class:`OffloadingSimulator`.

    Attributes:
        scenarios: Of the current episode, one for each row.
    """

    def __init__(
        self, scenario: Scenario, num_envs: int, variations: Sequence[Variation], library: Library | None = None
    ) -> None:
        check_columns(scenario, variations)
        self.scenario, self.variations, self._library = scenario, tuple(variations), library
        self.num_envs, self.num_devices = num_envs, scenario.num_devices
        self.scenarios: list[Scenario] = []
        self._rows: list[OffloadingSimulator] = []
        self._seeds: list[int] = []
        self._episode = 0
        self._queued = scenario.resources.queued
        self._loads = np.zeros((0, len(LOAD_COLUMNS)))

    @property
    def observation(self) -> np.ndarray:
        """Of the current slot, float32 [E, M, K]."""
        return np.concatenate([row.observation for row in self._rows])

    @property
    def present(self) -> np.ndarray | None:
        """Who is there in the current slot, bool [E, M]; None if everybody is in every slot."""
        rows = [row.present for row in self._rows if row.present is not None]
        return np.concatenate(rows) if rows else None

    @property
    def truncated(self) -> bool:
        """Whether the episode has ended, which is so in all rows together."""
        return self._rows[0].truncated

    @property
    def backlogs(self) -> Backlogs:
        """Work that earlier slots left in each row, W and U [E]."""
        return Backlogs(*(np.concatenate(each) for each in zip(*(row.backlogs for row in self._rows), strict=True)))

    @property
    def waits(self) -> tuple[np.ndarray, np.ndarray]:
        """How long a task would wait now at the server and at the QPU, in s [E]."""
        cpu_s, qpu_s = zip(*(row.waits for row in self._rows), strict=True)
        return np.concatenate(cpu_s), np.concatenate(qpu_s)

    @property
    def loads(self) -> np.ndarray:
        """What each row's load is, as the sufficient view shows it, [E, 5]."""
        return self._loads

    def consequences(self) -> Consequences:
        """What the last slot would have come to, had one device or another stayed local; of each row by itself."""
        parts = [row.consequences() for row in self._rows]
        return Consequences(
            *(Effect(*map(np.concatenate, zip(*case, strict=True))) for case in zip(*parts, strict=True))
        )

    def backlogs_without_each(self) -> Backlogs:
        """What the last slot would have left without what one device or another sent, W' and U' [E, M]."""
        parts = [row.backlogs_without_each() for row in self._rows]
        return Backlogs(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def waits_without_each(self) -> tuple[np.ndarray, np.ndarray]:
        """The same as waits at the server and at the QPU, in s [E, M]."""
        cpu_s, qpu_s = zip(*(row.waits_without_each() for row in self._rows), strict=True)
        return np.concatenate(cpu_s), np.concatenate(qpu_s)

    @property
    def lyapunov(self) -> RowsLyapunov:
        """V and Delta of the rows."""
        parts = [scenario.lyapunov for scenario in self.scenarios]
        v, delta = (np.array([[getattr(part, name)] for part in parts]) for name in ("v", "delta"))
        return RowsLyapunov(v, delta, parts[0].queue, parts[0].sign)

    @property
    def miss_penalty(self) -> np.ndarray:
        """Of the rows [E, 1]."""
        return np.array([[scenario.cost.miss_penalty] for scenario in self.scenarios])

    def reset(self, seeds: Sequence[int] | None = None) -> np.ndarray:
        """Start an episode in all rows: the first of new seeds, or the next of the same."""
        if seeds is not None:
            self._begin([int(seed) for seed in seeds], 0, 0)
        else:
            self._begin(self._seeds, self._episode + 1, 0)
        return self.observation

    def step(self, mode: np.ndarray, fraction: np.ndarray) -> Outcome:
        """Carry out one slot in all rows, actions [E, M]."""
        mode, fraction = np.asarray(mode), np.asarray(fraction)
        parts = [row.step(mode[i : i + 1], fraction[i : i + 1]) for i, row in enumerate(self._rows)]
        names = [field.name for field in fields(Outcome)]
        happened = {name: [getattr(part, name) for part in parts] for name in names}
        return Outcome(**{name: np.concatenate(each) for name, each in happened.items() if each[0] is not None})

    def get_state(self) -> dict[str, Any]:
        """Seeds, episode and slot, from which the scenarios and nature are drawn again; backlogs and counts, if any."""
        slot = self._rows[0].slot_index if self._rows else 0
        state = {"seeds": self._seeds or None, "episode": self._episode, "slot": slot}
        if self._queued and self._rows:
            state["backlogs"] = [values.tolist() for values in self.backlogs]
        if counts := [row.broadcast.get_state()["counts"] for row in self._rows if row.broadcast.is_on]:
            state["counts"] = np.concatenate(counts, -1).tolist()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where ``get_state`` was called."""
        if state["seeds"] is None:
            raise InputError("the state is of a simulator without an episode; call reset() instead.")
        seeds = [int(seed) for seed in state["seeds"]]
        backlogs = checked_backlogs(state.get("backlogs"), len(seeds)) if self._queued else None
        counts = Broadcast(self.scenario, observation_columns(self.scenario), len(seeds)).read(state)
        self._begin(seeds, int(state["episode"]), int(state["slot"]), backlogs, counts)

    def _begin(
        self, seeds: list[int], episode: int, slot: int, backlogs: Backlogs | None = None, counts: Counts | None = None
    ) -> None:
        self._seeds, self._episode = seeds, episode
        self.scenarios = [varied(self.scenario, self.variations, seed, episode) for seed in seeds]
        self._loads = np.stack([load_of(scenario) for scenario in self.scenarios])
        self._rows = [OffloadingSimulator(scenario, 1, self._library) for scenario in self.scenarios]
        backlogs = Backlogs.empty(len(seeds)) if backlogs is None else backlogs
        counts = nobody(len(seeds)) if counts is None else counts
        for index, (row, seed) in enumerate(zip(self._rows, seeds, strict=True)):
            state = {"seeds": [seed], "episode": episode, "slot": slot}
            row.set_state(state | {"backlogs": _of_row(backlogs, index), "counts": _of_row(counts, index)})


def _of_row(values: tuple[np.ndarray, ...], index: int) -> list[list[float]]:
    """Of two arrays [E] that of one row, as in its state."""
    return [each[index : index + 1].tolist() for each in values]
