"""What the devices get from the access point and the server in a slot: bandwidth, server CPU and QPU.

This is the one place that decides it. What is leased, a device has whatever the others do. What is pooled is divided by
how many use it (:class:`~meqc_marl.physics.load.Load`): the band and the server in equal parts, the QPU at full speed
up to its tiles and in proportion beyond them. A part of the server is a part of the time of its cores, so congestion
costs time and saves no energy. What is queued for is shared alike, after the work that earlier slots left
(:mod:`~meqc_marl.physics.queueing`). Admission to the QPU is a matter of each task alone.

Who divides otherwise brings a function with the signature of :func:`equal_parts`. What it gives is checked: no device
may get more where more use a pool, or the joint optimum would be none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.errors import InputError, shown
from meqc_marl.physics.load import ALONE, Load, Pools
from meqc_marl.registry import find

Parts = tuple[np.ndarray | float, np.ndarray | float, np.ndarray | float]
"""Band in Hz and server CPU in Hz that a device gets, and how many times as long as alone its task takes on the QPU."""


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


def equal_parts(pools: Pools, load: Load) -> Parts:
    """Band and server in equal parts; the QPU at full speed up to its tiles, and in proportion beyond them."""
    return pools.band_hz / load.band, pools.server_hz / load.cpu, np.maximum(load.qpu / pools.tiles, 1.0)


ALLOCATION: dict[str, Callable[[Pools, Load], Parts]] = {"equal": equal_parts}
"""Name to function."""
_GRID = 48
"""Numbers of users, between one and all, at which a brought allocation is tried on either axis."""


def allocation_of(name: str, pools: Pools, num_devices: int) -> Callable[[Pools, Load], Parts]:
    """How pools are divided; one that a user brings is tried at many loads first, and each result is checked."""
    if name in ALLOCATION:
        return ALLOCATION[name]
    return _tried(name, find("allocation", name), pools, num_devices)


@lru_cache(maxsize=256)
def _tried(
    name: str, divide: Callable[[Pools, Load], Parts], pools: Pools, num_devices: int
) -> Callable[[Pools, Load], Parts]:
    def checked(pools: Pools, load: Load) -> Parts:
        parts = divide(pools, load)
        if not isinstance(parts, tuple) or len(parts) != 3:
            raise _refused(name, "the result that it gives must be three arrays")
        for what, part, like in zip(("band", "server CPU", "slowdown"), parts, _loads(load), strict=True):
            array = np.asarray(part)
            sound = array.dtype.kind in "iuf" and array.shape in ((), np.shape(like))
            if not sound or not (np.isfinite(array).all() and (array > 0.0).all()):
                raise _refused(name, f"the {what} that it gives must be {np.shape(like)}, finite and above 0")
        return parts

    counts = np.unique(np.geomspace(1, num_devices, _GRID).round())
    cpu, qpu = np.meshgrid(counts, counts, indexing="ij")
    band, server, slowdown = (np.broadcast_to(part, cpu.shape) for part in checked(pools, Load.of_counts(cpu, qpu)))
    for what, part in (("band", -band), ("server CPU", -server), ("slowdown", slowdown)):
        for axis in (0, 1):
            if (np.diff(part, axis=axis) < 0.0).any():
                raise _refused(name, f"the {what} that it gives a device must not be better where more use the pool")
    return checked


def _loads(load: Load) -> tuple[np.ndarray | float, np.ndarray | float, np.ndarray | float]:
    return load.band, load.cpu, load.qpu


def _refused(name: str, why: str) -> InputError:
    return InputError(f"resources.allocation is {shown(name)}; {why}.")


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
    resources = scenario.resources
    cpu_wait_s, qpu_wait_s = (None, None) if waits is None else waits
    if not resources.pooled:
        return Allocation(scenario.channel.bandwidth_hz, leased_cpu_hz, None, cpu_wait_s, qpu_wait_s)
    pools = Pools.of(scenario)
    band_hz, server_hz, slowdown = allocation_of(resources.allocation, pools, scenario.num_devices)(pools, load)
    return Allocation(
        bandwidth_hz=scenario.channel.bandwidth_hz if resources.band == "leased" else band_hz,
        server_cpu_hz=leased_cpu_hz if resources.server == "leased" else server_hz,
        qpu_slowdown=None if resources.qpu == "leased" else slowdown,
        cpu_wait_s=cpu_wait_s,
        qpu_wait_s=qpu_wait_s,
    )
