"""Pooled band, server and QPU by hand, and shares placed within what is granted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.scenario import Cost, Resources
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode, blend_latency
from meqc_marl.physics.granting import fastest_share
from meqc_marl.physics.load import Load, Pools
from meqc_marl.physics.places import price

FORMS = ("parallel", "sequential", "literal")
NOISE_W_HZ = 10 ** (-204 / 10)


def pooled(*changes: str) -> Scenario:
    return load_scenario("pooled", ["num_devices=3", *changes])


@pytest.mark.parametrize(("devices", "tiles"), [(15, 2), (1, 1), (50, 7), (1000, 133)])
def test_pools_grow_with_the_devices_unless_given(devices: int, tiles: int) -> None:
    pools = Pools.of(load_scenario("pooled", [f"num_devices={devices}"]))
    assert pools.band_hz == pytest.approx(0.5e9 * devices / 15)
    assert pools.server_hz == pytest.approx(15e9 * devices / 15)
    assert pools.tiles == tiles
    given = ["resources.band_hz=1e8", "resources.server_hz=2e9", "resources.qpu_tiles=4", f"num_devices={devices}"]
    assert Pools.of(load_scenario("pooled", given)) == Pools(1e8, 2e9, 4)


def test_the_presets() -> None:
    for name, devices in (("pooled", 15), ("pooled-large", 1000)):
        scenario = load_scenario(name)
        assert (scenario.num_devices, scenario.resources) == (
            devices,
            Resources(band="pooled", server="pooled", qpu="pooled"),
        )


def test_a_loaded_slot_by_hand() -> None:
    """Three on the CPU, two on the QPU with one tile: everything from the formulas, device by device."""
    scenario = pooled("resources.qpu_tiles=1", "num_devices=5", "resources.core_hz=4e9")
    trace = generate_trace(scenario, [3], num_slots=1)
    slot, equipment = trace.slot(0), trace.equipment
    costs = price(scenario, slot, Load.of_counts(3.0, 2.0))
    pools = Pools.of(scenario)
    for m in range(5):
        bits, cycles = slot.data_bits[0, m], slot.data_bits[0, m] * slot.cycles_per_bit[0, m]
        power = equipment.tx_power_w[0, m]
        rate = pools.band_hz / 5 * np.log2(1 + power * slot.gain[0, m] * 5 / (NOISE_W_HZ * pools.band_hz))
        layers = bits / 1e6 * slot.depth[0, m] * 1.05e-6
        expected_s = [
            cycles / equipment.cpu_hz[0, m],
            bits / rate + cycles * 3 / pools.server_hz,
            bits / rate + 2 * layers,
        ]
        expected_j = [
            5e-28 * equipment.cpu_hz[0, m] ** 2 * cycles,
            power * bits / rate + 8e-29 * 4e9**2 * cycles,
            power * bits / rate + layers * slot.qubits[0, m] * 16.8e-3,
        ]
        np.testing.assert_allclose(costs.latency_s[:, 0, m], expected_s, rtol=1e-9)
        np.testing.assert_allclose(costs.energy_j[:, 0, m], expected_j, rtol=1e-9)


@pytest.mark.parametrize("part", ["band", "server", "qpu"])
def test_each_resource_is_pooled_by_itself(part: str) -> None:
    """What is leased costs what it costs in a leased scenario, however many others there are."""
    leased = load_scenario("paper", ["num_devices=3"])
    shared = load_scenario("paper", ["num_devices=3", f"resources.{part}=pooled"])
    slot = generate_trace(leased, [1], num_slots=1).slot(0)
    before, after = price(leased, slot), price(shared, slot, Load.of_counts(2.0, 1.0))
    changed = [bool((before.latency_s[mode] != after.latency_s[mode]).any()) for mode in Mode]
    # Three tasks in the band, two at the server; one at the QPU is alone on its tile.
    assert changed == {"band": [False, True, True], "server": [False, True, False], "qpu": [False, False, False]}[part]
    crowded = price(shared, slot, Load.of_counts(1.0, 3.0))
    slower = bool((crowded.latency_s[Mode.QPU] > after.latency_s[Mode.QPU]).any())
    assert slower == (part != "server" and part != "band") or part == "band"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_what_a_device_finds_counts_the_others_and_itself(seed: int, devices: int) -> None:
    mode = np.random.default_rng(seed).integers(0, 3, (2, devices))
    load = Load.seen(mode)
    for row in range(2):
        for m in range(devices):
            others = np.delete(mode[row], m)
            assert load.cpu[row, m] == (others == Mode.CPU).sum() + 1
            assert load.qpu[row, m] == (others == Mode.QPU).sum() + 1
            assert load.band[row, m] == (others != Mode.LOCAL).sum() + 1


def test_congestion_never_helps() -> None:
    """Neither latency nor energy of any place falls as the counts grow."""
    scenario = pooled("num_devices=15")
    slot = generate_trace(scenario, [5], num_slots=1).slot(0)
    for cpu in range(1, 14):
        for qpu in range(1, 14 - cpu):
            here = price(scenario, slot, Load.of_counts(cpu, qpu))
            for more in (Load.of_counts(cpu + 1, qpu), Load.of_counts(cpu, qpu + 1)):
                there = price(scenario, slot, more)
                assert (there.latency_s >= here.latency_s * (1 - 1e-12)).all()
                assert (there.energy_j >= here.energy_j * (1 - 1e-12)).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("preset", ["pooled", "fast-folders"])
def test_no_deadline_is_missed_that_the_granted_modes_allow_to_meet(form: str, preset: str) -> None:
    """Against 2,001 shares of every device at the granted rates; x = 0 and x = 1 are the ends."""
    resources = ["resources.band=pooled", "resources.server=pooled", "resources.qpu=pooled"]
    scenario = load_scenario(preset, [f"cost.latency={form}", *resources, "num_devices=15"])
    simulator = OffloadingSimulator(scenario, 4)
    simulator.reset(seed=11)
    rng = np.random.default_rng(1)
    grid = np.linspace(scenario.cost.min_fraction, 1.0, 2001)[:, None, None]
    for _ in range(10):
        mode = rng.integers(0, 3, (4, 15))
        x = rng.choice([0.0, 0.3, 0.5, 0.8, 1.0], (4, 15))
        outcome = simulator.preview(mode, x)
        low, middle, high = (simulator.preview(mode, np.full((4, 15), at)).fraction for at in (0.0, 0.5, 1.0))
        places = price(scenario, simulator.work, Load.seen(outcome.mode))
        remote = np.where(outcome.mode == Mode.QPU, places.latency_s[2], places.latency_s[1])
        latency = blend_latency(form, grid, places.latency_s[0], remote, places.ack_latency_s)
        away = outcome.mode != Mode.LOCAL
        possible = (latency <= places.deadline_s).any(0)
        assert not (outcome.deadline_missed & possible & away).any()
        line = np.where(x < 0.5, low + 2 * x * (middle - low), middle + (2 * x - 1) * (high - middle))
        np.testing.assert_allclose(outcome.fraction, np.where(away, line, 0.0), atol=1e-12)
        assert ((low <= middle) & (middle <= high))[away].all()
        # In the middle a parallel task is fastest, as far as the deadline lets it be; others are halfway.
        if form == "parallel":
            within = (grid >= low) & (grid <= high)
            quickest = np.where(within, latency, np.inf).min(0)
            inner = away & np.isfinite(quickest)
            at_middle = simulator.preview(mode, np.full((4, 15), 0.5)).latency_s
            assert (at_middle <= quickest * (1 + 1e-12))[inner].all()
        else:
            np.testing.assert_allclose(middle, np.where(away & (low < high), (low + high) / 2, low), atol=1e-12)
        # Where nothing meets it, no share is faster.
        hopeless = away & outcome.deadline_missed
        assert (outcome.latency_s <= latency.min(0) * (1 + 1e-12))[hopeless].all()
        simulator.step(mode, x)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FORMS), st.floats(0.01, 50), st.floats(0.01, 50), st.floats(0, 5))
def test_the_fastest_share_against_a_grid(form: str, local: float, remote: float, ack: float) -> None:
    parts = (np.array([local]), np.array([remote]), np.array([ack]))
    share = fastest_share(Cost(latency=form), *parts)  # type: ignore[arg-type]
    assert 0.01 <= share[0] <= 1.0
    grid = blend_latency(form, np.linspace(0.01, 1, 2001), *parts)
    assert blend_latency(form, share, *parts)[0] <= grid.min() * (1 + 1e-12)


def test_a_literal_fraction_is_the_share_itself() -> None:
    simulator = OffloadingSimulator(pooled("resources.fraction=literal"))
    simulator.reset(seed=0)
    outcome = simulator.step(np.array([[1, 2, 0]]), np.array([[0.25, 1.0, 0.7]]))
    np.testing.assert_array_equal(outcome.fraction, [[0.25, 1.0, 0.0]])


def test_a_refused_task_counts_at_the_server() -> None:
    """All three ask for a QPU that takes no task: three share the server, nobody the QPU."""
    simulator = OffloadingSimulator(pooled("quantum.min_success=1.0", "resources.fraction=literal"))
    simulator.reset(seed=0)
    one = np.ones((1, 3))
    asked = simulator.preview(np.full((1, 3), 2), one)
    sent = simulator.preview(np.full((1, 3), 1), one)
    assert asked.qpu_rejected.all()
    np.testing.assert_array_equal(asked.latency_s, sent.latency_s)
    expected = price(simulator.scenario, simulator.work, Load.of_counts(3.0, 0.0)).latency_s[Mode.CPU]
    np.testing.assert_allclose(asked.latency_s, expected + 0.01, rtol=1e-12)
