"""The nature of an episode drawn from seeds.

What is drawn, and in which order, does not depend on the options of the scenario: its variants share their randomness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.nature import channel, equipment, mobility
from meqc_marl.nature.own_parts import fading_of, mobility_of, tasks_of
from meqc_marl.nature.slot import Equipment
from meqc_marl.nature.variates import uniform_between

_DEVICES_AT_ONCE = 8192
"""Devices that move together: enough to drown numpy's overhead, few enough for the working memory of a long episode."""


def draw_nature(scenario: Scenario, seeds: Sequence[int], episode: int, nature: Mapping[str, np.ndarray]) -> Equipment:
    """Draw an episode of every row; row i depends on ``seeds[i]``, not on the rows beside it.

    Args:
        scenario: Parameters.
        seeds: Of the rows, E of them.
        episode: Number of the episode.
        nature: Arrays to fill: ``gain``, ``data_bits``, ``cycles_per_bit``, ``deadline_s``, ``qubits``, ``depth``
            [T, E, M], ``position_m`` [T, E, M, 2] and, for circuits, ``gates`` [T, E, M, 2].

    Returns:
        Equipment [E, M].
    """
    num_slots, num_envs, num_devices = nature["gain"].shape
    owned = np.empty((equipment.NUM_UNIFORMS, num_envs, num_devices))
    rows_at_once = min(num_envs, max(1, _DEVICES_AT_ONCE // num_devices))
    innovation = np.empty((3, num_slots, rows_at_once, num_devices), np.float32)
    uniform = np.empty((mobility.NUM_UNIFORMS, rows_at_once, num_devices))
    normal = np.empty((mobility.NUM_NORMALS, rows_at_once, num_devices))
    move = mobility_of(scenario.mobility.kind)
    for first in range(0, num_envs, rows_at_once):
        rows = range(first, min(first + rows_at_once, num_envs))
        for place, row in enumerate(rows):
            rng = np.random.default_rng(np.random.SeedSequence(seeds[row], spawn_key=(episode,)))
            owned[:, row] = rng.random((len(owned), num_devices))
            uniform[:, place] = rng.random((len(uniform), num_devices))
            normal[:, place] = rng.standard_normal((len(normal), num_devices))
            _draw_row(scenario, rng, innovation[:, :, place], {name: nature[name][:, row] for name in nature})
        together, used = slice(rows.start, rows.stop), slice(len(rows))
        start = mobility.draw_start(scenario.mobility, uniform[:, used], normal[:, used])
        position_m = nature["position_m"][:, together]
        move(scenario.mobility, scenario.slot_s, start, innovation[:, :, used], position_m)
        gain = nature["gain"][:, together]
        gain *= channel.path_gain(scenario.channel, position_m)
        np.clip(gain, channel.LEAST_GAIN, channel.LARGEST_GAIN, out=gain)
    return equipment.draw_equipment(scenario.devices, owned)


def _draw_row(
    scenario: Scenario, rng: np.random.Generator, innovation: np.ndarray, nature: Mapping[str, np.ndarray]
) -> None:
    """All but the places of the devices: innovation of the motion [3, T, M]; fading (as gain) and tasks [T, M] each."""
    shape = innovation.shape[1:]

    def uniform() -> np.ndarray:
        return rng.random(shape, dtype=np.float32)

    def normal() -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    innovation[0], innovation[1], innovation[2] = normal(), normal(), uniform()
    fade = fading_of(scenario.channel.fading)
    shadowing = channel.shadowing(scenario.channel, normal())
    nature["gain"][:] = shadowing * fade(scenario.channel, normal(), normal())
    drawn = tasks_of(scenario.tasks.source)(scenario.tasks, uniform(), uniform())
    nature["cycles_per_bit"][:], nature["qubits"][:], nature["depth"][:] = drawn[:3]
    if drawn.gates is not None:
        nature["gates"][:] = drawn.gates
    nature["data_bits"][:] = uniform_between(*scenario.tasks.data_bits, uniform())
    nature["deadline_s"][:] = uniform_between(*scenario.tasks.deadline_s, uniform())
