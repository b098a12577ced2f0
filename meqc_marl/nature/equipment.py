"""Equipment of the devices, drawn at the start of an episode (VI-A)."""

from __future__ import annotations

import numpy as np

from meqc_marl.config.scenario import Devices
from meqc_marl.nature.slot import Equipment
from meqc_marl.nature.variates import integer_below, uniform_between

NUM_UNIFORMS = 4


def draw_equipment(devices: Devices, uniform: np.ndarray) -> Equipment:
    """Equipment [E, M] from uniforms [4, E, M]."""
    shape = uniform.shape[1:]
    tx_power = uniform_between(*devices.tx_power, uniform[1])
    low, high = devices.leased_qubits
    lambda_t = np.broadcast_to(np.asarray(devices.lambda_t, np.float64), shape).copy()
    lambda_e = (
        1.0 - lambda_t if devices.lambda_e is None else np.broadcast_to(devices.lambda_e, shape).astype(np.float64)
    )
    return Equipment(
        cpu_hz=np.array(devices.cpu_hz)[integer_below(len(devices.cpu_hz), uniform[0])],
        tx_power_w=tx_power if devices.tx_power_unit == "W" else dbm_to_w(tx_power),
        server_cpu_hz=np.array(devices.server_cpu_hz)[integer_below(len(devices.server_cpu_hz), uniform[2])],
        leased_qubits=low + integer_below(high - low + 1, uniform[3]).astype(np.float64),
        lambda_t=lambda_t,
        lambda_e=lambda_e,
    )


def dbm_to_w(power_dbm: np.ndarray) -> np.ndarray:
    """Power in watts of a power in dBm."""
    power_w: np.ndarray = 1e-3 * 10.0 ** (power_dbm / 10.0)
    return power_w
