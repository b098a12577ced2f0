"""How busy the machine is: what is promised within seconds is promised to whom the machine belongs alone."""

import time


def slowdown(cpu_s: float = 0.2) -> float:
    """Seconds that pass for each that this process computes; 1 on a machine that has nothing else to do."""
    begun, busy = time.monotonic(), time.process_time()
    while time.process_time() - busy < cpu_s:
        pass
    return max(1.0, (time.monotonic() - begun) / cpu_s)
