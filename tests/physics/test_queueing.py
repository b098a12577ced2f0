"""Backlogs and waits by hand, device by device, and what one device's work has to do with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joint_brute_force import by_brute_force

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode
from meqc_marl.physics.load import Pools
from meqc_marl.physics.places import Work, price
from meqc_marl.physics.queueing import Backlogs, behind, next_backlogs, next_backlogs_without_each, waits
from meqc_marl.policies.joint.search import joint_optimum

FORMS = ("parallel", "sequential", "literal")


def by_hand(scenario: Scenario, work: Work, left: Backlogs, mode: np.ndarray, share: np.ndarray) -> Backlogs:
    """The two formulas with a loop over rows and devices."""
    server_hz, tau = Pools.of(scenario).server_hz, scenario.slot_s
    cycles, seconds = [], []
    for row in range(len(mode)):
        w, u = float(left.cpu_cycles[row]), float(left.qpu_s[row])
        for m in range(mode.shape[1]):
            if mode[row, m] == Mode.CPU and scenario.resources.server == "queued":
                w += share[row, m] * work.data_bits[row, m] * work.cycles_per_bit[row, m]
            if mode[row, m] == Mode.QPU and scenario.resources.qpu == "queued":
                u += share[row, m] * work.quantum_s[row, m] / Pools.of(scenario).tiles
        cycles.append(max(0.0, w - server_hz * tau))
        seconds.append(max(0.0, u - tau))
    return Backlogs(np.array(cycles), np.array(seconds))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([("queued", "queued"), ("queued", "leased"), ("pooled", "queued")]),
    st.sampled_from([0.5, 5.0, 40.0]),
    st.sampled_from([1, 3]),
)
def test_backlogs_by_hand_and_without_each_device(seed: int, kinds: tuple[str, str], slot_s: float, tiles: int) -> None:
    server, qpu = kinds
    changes = [f"slot_s={slot_s}", f"resources.qpu_tiles={tiles}", f"resources.server={server}", f"resources.qpu={qpu}"]
    scenario = load_scenario("queued", ["num_devices=4", *changes])
    work = Work.of(scenario, generate_trace(scenario, [seed, seed + 1], num_slots=1).slot(0))
    rng = np.random.default_rng(seed)
    mode, share = rng.integers(0, 3, (2, 4)), rng.random((2, 4))
    left = Backlogs(rng.exponential(5e10, 2) * (server == "queued"), rng.exponential(5.0, 2) * (qpu == "queued"))
    after = next_backlogs(scenario, work, left, mode, share)
    np.testing.assert_allclose(after, by_hand(scenario, work, left, mode, share), rtol=1e-12)
    without = next_backlogs_without_each(scenario, work, left, mode, share)
    for m in range(4):
        local = mode.copy()
        local[:, m] = Mode.LOCAL
        expected = by_hand(scenario, work, left, local, share)
        scale = np.array([[1e12], [1e2]])
        np.testing.assert_allclose([each[:, m] for each in without] / scale, expected / scale, atol=1e-12)
        assert all((one[:, m] <= whole).all() for one, whole in zip(without, after, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_a_wait_counts_once_like_the_ack_if_anything_is_sent(form: str) -> None:
    """Against a system without queues in which the ack takes as much longer, place by place."""
    scenario = load_scenario("queued", ["num_devices=5", f"cost.latency={form}", "channel.rx_power_w=1e-9"])
    slot = generate_trace(scenario, [2], num_slots=1).slot(0)
    left = Backlogs(np.array([3e10]), np.array([7.0]))
    waiting = price(scenario, behind(scenario, Work.of(scenario, slot), left))
    share = np.linspace(0.01, 1.0, 5)[None]
    for mode, wait_s in ((Mode.CPU, 3.0), (Mode.QPU, 7.0)):
        bits = (0.01 + wait_s) * scenario.channel.ack_rate_bit_s
        pooled = load_scenario(
            "queued",
            [
                *("num_devices=5", f"cost.latency={form}", "channel.rx_power_w=1e-9", f"channel.ack_bits={bits}"),
                *("resources.server=pooled", "resources.qpu=pooled"),
            ],
        )
        other = price(pooled, Work.of(pooled, slot))
        args = (form, mode, share)
        np.testing.assert_allclose(waiting.latency_of(*args), other.latency_of(*args), rtol=1e-9)
        np.testing.assert_allclose(waiting.feasible(scenario.cost, mode), other.feasible(pooled.cost, mode), rtol=1e-9)
        np.testing.assert_array_equal(waiting.latency_s, other.latency_s)
    no_share = np.zeros((1, 5))
    np.testing.assert_allclose(waiting.latency_of(form, Mode.CPU, no_share), waiting.latency_s[Mode.LOCAL])


def test_waits_are_of_the_whole_server_and_of_all_tiles() -> None:
    scenario = load_scenario("queued", ["resources.server_hz=2e10"])
    cpu_s, qpu_s = waits(scenario, Backlogs(np.array([4e10, 0.0]), np.array([1.5, 2.0])))
    np.testing.assert_array_equal(cpu_s, [2.0, 0.0])
    np.testing.assert_array_equal(qpu_s, [1.5, 2.0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("devices", [3, 5])
def test_the_joint_optimum_behind_a_queue_by_brute_force(form: str, devices: int) -> None:
    for seed in (0, 1):
        scenario = load_scenario("queued", [f"num_devices={devices}", f"cost.latency={form}"])
        trace = generate_trace(scenario, [seed], num_slots=1)
        left = Backlogs(np.array([8e10 * seed]), np.array([4.0]))
        work = behind(scenario, Work.of(scenario, trace.slot(0)), left)
        backlog = np.random.default_rng(seed).exponential(10.0, (1, devices))
        best = joint_optimum(scenario, work, backlog)
        assert best.proven.all()
        least = by_brute_force(scenario, work, backlog, 501)
        assert best.value[0] <= least + 1e-9
        assert least - best.value[0] < 0.02 * abs(least) + 0.2


def test_who_sends_nothing_leaves_the_server_to_work_off_the_rest() -> None:
    """10 GHz for five seconds: 120 Gcycle are gone after three slots, and the QPU's eight seconds after two."""
    scenario = load_scenario("queued", ["num_devices=2"])
    simulator = OffloadingSimulator(scenario)
    simulator.reset(seed=0)
    simulator.set_state(simulator.get_state() | {"backlogs": [[1.2e11], [8.0]]})
    told = []
    for _ in range(4):
        told.append([float(each[0]) for each in simulator.waits])
        simulator.step(np.zeros((1, 2), int), np.zeros((1, 2)))
    np.testing.assert_allclose(told, [[12.0, 8.0], [7.0, 3.0], [2.0, 0.0], [0.0, 0.0]])
