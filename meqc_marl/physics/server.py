"""Computing on the server's CPU (3)-(4)."""

from __future__ import annotations

import numpy as np

from meqc_marl.config.scenario import Server
from meqc_marl.physics.local import switching_power


def server_latency(data_bits: np.ndarray, cycles_per_bit: np.ndarray, server_cpu_hz: np.ndarray | float) -> np.ndarray:
    """Time in s of the whole task on the leased share of the server CPU: t_C = d q / f0."""
    latency_s: np.ndarray = data_bits * cycles_per_bit / server_cpu_hz
    return latency_s


def server_power(server: Server, server_cpu_hz: np.ndarray | float) -> np.ndarray | float:
    """Power in W of the leased share of the server CPU: rho_s f0^zeta."""
    return switching_power(server.rho, server.zeta, server_cpu_hz)
