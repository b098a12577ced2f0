"""What the access point tells devices of the load: their parts of band, server and QPU, the slot and Delta.

Columns of it stand before those of the queues in the view ``loads``, so that one policy reads systems of any load.
"""

from __future__ import annotations

import math

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.physics.load import Pools

LOAD_COLUMNS = ("band_part", "server_part", "qpu_part", "slot", "delta")
"""Pooled band, server and tiles over the number of devices, duration of a slot where anything is queued, and Delta."""
_ZERO = {"band_part": 1e8, "server_part": 1e9, "qpu_part": 0.1, "slot": 5.0}
"""What is shown as 0 (Hz, Hz, tiles, s); twice of it as 1."""
LIMIT = 10.0


def load_of(scenario: Scenario) -> np.ndarray:
    """Of a scenario, float64 [5]: base-2 logarithms over what is shown as 0, also shown for a lease; 2 Delta - 1."""
    resources, pools, devices = scenario.resources, Pools.of(scenario), scenario.num_devices
    parts = {
        "band_part": pools.band_hz / devices if resources.band != "leased" else None,
        "server_part": pools.server_hz / devices if resources.server != "leased" else None,
        "qpu_part": pools.tiles / devices if resources.qpu != "leased" else None,
        "slot": scenario.slot_s if resources.queued else None,
    }
    logs = [0.0 if part is None else math.log2(part / _ZERO[name]) for name, part in parts.items()]
    return np.clip([*logs, 2.0 * scenario.lyapunov.delta - 1.0], -LIMIT, LIMIT)
