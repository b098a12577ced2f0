"""What the access point tells devices of the load: their parts of band, server and QPU, the slot and Delta.

Where anything is queued they are part of the sufficient view, so that one policy reads systems of any load.
"""

from __future__ import annotations

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.physics.load import Pools
from meqc_marl.physics.places import Work

LOAD_COLUMNS = ("band_part", "server_part", "qpu_part", "slot", "delta")
"""Pooled band, server and tiles over the number of devices, duration of a slot where anything is queued, and Delta."""
_ZERO = {"band_part": 1e8, "server_part": 1e9, "qpu_part": 0.1, "slot": 5.0}
"""What is shown as 0 (Hz, Hz, tiles, s); twice of it as 1."""
LIMIT = 10.0


def devices_there(scenario: Scenario, work: Work) -> np.ndarray | float:
    """How many devices there are, [..., 1] where they come and go."""
    if work.present is None:
        return float(scenario.num_devices)
    return np.asarray(work.present.sum(-1, keepdims=True), dtype=np.float64)


def load_of(scenario: Scenario, devices: np.ndarray | float | None = None) -> np.ndarray:
    """What the columns show: base-2 logarithms over what is shown as 0, also shown for a lease; 2 Delta - 1.

    Args:
        scenario: Parameters.
        devices: Who have a part of it, of any shape [...]; ``num_devices`` if None. None at all count as one.

    Returns:
        Float64 [..., 5].
    """
    resources, pools = scenario.resources, Pools.of(scenario)
    devices = np.maximum(scenario.num_devices if devices is None else devices, 1.0)
    parts = {
        "band_part": pools.band_hz / devices if resources.band != "leased" else None,
        "server_part": pools.server_hz / devices if resources.server != "leased" else None,
        "qpu_part": pools.tiles / devices if resources.qpu != "leased" else None,
        "slot": scenario.slot_s if resources.queued else None,
    }
    logs = [0.0 if part is None else np.log2(part / _ZERO[name]) for name, part in parts.items()]
    columns = np.broadcast_arrays(*logs, 2.0 * scenario.lyapunov.delta - 1.0, devices)[:-1]
    return np.clip(np.stack(columns, -1), -LIMIT, LIMIT)
