"""What the devices get from the access point and the server in a slot: bandwidth, server CPU and QPU.

This is the one place that decides it. What is leased, a device has whatever the others do. What is pooled is divided by
how many use it (:class:`~meqc_marl.physics.load.Load`): the band and the server in equal parts, the QPU at full speed
up to its tiles and in proportion beyond them. A part of the server is a part of the time of its cores, so congestion
costs time and saves no energy. What is queued for is shared alike, after the work that earlier slots left
(:mod:`~meqc_marl.physics.queueing`). Admission to the QPU is a matter of each task alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.physics.load import ALONE, Load, Pools


@dataclass(frozen=True)
class Allocation:
    """What each device gets, broadcastable to the slot's [..., M].

    Attributes:
        bandwidth_hz: Uplink band B, in which the noise is gathered.
        server_cpu_hz: Speed of the server for the device's task: f0, or its part of the pool.
        qpu_slowdown: Times as long as alone a task takes on the QPU, at its energy alone; None for a lease.
        cpu_wait_s: How long a task waits at the server before its own part starts; None if nothing is queued.
        qpu_wait_s: How long at the QPU.
    """

    bandwidth_hz: np.ndarray | float
    server_cpu_hz: np.ndarray | float
    qpu_slowdown: np.ndarray | float | None
    cpu_wait_s: np.ndarray | float | None = None
    qpu_wait_s: np.ndarray | float | None = None


def depends_on_actions(scenario: Scenario) -> bool:
    """Whether what a device gets depends on what others do; if not, a simulator may work ahead."""
    return scenario.resources.pooled


def allocate(
    scenario: Scenario,
    leased_cpu_hz: np.ndarray,
    load: Load = ALONE,
    waits: tuple[np.ndarray | float, np.ndarray | float] | None = None,
) -> Allocation:
    """Decide what every device gets.

    Args:
        scenario: Parameters.
        leased_cpu_hz: Server CPU that each device leases, f0 [..., M].
        load: How many share with each device; by default nobody.
        waits: How long a task waits at the server and at the QPU, in s; None if nothing is queued.
    """
    resources, pools = scenario.resources, Pools.of(scenario)
    cpu_wait_s, qpu_wait_s = (None, None) if waits is None else waits
    return Allocation(
        bandwidth_hz=scenario.channel.bandwidth_hz if resources.band == "leased" else pools.band_hz / load.band,
        server_cpu_hz=leased_cpu_hz if resources.server == "leased" else pools.server_hz / load.cpu,
        qpu_slowdown=None if resources.qpu == "leased" else np.maximum(load.qpu / pools.tiles, 1.0),
        cpu_wait_s=cpu_wait_s,
        qpu_wait_s=qpu_wait_s,
    )
