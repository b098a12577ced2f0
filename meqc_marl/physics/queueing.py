"""Work that a slot leaves to the next: the backlogs of a row at the server and at the QPU, and what becomes of them.

A queued server does F_tot tau cycles in a slot of length tau, and the tiles of a queued QPU work for tau seconds. What
is sent beyond that waits: W cycles at the server, U seconds at the tiles. A task waits W / F_tot or U before its own
part starts, however little of it is sent, and the slot's tasks then share as in a pool. This is the one place that
says so:

    W' = max(0, W + sum of phi d q over the devices at the CPU - F_tot tau)
    U' = max(0, U + sum of phi t_Q over the devices at the QPU / tiles - tau)

Selfish joining of such a queue is too eager: who joins makes those wait who come later (Naor, Econometrica 37, 1969).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.physics.load import Pools
from meqc_marl.physics.modes import Mode
from meqc_marl.physics.places import Work


class Backlogs(NamedTuple):
    """Unfinished work at the start of a slot; of what is not queued there is none."""

    cpu_cycles: np.ndarray
    """W at the server, in cycles [E], or [E, M] where it is told for each device."""
    qpu_s: np.ndarray
    """U at the QPU, in seconds of all tiles, alike."""

    @classmethod
    def empty(cls, rows: int) -> Backlogs:
        """At the start of an episode."""
        return cls(np.zeros(rows), np.zeros(rows))


def waits(scenario: Scenario, backlogs: Backlogs) -> tuple[np.ndarray, np.ndarray]:
    """How long a task waits, in s: W / F_tot at the server, U at the QPU; shapes as the backlogs'."""
    return backlogs.cpu_cycles / Pools.of(scenario).server_hz, backlogs.qpu_s


def behind(scenario: Scenario, work: Work, backlogs: Backlogs) -> Work:
    """The tasks of a slot [E, M], behind the work that earlier slots left [E]: they wait for it."""
    cpu_wait_s, qpu_wait_s = waits(scenario, backlogs)
    return replace(work, cpu_wait_s=cpu_wait_s[:, None], qpu_wait_s=qpu_wait_s[:, None])


def sent_work(scenario: Scenario, work: Work, mode: np.ndarray, fraction: np.ndarray) -> Backlogs:
    """What each device sends to the queues: cycles, and seconds of all tiles, [..., M] each.

    Args:
        scenario: Parameters.
        work: Tasks [..., M].
        mode: Executed modes.
        fraction: Executed shares.
    """
    cycles, seconds = whole_work(scenario, work)
    return Backlogs(fraction * cycles * (mode == Mode.CPU), fraction * seconds * (mode == Mode.QPU))


def whole_work(scenario: Scenario, work: Work) -> Backlogs:
    """What each whole task would add to the queues: cycles, and seconds of all tiles [..., M]; 0 where none is."""
    resources = scenario.resources
    cycles, seconds = work.data_bits * work.cycles_per_bit, work.quantum_s / Pools.of(scenario).tiles
    return Backlogs(
        cycles if resources.server == "queued" else np.zeros_like(cycles),
        seconds if resources.qpu == "queued" else np.zeros_like(seconds),
    )


def next_backlogs(
    scenario: Scenario, work: Work, backlogs: Backlogs, mode: np.ndarray, fraction: np.ndarray
) -> Backlogs:
    """W' and U' [E] after a slot with these executed modes and shares [E, M]."""
    sent = sent_work(scenario, work, mode, fraction)
    return _served(scenario, Backlogs(*(one + more.sum(-1) for one, more in zip(backlogs, sent, strict=True))))


def next_backlogs_without_each(
    scenario: Scenario, work: Work, backlogs: Backlogs, mode: np.ndarray, fraction: np.ndarray
) -> Backlogs:
    """The same without what one device sent, and all else as it was, for each device [E, M]; a counterfactual."""
    sent = sent_work(scenario, work, mode, fraction)
    others = (more.sum(-1, keepdims=True) - more for more in sent)
    return _served(scenario, Backlogs(*(one[:, None] + more for one, more in zip(backlogs, others, strict=True))))


def _served(scenario: Scenario, backlogs: Backlogs) -> Backlogs:
    """What is left of them after a slot's service."""
    tau = scenario.slot_s
    return Backlogs(
        np.maximum(0.0, backlogs.cpu_cycles - Pools.of(scenario).server_hz * tau),
        np.maximum(0.0, backlogs.qpu_s - tau),
    )
