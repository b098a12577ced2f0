"""The batched simulator: E rows of M devices stepped at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.env.broadcast import Broadcast
from meqc_marl.env.checks import as_array, check_actions, check_parts, checked_backlogs, checked_rows, row_seeds
from meqc_marl.env.observation import equipment_columns, observe
from meqc_marl.env.shared import behind_waits, in_company
from meqc_marl.env.sufficient import show_costs, show_local_costs, show_remote_costs, sufficient_view
from meqc_marl.env.view import observation_columns
from meqc_marl.env.waiting import show_waits, show_work
from meqc_marl.errors import InputError, shown
from meqc_marl.nature.library import Library
from meqc_marl.nature.presence import of_present
from meqc_marl.nature.trace import Trace, check_size, checked_seed, generate_trace
from meqc_marl.physics.allocation import depends_on_actions
from meqc_marl.physics.choices import admitted_mode
from meqc_marl.physics.consequences import Consequences, consequences
from meqc_marl.physics.cost import Outcome, PlaceCosts, settle
from meqc_marl.physics.granting import granted_share, placed_fractions
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import Work, price, wait_by_mode
from meqc_marl.physics.queueing import Backlogs, behind, next_backlogs, next_backlogs_without_each, waits

_BLOCK_ELEMENTS = 32_768
"""Device-slots worked out ahead at once: enough to drown numpy's overhead, few enough to stay in the cache."""


class CarriedOut(NamedTuple):
    """A slot that was carried out: what was there before it, what was asked for and what came of it."""

    work: Work
    places: PlaceCosts
    mode: np.ndarray
    fraction: np.ndarray
    placed: bool
    outcome: Outcome
    backlogs: Backlogs
    """W and U before it [E]."""

    def waited_s(self) -> np.ndarray:
        """How long the task of each device waited where it ran, in s [E, M]; 0 for LOCAL, and without queues."""
        if self.places.wait_s is None:
            return np.zeros_like(self.outcome.fraction)
        return np.take_along_axis(self.places.wait_s, self.outcome.mode[None].astype(np.intp), 0)[0]


