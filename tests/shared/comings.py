"""Traces with devices that come and go, and the same without a device that never comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.nature.slot import Equipment
from meqc_marl.nature.trace import EQUIPMENT, NATURE, Trace, generate_trace


def coming_and_going(scenario: Scenario, seeds: list[int], num_slots: int, share: float = 0.6) -> Trace:
    """A drawn trace whose devices are each there in about that share of the slots, for a while at a time."""
    trace = generate_trace(scenario, seeds, num_slots=num_slots)
    rng = np.random.default_rng([97, *seeds])
    present = np.empty(trace.gain.shape, bool)
    present[0] = rng.random(present[0].shape) < share
    for t in range(1, num_slots):
        changes = rng.random(present[0].shape) < 0.3
        present[t] = np.where(changes, rng.random(present[0].shape) < share, present[t - 1])
    present[0, :, 0] = True
    return trace.with_presence(present)


def only_devices(trace: Trace, chosen: list[int]) -> Trace:
    """The trace of some devices alone, as if there had never been others."""
    arrays = {name: getattr(trace, name)[:, :, chosen] for name in (*NATURE, "position_m")}
    equipment = Equipment(**{name: getattr(trace.equipment, name)[:, chosen] for name in EQUIPMENT})
    present = None if trace.present is None else trace.present[:, :, chosen]
    gates = None if trace.gates is None else trace.gates[:, :, chosen]
    return replace(trace, **arrays, equipment=equipment, present=present, gates=gates)
