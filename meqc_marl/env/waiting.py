"""What devices see of the queues at the server and the QPU, which the access point tells all devices of a row.

Columns of them stand before the last one of either view wherever anything is queued. A time of s seconds is shown as
ln(1 + s), at most :data:`LIMIT`. The sufficient view also has the load, since what a wait costs depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.env.loads import LOAD_COLUMNS, devices_there, load_of
from meqc_marl.physics.load import Pools
from meqc_marl.physics.places import Work
from meqc_marl.physics.queueing import Backlogs, waits, whole_work

if TYPE_CHECKING:
    from meqc_marl.env.simulator import OffloadingSimulator

WAIT_COLUMNS = ("cpu_wait", "qpu_wait")
"""How long a task would wait, in seconds."""
WORK_COLUMNS = ("cpu_work", "qpu_work")
"""How long the whole server or QPU would work on the whole task, in seconds: what it would add to the waits."""
OF_QUEUES = LOAD_COLUMNS + WORK_COLUMNS + WAIT_COLUMNS
"""What the sufficient view shows where anything is queued."""
LIMIT = 10.0
"""Of ln(1 + s): six hours."""


def with_queues(scenario: Scenario, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Names of a view's columns, those of the queues before the last if there are any."""
    if not scenario.resources.queued:
        return columns
    more = OF_QUEUES if scenario.observation == "sufficient" else WAIT_COLUMNS
    return (*columns[:-1], *more, columns[-1])


def show_waits(scenario: Scenario, backlogs: Backlogs, out: np.ndarray) -> None:
    """Fill in the waits of observations [E, M, K]."""
    out[..., -3:-1] = shown_seconds(np.stack(waits(scenario, backlogs), -1))[:, None]


def show_work(scenario: Scenario, work: Work, out: np.ndarray) -> None:
    """Fill in the load and the work of observations [..., M, K] of the sufficient view."""
    out[..., -1 - len(OF_QUEUES) : -1 - len(WORK_COLUMNS + WAIT_COLUMNS)] = load_of(
        scenario, devices_there(scenario, work)
    )
    whole = whole_work(scenario, work)
    for column, seconds in zip((-5, -4), (whole.cpu_cycles / Pools.of(scenario).server_hz, whole.qpu_s), strict=True):
        out[..., column] = shown_seconds(seconds)


def shown_seconds(seconds: np.ndarray) -> np.ndarray:
    """ln(1 + s), float32, within the limit."""
    return np.minimum(np.log1p(seconds), LIMIT).astype(np.float32)


def queue_infos(simulator: OffloadingSimulator, begun: bool) -> list[dict[str, Any]]:
    """What the infos of one row's devices tell of the queues, the same keys throughout.

    Args:
        simulator: Of one row.
        begun: Whether a slot of the episode was carried out.
    """
    (cpu_s,), (qpu_s,) = simulator.waits
    devices = simulator.num_devices
    told: dict[str, Any] = {"cpu_wait_s": float(cpu_s), "qpu_wait_s": float(qpu_s)}
    told |= {"cpu_backlog_cycles": float(simulator.backlogs.cpu_cycles[0]), "qpu_backlog_s": float(qpu_s)}
    waited = simulator.last.waited_s()[0].tolist() if begun else [0.0] * devices
    infos = [told | {"waited_s": each} for each in waited]
    if simulator.scenario.lyapunov.reward == "difference":
        without = np.stack(simulator.backlogs_without_each(), -1)[0] if begun else np.zeros((devices, 2))
        for info, each in zip(infos, without, strict=True):
            info["backlogs_without"] = each.copy()
    return infos