class OffloadingSimulator:
    """Rows of devices that offload tasks for the slots of an episode.

    All rows start and end together. Everything that does not depend on the actions (what each place would cost, the
    observation) is worked out ahead in blocks of slots. Queues at the server and the QPU start empty in every episode.

    Args:
        scenario: Parameters.
        num_envs: Rows E; a given trace sets it.
        trace: Nature to replay at every reset, or a library of which seeds draw episodes, instead of drawing it all.

    Attributes:
        observation: Of the current slot, float32 [E, M, K]; each slot has an array of its own, which may be changed.
            Zeros of who is not there.
        places: What each place would cost in the current slot if nobody else sent anything away.
        work: Tasks of the current slot, for who prices it under other loads.
        backlogs: Work that earlier slots left, W and U [E]; zeros where nothing is queued.
        broadcast: What devices are told of the last slot.
        truncated: Whether the episode has ended.
    """

    observation: np.ndarray
    places: PlaceCosts
    work: Work
    backlogs: Backlogs

    def __init__(self, scenario: Scenario, num_envs: int = 1, trace: Trace | Library | None = None) -> None:
        check_parts(scenario, trace)
        num_envs = checked_rows(num_envs, trace)
        self.horizon = scenario.horizon if trace is None else min(scenario.horizon, trace.num_slots)
        if isinstance(trace, Trace):
            self.horizon = trace.num_slots
        else:
            check_size(self.horizon, num_envs, scenario.num_devices)
        self.scenario = scenario
        self.num_envs, self.num_devices = num_envs, scenario.num_devices
        self.slot_index = 0
        self.truncated = False
        self._library = trace if isinstance(trace, Library) else None
        self._replayed = self._trace = trace if isinstance(trace, Trace) else None
        self._seeds: list[int] | None = None
        self._episode = 0
        self._block_start = self._block_stop = 0
        self._queued = scenario.resources.queued
        self.backlogs = Backlogs.empty(num_envs)
        self._columns = observation_columns(scenario)
        self.broadcast = Broadcast(scenario, self._columns, num_envs)
        self._company: PlaceCosts | None = None
        self._carried_out: CarriedOut | None = None

    @property
    def trace(self) -> Trace:
        """Nature of the current episode."""
        if self._trace is None:
            raise InputError("the simulator has no episode yet; call reset() first.")
        return self._trace

    @property
    def present(self) -> np.ndarray | None:
        """Who is there in the current slot, bool [E, M]; None if everybody is in every slot."""
        return self.work.present if self._block_stop else None

    @property
    def waits(self) -> tuple[np.ndarray, np.ndarray]:
        """How long a task would wait now at the server and at the QPU, in s [E]; zeros where nothing is queued."""
        return waits(self.scenario, self.backlogs)

    def reset(self, seed: int | Sequence[int] | None = None) -> np.ndarray:
        """Start an episode in all rows.

        Args:
            seed: Of the first episode: one for each row, or an integer of which row i takes ``seed + i``. None starts
                the next episode of the same seeds. A given trace is replayed in any case.

        Returns:
            Observation [E, M, K].
        """
        if seed is not None or self._seeds is None:
            self._seeds, self._episode = row_seeds(seed, self.num_envs), 0
        else:
            self._episode += 1
        self._begin()
        return self.observation

    def step(self, mode: np.ndarray, fraction: np.ndarray, placed: bool | None = None) -> Outcome:
        """Carry out one slot.

        Args:
            mode: ``Mode`` of every device, integers [E, M].
            fraction: In [0, 1] [E, M]: the share sent away, of which a remote mode sends at least
                ``cost.min_fraction``; or, if placed, a place between the least and the largest share that meets the
                deadline with what the modes are granted (:mod:`~meqc_marl.physics.granting`).
            placed: What ``fraction`` is; as ``placed_fractions`` says if None.
        """
        mode, fraction = self._actions(mode, fraction)
        placed = placed_fractions(self.scenario) if placed is None else placed
        outcome, before = self._carry_out_now(mode, fraction, placed), self.backlogs
        self._carried_out = CarriedOut(self.work, self.places, mode, fraction, placed, outcome, before)
        if self._queued:
            self.backlogs = next_backlogs(self.scenario, self.work, before, outcome.mode, outcome.fraction)
        self.broadcast.hear(outcome.mode)
        self._seek(self.slot_index + 1)
        return outcome

    def preview(self, mode: np.ndarray, fraction: np.ndarray, placed: bool | None = None) -> Outcome:
        """What :meth:`step` would do, without going on to the next slot."""
        placed = placed_fractions(self.scenario) if placed is None else placed
        return self._carry_out_now(*self._actions(mode, fraction), placed)

    def _carry_out_now(self, mode: np.ndarray, fraction: np.ndarray, placed: bool) -> Outcome:
        if not depends_on_actions(self.scenario):
            return self._carry_out(self.places, mode, fraction, placed)
        return self.under(Load.seen(admitted_mode(mode, self.places.qpu_admitted)), mode, fraction, placed)

    def under(self, load: Load, mode: np.ndarray, fraction: np.ndarray, placed: bool) -> Outcome:
        """What actions [E, M] of the current slot come to if so many share with each device, whatever the modes say."""
        return self._carry_out(price(self.scenario, self.work, load), mode, fraction, placed)

    def _carry_out(self, places: PlaceCosts, mode: np.ndarray, fraction: np.ndarray, placed: bool) -> Outcome:
        cost = self.scenario.cost
        if placed:
            fraction = granted_share(cost, places, admitted_mode(mode, places.qpu_admitted), fraction)
        return settle(cost, places, mode, fraction)

    def consequences(self) -> Consequences:
        """What the last slot carried out would have come to, had one device or another stayed local."""
        last = self.last

        def under(load: Load) -> Outcome:
            if not self.scenario.resources.pooled:
                return last.outcome
            return self._carry_out(price(self.scenario, last.work, load), last.mode, last.fraction, last.placed)

        return consequences(last.places, last.outcome, under)

    def backlogs_without_each(self) -> Backlogs:
        """What the last slot would have left without what one device or another sent, W' and U' [E, M]."""
        last = self.last
        executed = last.outcome.mode, last.outcome.fraction
        return next_backlogs_without_each(self.scenario, last.work, last.backlogs, *executed)

    def waits_without_each(self) -> tuple[np.ndarray, np.ndarray]:
        """The same as waits at the server and at the QPU, in s [E, M]."""
        return waits(self.scenario, self.backlogs_without_each())

    @property
    def last(self) -> CarriedOut:
        """The slot that was carried out last."""
        if self._carried_out is None:
            raise InputError("no slot was carried out yet; call step() first.")
        return self._carried_out

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on exactly: seeds, episode and slot, from which nature is drawn again; and, as far
        as they are queued and told, backlogs and counts."""
        state = {"seeds": self._seeds, "episode": self._episode, "slot": self.slot_index} | self.broadcast.get_state()
        return state | ({"backlogs": [values.tolist() for values in self.backlogs]} if self._queued else {})

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where ``get_state`` was called; a replayed trace must be given to this simulator as well."""
        if not isinstance(state, Mapping) or not {"seeds", "episode", "slot"} <= set(state):
            raise InputError(f"state is {shown(state)}; it must be what get_state() gave.")
        seeds = state["seeds"]
        if seeds is None:
            raise InputError("the state is of a simulator without an episode; call reset() instead.")
        if not 0 <= checked_seed(state["slot"], "slot of the state") <= self.horizon:
            raise InputError(f"slot of the state is {state['slot']}; it must be from 0 to {self.horizon}.")
        backlogs = checked_backlogs(state.get("backlogs"), self.num_envs) if self._queued else self.backlogs
        counts = self.broadcast.read(state)
        same = seeds == self._seeds and state["episode"] == self._episode and self._trace is not None
        self._seeds, self._episode = row_seeds(seeds, self.num_envs), int(state["episode"])
        self._begin(redraw=not same)
        self.backlogs = backlogs
        self.broadcast.begin(counts)
        self._seek(int(state["slot"]))

    def _begin(self, redraw: bool = True) -> None:
        if self._replayed is None and redraw:
            assert self._seeds is not None
            if self._library is not None:
                self._trace = self._library.draw(self._seeds, self._episode, self.horizon)
            else:
                self._trace = generate_trace(self.scenario, self._seeds, self._episode)
        assert self._trace is not None
        self._fixed_columns = equipment_columns(self._trace.equipment, len(self._columns))
        self._block_start = self._block_stop = 0
        self.backlogs = Backlogs.empty(self.num_envs)
        self.broadcast.begin()
        self._seek(0)

    def _seek(self, index: int) -> None:
        """Make a slot the current one. After the last slot, the last one's nature is shown again."""
        self.slot_index, self.truncated = index, index >= self.horizon
        if not self._block_start <= (shown := min(index, self.horizon - 1)) < self._block_stop:
            self._work_ahead(shown)
        at = shown - self._block_start
        self.observation = self._observations[at]
        self.places, self.work = self._places.slot(at), self._work.slot(at)
        if self._queued:
            self._join_the_queues(at)
        self.observation = self.broadcast.shown_in(self.observation)
        if self.present is not None:
            self.observation[~self.present] = 0.0
        if self.truncated:
            self.observation = self.observation.copy()
            self.observation[..., -1] = 0.0

    def _join_the_queues(self, at: int) -> None:
        """The tasks of the current slot, this one of its block, behind the backlogs, which no one knows ahead."""
        self.work = behind(self.scenario, self.work, self.backlogs)
        wait_s = wait_by_mode(self.places.deadline_s.shape, *(each[:, None] for each in self.waits))
        self.places = replace(self.places, wait_s=wait_s)
        self.observation = self.observation.copy()  # a slot that is shown again has other waits
        if self._company is not None:
            waiting = behind_waits(self._company.slot(at), wait_s)
            show_remote_costs(self.scenario, waiting, self._columns, self.observation)
        show_waits(self.scenario, self.backlogs, self.observation)

    def _work_ahead(self, start: int) -> None:
        slots = max(1, _BLOCK_ELEMENTS // (self.num_envs * self.num_devices))
        self._block_start, self._block_stop = start, min(start + slots, self.horizon)
        block = self.trace.slots(self._block_start, self._block_stop)
        self._work = Work.of(self.scenario, block)
        self._places = price(self.scenario, self._work, with_choices=not self._queued)
        self._company = None
        if self.scenario.observation == "sufficient" and not self.scenario.resources.pooled:
            self._observations = sufficient_view(self.scenario, self._places)
            return
        self._observations = observe(self.scenario, block, None, self._work, self._fixed_columns)
        if self.scenario.observation == "sufficient":
            self._company = in_company(self.scenario, self._work)
            show = show_local_costs if self._queued else show_costs  # what remote places cost depends on the waits
            show(self.scenario, self._company, self._columns, self._observations)
            if self._queued:
                show_work(self.scenario, self._work, self._observations)

    def _actions(self, mode: Any, fraction: Any) -> tuple[np.ndarray, np.ndarray]:
        """Actions as arrays, checked; who is not there stays local, whatever it asks for."""
        mode, fraction = as_array("mode", mode), as_array("fraction", fraction)
        if self._trace is None or self._block_stop == 0:
            raise InputError("the simulator has no episode yet; call reset() first.")
        if self.truncated:
            raise InputError(f"the episode has ended after {self.horizon} slots; call reset().")
        check_actions(mode, fraction, (self.num_envs, self.num_devices))
        return of_present(mode, self.present), of_present(fraction, self.present)
