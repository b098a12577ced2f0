"""The joint optimum against brute force, a peer's assignment solver, and the simulator itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joint_brute_force import by_brute_force, by_grid, objective_with_penalty
from scipy.optimize import linear_sum_assignment

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.errors import InputError
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import Work, price
from meqc_marl.policies import make_policy
from meqc_marl.policies.joint.place_values import place_values
from meqc_marl.policies.joint.search import RowValues, _Search, all_pairs, joint_optimum
from meqc_marl.policies.joint.transport import assign, prices

FORMS = ("parallel", "sequential", "literal")
POOLS: tuple[list[str], ...] = (
    [],
    ["resources.band_hz=5e7", "resources.server_hz=3e9", "resources.qpu_tiles=1"],
    ["resources.band=leased"],
    ["resources.server=leased", "channel.ack=literal", "quantum.circuit=literal"],
    ["resources.qpu=leased", "lyapunov.queue=literal", "lyapunov.v=10"],
    ["cost.deadline_penalty=0", "devices.lambda_t=1"],
)


def slot_of(devices: int, seed: int, *changes: str) -> tuple[Scenario, Work]:
    scenario = load_scenario("pooled", [f"num_devices={devices}", *changes])
    return scenario, Work.of(scenario, generate_trace(scenario, [seed], num_slots=1).slot(0))


def backlogs(devices: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.zeros((1, devices)), np.full((1, devices), 1e3), rng.exponential(15.0, (1, devices))]


def assert_optimal(devices: int, seed: int, form: str, changes: list[str], shares: int) -> None:
    """Never above the grid's optimum; proven; and worth what the simulator says; the two searches agree."""
    scenario, work = slot_of(devices, seed, f"cost.latency={form}", *changes)
    simulator = OffloadingSimulator(scenario, trace=generate_trace(scenario, [seed], num_slots=1))
    simulator.reset()
    for backlog in backlogs(devices, seed):
        best = joint_optimum(scenario, work, backlog)
        assert best.proven.all()
        assert best.value[0] <= by_brute_force(scenario, work, backlog, shares) + 1e-9
        outcome = simulator.preview(best.mode, best.fraction, placed=False)
        np.testing.assert_array_equal(outcome.mode, best.mode)
        total = objective_with_penalty(scenario, outcome, backlog).sum()
        assert total == pytest.approx(best.value[0], rel=1e-12, abs=1e-9)
        searched = _Search(scenario, work, backlog, 0).run(None, 1)
        assert searched.value == pytest.approx(best.value[0], rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("devices", [3, 5])
def test_brute_force(form: str, devices: int) -> None:
    for seed, changes in enumerate(POOLS):
        assert_optimal(devices, seed, form, changes, shares=301)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS)
def test_brute_force_of_more(form: str) -> None:
    for seed in range(8):
        for changes in POOLS:
            for devices in (3, 5, 7):
                assert_optimal(devices, 100 + seed, form, changes, shares=2001)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMS), st.integers(0, 2**31), st.floats(0, 200), st.sampled_from(POOLS))
def test_the_best_of_each_place_against_a_grid(form: str, seed: int, mean: float, changes: list[str]) -> None:
    """The closed form is never above the grid, and above its lower neighbourhood only by what a step is worth."""
    scenario, work = slot_of(8, seed % 1000, f"cost.latency={form}", *changes)
    rng = np.random.default_rng(seed)
    backlog, counts = rng.exponential(mean + 1e-9, (1, 8)), (int(rng.integers(0, 5)), int(rng.integers(0, 4)))
    places = price(scenario, work, Load.of_counts(*map(float, counts)))
    closed = place_values(scenario, places, backlog).value[:, 0]
    grid = by_grid(scenario, work, backlog, counts, 4001)
    admitted = np.isfinite(closed)
    assert (closed <= grid + 1e-9)[admitted].all()
    # An interval narrower than a step may hide a whole penalty from the grid; elsewhere both agree.
    close = closed >= grid - 1e-3 * (np.abs(grid) + backlog + scenario.lyapunov.v * 50.0)
    hidden = closed >= grid - scenario.lyapunov.v * scenario.cost.deadline_penalty - 1.0
    assert (close | hidden)[admitted].all()
    assert close[admitted].mean() > 0.8


@pytest.mark.parametrize("form", FORMS)
def test_no_value_falls_as_the_counts_grow(form: str) -> None:
    for seed in range(4):
        scenario, work = slot_of(6, seed, f"cost.latency={form}")
        values = RowValues(scenario, work, backlogs(6, seed)[2])
        cpu, qpu = all_pairs(6)
        table = dict(zip(zip(cpu, qpu, strict=True), values.table(cpu, qpu)[0], strict=True))
        for (c, q), value in table.items():
            for more in ((c + 1, q), (c, q + 1)):
                if more in table:
                    finite = np.isfinite(value)
                    assert (table[more][finite] >= value[finite] - 1e-9 * np.abs(value[finite])).all()


