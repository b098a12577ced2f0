"""The sufficient view where devices share: task and equipment, and what each place costs in company.

What a place costs alone says little of what it costs among others, and that is decided by what all choose at once. With
a third of the devices at each place it is near what most slots come to, so a device is shown costs, kinks, and the
shares that meet the deadline for that case, behind whatever waits there already. What else the count of others changes
follows from task, channel and equipment, which are shown beside.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.env.loads import devices_there
from meqc_marl.env.observation import OBSERVATION_COLUMNS
from meqc_marl.env.sufficient import PENALTY_COLUMNS
from meqc_marl.physics.cost import PlaceCosts
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import Work, price

_CONSTANT = ("cpu_low", "cpu_high", "qpu_low", "qpu_high")
"""Where a miss costs a penalty any share may be sent."""
SHARED_COLUMNS: tuple[str, ...] = (
    *OBSERVATION_COLUMNS[:-1],
    *(name for name in PENALTY_COLUMNS if name not in _CONSTANT),
)
"""Without those of use and queues."""


def evenly(scenario: Scenario, work: Work) -> Load:
    """A third of the devices that are there at the server, and a third at the QPU."""
    third = devices_there(scenario, work) / 3.0
    return Load.of_counts(third, third)


def in_company(scenario: Scenario, work: Work) -> PlaceCosts:
    """What each place costs with a third of the devices at each, and what may be chosen, [..., M]."""
    return price(scenario, work, evenly(scenario, work))


def behind_waits(company: PlaceCosts, wait_s: np.ndarray) -> PlaceCosts:
    """The same behind waits [3, ..., M] that were not known ahead.

    What may be chosen stays as it is: where anything is queued a miss costs a penalty, and no wait forbids a share.
    """
    return replace(company, wait_s=wait_s)
