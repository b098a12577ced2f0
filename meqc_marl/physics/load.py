"""How many devices share a resource in a slot, and how large the pools are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.physics.cost import Mode

PRESET_DEVICES = 15
"""Devices for which the pools below are made; others get them in proportion."""
PRESET_BAND_HZ = 0.5e9
PRESET_SERVER_HZ = 15e9
PRESET_TILES = 2


@dataclass(frozen=True)
class Pools:
    """Totals of the shared resources.

    Attributes:
        band_hz: Uplink band B_tot.
        server_hz: Server CPU F_tot.
        tiles: Tasks that the QPU runs at full speed.
    """

    band_hz: float
    server_hz: float
    tiles: int

    @classmethod
    def of(cls, scenario: Scenario) -> Pools:
        """As given, or in proportion to the number of devices."""
        resources, share = scenario.resources, scenario.num_devices / PRESET_DEVICES
        return cls(
            PRESET_BAND_HZ * share if resources.band_hz is None else resources.band_hz,
            PRESET_SERVER_HZ * share if resources.server_hz is None else resources.server_hz,
            max(1, round(PRESET_TILES * share)) if resources.qpu_tiles is None else resources.qpu_tiles,
        )


@dataclass(frozen=True)
class Load:
    """Devices of a row that share with a device if it goes to a place, the device itself included: at least 1.

    Attributes:
        cpu: At the server CPU, if the device goes there; broadcastable to [..., M].
        qpu: At the QPU, if the device goes there.
        band: In the band, if the device goes to either.
    """

    cpu: np.ndarray | float
    qpu: np.ndarray | float
    band: np.ndarray | float

    @classmethod
    def of_counts(cls, cpu: np.ndarray | float, qpu: np.ndarray | float) -> Load:
        """When n_c and n_q devices use the server CPU and the QPU in all, whoever they are."""
        return cls(np.maximum(cpu, 1.0), np.maximum(qpu, 1.0), np.maximum(cpu + qpu, 1.0))

    @classmethod
    def seen(cls, mode: np.ndarray) -> Load:
        """What each device finds, given the others' executed modes [..., M].

        For the mode that a device takes itself this is what it gets; for another, what it would get if it changed over.
        """
        on_cpu, on_qpu = (mode == Mode.CPU).astype(np.float64), (mode == Mode.QPU).astype(np.float64)
        every = np.ones((mode.shape[-1], 1))  # a product sums short rows several times faster than ``sum``
        cpu, qpu = 1.0 + on_cpu @ every - on_cpu, 1.0 + on_qpu @ every - on_qpu
        return cls(cpu, qpu, cpu + qpu - 1.0)


ALONE = Load(1.0, 1.0, 1.0)
"""Nobody else sends anything away."""


def count(mode: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many devices of each row use the server CPU and the QPU, n_c and n_q [...], of executed modes [..., M]."""
    return (mode == Mode.CPU).sum(-1), (mode == Mode.QPU).sum(-1)