def by_peer(value: np.ndarray, cpu: int, qpu: int) -> float:
    """``linear_sum_assignment`` on the expanded matrix: a column for each unit of a capacity."""
    devices = value.shape[-1]
    columns = [value[Mode.LOCAL]] * devices + [value[Mode.CPU]] * cpu + [value[Mode.QPU]] * qpu
    matrix = np.where(np.isfinite(np.stack(columns, -1)), np.stack(columns, -1), 1e9)
    return float(matrix[linear_sum_assignment(matrix)].sum())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.booleans())
def test_who_goes_where_against_a_peer(seed: int, devices: int, ties: bool) -> None:
    """Random values, many of them equal if ties; from any prices; and the dual bound is the same number."""
    rng = np.random.default_rng(seed)
    value = rng.integers(0, 4, (3, devices)).astype(float) if ties else rng.normal(0, 10, (3, devices))
    value[Mode.QPU, rng.random(devices) < 0.3] = np.inf
    cpu = int(rng.integers(0, devices + 1))
    qpu = int(rng.integers(0, devices + 1 - cpu))
    expected = by_peer(value, cpu, qpu)
    dual = prices(value[:, None], np.array([cpu]), np.array([qpu]))
    for begin in ((0.0, 0.0), (float(dual.cpu[0]), float(dual.qpu[0])), tuple(rng.exponential(5, 2))):
        mode = assign(value, cpu, qpu, *begin)
        assert ((mode == Mode.CPU).sum() <= cpu) & ((mode == Mode.QPU).sum() <= qpu)
        assert value[mode, np.arange(devices)].sum() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert dual.bound[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("devices", [15, 50])
def test_pairs_of_counts_against_a_peer(devices: int) -> None:
    rng = np.random.default_rng(devices)
    for seed in range(25):
        scenario, work = slot_of(devices, seed)
        values = RowValues(scenario, work, rng.exponential(15.0, (1, devices)))
        for _ in range(20):
            cpu = int(rng.integers(0, devices + 1))
            qpu = int(rng.integers(0, devices + 1 - cpu))
            value = values.at(np.array([0]), np.array([cpu]), np.array([qpu])).value
            dual = prices(value, np.array([cpu]), np.array([qpu]))
            mode = assign(value[:, 0], cpu, qpu, float(dual.cpu[0]), float(dual.qpu[0]))
            expected = by_peer(value[:, 0], cpu, qpu)
            assert value[:, 0][mode, np.arange(devices)].sum() == pytest.approx(expected, rel=1e-9)
            assert dual.bound[0] == pytest.approx(expected, rel=1e-9)


def test_a_search_without_the_budget_for_a_proof_says_so() -> None:
    """The bound is below the proven optimum, and the value not below it."""
    scenario, work = slot_of(60, 1)
    backlog = backlogs(60, 1)[2]
    proven = joint_optimum(scenario, work, backlog)
    guessed = joint_optimum(scenario, work, backlog, budget=0)
    assert proven.proven.all()
    assert not guessed.proven.any()
    assert guessed.bound[0] < proven.value[0] <= guessed.value[0] + 1e-9
    assert guessed.value[0] == pytest.approx(proven.value[0], rel=0.02)


def test_the_policy_tells_how_far_it_may_be_from_the_optimum() -> None:
    for devices, proven in ((15, True), (300, False)):
        scenario = load_scenario("pooled", [f"num_devices={devices}"])
        simulator = OffloadingSimulator(scenario)
        simulator.reset(seed=0)
        policy = make_policy("joint-oracle", scenario)
        situation = _situation(simulator)
        policy.act(situation)
        assert (policy.gap == 0.0).all() == proven  # type: ignore[attr-defined]
        assert (policy.gap >= 0.0).all()  # type: ignore[attr-defined]


def _situation(simulator: OffloadingSimulator):  # type: ignore[no-untyped-def]
    from meqc_marl.policies import Situation

    shape = (simulator.num_envs, simulator.num_devices)
    rng = np.random.default_rng(0)
    return Situation(simulator.observation, simulator.places, rng.exponential(5.0, shape), simulator.work, rng)


def test_leased_resources_make_it_the_oracle_of_every_device() -> None:
    """Nobody is in anybody's way: the total is what the devices reach alone, the penalty inside."""
    scenario, work = slot_of(12, 3, *(f"resources.{part}=leased" for part in ("band", "server", "qpu")))
    backlog = backlogs(12, 3)[2]
    best = joint_optimum(scenario, work, backlog)
    alone = place_values(scenario, price(scenario, work), backlog).value.min(0)
    assert best.value[0] == pytest.approx(alone.sum())


def test_the_printed_sign_is_refused_where_devices_share() -> None:
    with pytest.raises(InputError, match="with pooled or queued resources it must be 'corrected'"):
        load_scenario("pooled", ["lyapunov.sign=literal"])
