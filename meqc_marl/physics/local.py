"""Computing on the device (1)."""

from __future__ import annotations

import numpy as np

from meqc_marl.config.scenario import Local


def local_latency(data_bits: np.ndarray, cycles_per_bit: np.ndarray, cpu_hz: np.ndarray) -> np.ndarray:
    """Time in s of the whole task on the device: T_L = d q / f."""
    latency_s: np.ndarray = data_bits * cycles_per_bit / cpu_hz
    return latency_s


def local_power(local: Local, cpu_hz: np.ndarray) -> np.ndarray | float:
    """Power in W of the computing device: rho f^zeta."""
    return switching_power(local.rho, local.zeta, cpu_hz)


def switching_power(rho: float, zeta: float, cpu_hz: np.ndarray | float) -> np.ndarray | float:
    """Power in W of a CPU: rho f^zeta; the usual cube as products, which are ten times faster than a power."""
    power_w: np.ndarray | float = rho * (cpu_hz * cpu_hz * cpu_hz if zeta == 3.0 else cpu_hz**zeta)
    return power_w
