"""The nature of an episode drawn from seeds: every random quantity from one or two uniforms of its row's generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.physics import channel, equipment, mobility, tasks
from meqc_marl.physics.slot import Equipment
from meqc_marl.physics.variates import standard_normal, standard_normal_pair, uniform_between

_DEVICES_AT_ONCE = 8192
"""Devices that move together: enough to drown numpy's overhead, few enough for the working memory of a long episode."""


def draw_nature(scenario: Scenario, seeds: Sequence[int], episode: int, nature: Mapping[str, np.ndarray]) -> Equipment:
    """Draw an episode of every row; row i depends on ``seeds[i]``, not on the rows beside it.

    Args:
        scenario: Parameters.
        seeds: Of the rows, E of them.
        episode: Number of the episode.
        nature: Arrays to fill: ``gain``, ``data_bits``, ``cycles_per_bit``, ``deadline_s``, ``qubits``, ``depth``
            [T, E, M] and ``position_m`` [T, E, M, 2].

    Returns:
        Equipment [E, M].
    """
    num_slots, num_envs, num_devices = nature["gain"].shape
    start = np.empty((equipment.NUM_UNIFORMS + mobility.NUM_UNIFORMS, num_envs, num_devices))
    rows_at_once = min(num_envs, max(1, _DEVICES_AT_ONCE // num_devices))
    motion = np.empty((2, num_slots, rows_at_once, num_devices), np.float32)
    for first in range(0, num_envs, rows_at_once):
        rows = range(first, min(first + rows_at_once, num_envs))
        for row in rows:
            rng = np.random.default_rng(np.random.SeedSequence(seeds[row], spawn_key=(episode,)))
            start[:, row] = rng.random((len(start), num_devices))
            _draw_row(scenario, rng, motion[:, :, row - first], {name: nature[name][:, row] for name in nature})
        part = slice(rows.start, rows.stop)
        begin = mobility.draw_start(scenario.mobility, start[equipment.NUM_UNIFORMS :, part])
        position_m = nature["position_m"][:, part]
        move = mobility.MOBILITY[scenario.mobility.kind]
        move(scenario.mobility, scenario.slot_s, begin, *motion[:, :, : len(rows)], position_m)
        nature["gain"][:, part] *= channel.path_gain(scenario.channel, position_m)
    return equipment.draw_equipment(scenario.devices, start[: equipment.NUM_UNIFORMS])


def _draw_row(
    scenario: Scenario, rng: np.random.Generator, motion: np.ndarray, nature: Mapping[str, np.ndarray]
) -> None:
    """All but the places of the devices: innovations of the motion [2, T, M], fading, tasks [T, M] each."""
    shape = motion.shape[1:]

    def uniform() -> np.ndarray:
        return rng.random(shape, dtype=np.float32)

    motion[0], motion[1] = standard_normal_pair(uniform(), uniform())
    shadowing = channel.shadowing(scenario.channel, standard_normal(uniform(), uniform()))
    nature["gain"][:] = shadowing * channel.rician_power(scenario.channel, uniform(), uniform())
    residues, time_s = tasks.TASK_SOURCES[scenario.tasks.source](scenario.tasks, uniform(), uniform())
    qubits = tasks.logical_qubits(residues)
    nature["cycles_per_bit"][:] = tasks.cycles_per_bit(scenario.tasks, residues, time_s)
    nature["qubits"][:] = qubits
    nature["depth"][:] = tasks.circuit_depth(scenario.tasks, qubits)
    nature["data_bits"][:] = uniform_between(*scenario.tasks.data_bits, uniform())
    nature["deadline_s"][:] = uniform_between(*scenario.tasks.deadline_s, uniform())
