"""Rules for queues: each slot is solved as before, and who sends work is charged for the waits of those who come later.

``priced-joint``: the joint optimum of the slot with prices on work that rise with the wait. ``priced-selfish``: each
device minimises its own objective with these prices as a toll: what an access point reaches that announces prices and
decides nothing. ``tolled-joint``: the joint optimum with the slope of a learned value as a toll. ``queue-drift``: the
joint optimum of drift-plus-penalty on virtual and real queues, whose toll is a weight times the wait. Prices and
weights that are not given are searched on training traces when the policy decides first. Where nothing is queued there
is no toll.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.physics.places import Work
from meqc_marl.policies.base import Policy, Progress, Situation
from meqc_marl.policies.best_response import BestResponse
from meqc_marl.policies.joint.search import joint_optimum
from meqc_marl.policies.joint_oracle import search_budget
from meqc_marl.policies.toll.schedules import Schedule, toll_of
from meqc_marl.policies.toll.search import Kind, quick_search
from meqc_marl.policies.toll.training import Begin, Decide
from meqc_marl.policies.toll.value import learned_value


def joint_rule(scenario: Scenario, schedule: Schedule) -> Decide:
    """The joint optimum with the toll of a schedule."""
    budget = search_budget(scenario)

    def decide(work: Work, backlog: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        best = joint_optimum(scenario, work, backlog, budget, toll=toll_of(scenario, work, schedule))
        return best.mode, best.fraction

    return decide


def selfish_rule(scenario: Scenario, schedule: Schedule) -> Decide:
    """Best responses in turn, each device charged the toll of a schedule."""
    game = BestResponse(scenario, "priced-selfish", team=False)

    def decide(work: Work, backlog: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return game.play(work, backlog, toll=toll_of(scenario, work, schedule))

    return decide


class Priced(Policy):
    """A rule under a schedule of prices or weights.

    Args:
        scenario: Parameters.
        name: For reports.
        rule: Makes the rule of a schedule.
        find: Finds the schedule of the scenario, when it is needed first; called with what shows how far it is.
        schedule: Given, instead.
    """

    def __init__(
        self,
        scenario: Scenario,
        name: str,
        rule: Callable[[Scenario, Schedule], Decide],
        find: Callable[[Scenario, Begin | None], Schedule],
        schedule: Schedule | None = None,
    ) -> None:
        self.name, self._scenario, self._rule, self._find = name, scenario, rule, find
        self._schedule = schedule
        self._decide: Decide | None = None

    @property
    def schedule(self) -> Schedule:
        """What is charged; searched or learned now if it was not given."""
        if self._schedule is None:
            self._schedule = self._find(self._scenario, None)
        return self._schedule

    def prepare(self, progress: Progress | None = None) -> None:
        """Search or learn what is charged, unless it was given."""
        if self._schedule is None:

            def begin(what: str, total: int, unit: str) -> Callable[[], object] | None:
                return None if progress is None else progress(f"{what} of {self.name}", total, unit)

            self._schedule = self._find(self._scenario, begin)

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Solve or play the slot with the toll."""
        if self._decide is None:
            self._decide = self._rule(self._scenario, self.schedule)
        return self._decide(situation.work, situation.backlog)


def _searched(rule: Callable[[Scenario, Schedule], Decide], kind: Kind) -> Callable[[Scenario, Begin | None], Schedule]:
    return lambda scenario, begin: quick_search(scenario, rule, kind, begin)


def priced_joint(scenario: Scenario, schedule: Schedule | None = None) -> Priced:
    """The joint optimum of a slot with prices on work."""
    return Priced(scenario, "priced-joint", joint_rule, _searched(joint_rule, "rising"), schedule)


def priced_selfish(scenario: Scenario, schedule: Schedule | None = None) -> Priced:
    """Each device for itself, with prices on work as a toll."""
    return Priced(scenario, "priced-selfish", selfish_rule, _searched(selfish_rule, "rising"), schedule)


def queue_drift(scenario: Scenario, schedule: Schedule | None = None) -> Priced:
    """Drift-plus-penalty on the virtual queues and on those of the server and the QPU."""
    return Priced(scenario, "queue-drift", joint_rule, _searched(joint_rule, "weights"), schedule)


def tolled_joint(scenario: Scenario, schedule: Schedule | None = None) -> Priced:
    """The joint optimum of a slot with the toll of a learned value of the waits."""
    return Priced(scenario, "tolled-joint", joint_rule, _learned, schedule)


def _learned(scenario: Scenario, begin: Begin | None) -> Schedule:
    return learned_value(scenario, begin)
