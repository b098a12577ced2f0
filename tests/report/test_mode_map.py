"""The map of modes: every cell is where its device computed, in a colour of its own also without colours."""

import numpy as np
import pytest

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode
from meqc_marl.policies import make_policy
from meqc_marl.report.mode_map import cell_colours, draw_mode_map, mode_cells


@pytest.fixture(scope="module")
def records():
    scenario = load_scenario("paper", ["num_devices=5"])
    trace = generate_trace(scenario, [3, 4], num_slots=30)
    return {name: rollout(make_policy(name, scenario), scenario, trace) for name in ("random", "oracle")}


def panels(picture, count):
    """The parts of a picture that are coloured from side to side, top down, without their frames."""
    full = (picture < 250).any(-1).mean(1) > 0.7
    edges = np.flatnonzero(np.diff(full.astype(int), prepend=0, append=0)).reshape(-1, 2)
    assert len(edges) == count
    for top, bottom in edges:
        inside = (picture[top:bottom] < 250).any(-1).all(0)
        left, right = np.flatnonzero(np.diff(inside.astype(int), prepend=0, append=0))[[0, -1]]
        yield picture[top:bottom, left:right]


def test_cells_are_the_executed_modes_of_the_first_row(records):
    record = records["random"]
    mode, fraction = mode_cells(record)
    assert mode.shape == fraction.shape == (5, 30)
    for device, slot in np.ndindex(5, 30):
        assert mode[device, slot] == record.mode[slot, 0, device]
        assert fraction[device, slot] == record.fraction[slot, 0, device]
    assert not np.array_equal(record.mode[:, 0], record.mode[:, 1])


def test_the_picture_shows_every_cell(records):
    assert {*records["random"].mode[:, 0].ravel()} == {*Mode}
    picture = draw_mode_map(records)
    for panel, record in zip(panels(picture, 2), records.values(), strict=True):
        y, x = (((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip((5, 30), panel.shape, strict=False))
        expected = np.rint(255 * cell_colours(*mode_cells(record)))
        assert np.abs(panel[np.ix_(y, x)] - expected).max() <= 1


def test_modes_differ_in_grey_and_lighter_is_less():
    fraction = np.linspace(0.01, 1.0, 100)
    grey = {mode: cell_colours(np.full(100, mode), fraction) @ (0.299, 0.587, 0.114) for mode in Mode}
    local, cpu, qpu = (grey[mode] for mode in Mode)
    assert np.ptp(local) == pytest.approx(0.0)
    assert (np.diff(cpu) < 0).all()
    assert (np.diff(qpu) < 0).all()
    assert local.max() + 0.05 < cpu.min()
    assert cpu.max() + 0.05 < qpu.min()
    assert qpu.max() < 0.95


def test_many_devices_and_slots_make_no_larger_picture():
    scenario = load_scenario("large")
    record = rollout(make_policy("local-only", scenario), scenario, generate_trace(scenario, [0], num_slots=120))
    assert mode_cells(record)[0].shape == (50, 100)
    assert draw_mode_map({"local-only": record}).size < 3e6
