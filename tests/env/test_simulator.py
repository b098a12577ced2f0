from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.env.observation import OBSERVATION_COLUMNS, observe
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.sufficient import sufficient_view
from meqc_marl.errors import InputError
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Outcome, settle
from meqc_marl.physics.places import Work, price
from tests.policies.places import assert_same_places
from tests.sentences import is_one_sentence

FIELDS = tuple(field.name for field in fields(Outcome) if field.name != "present")


def actions(horizon: int, rows: int, devices: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random modes and shares [T, E, M]; the shares with both ends among them."""
    rng = np.random.default_rng(seed)
    fraction = np.clip(rng.random((horizon, rows, devices), dtype=np.float32) * 1.2 - 0.1, 0, 1)
    return rng.integers(0, 3, (horizon, rows, devices)), fraction


def episode(
    simulator: OffloadingSimulator, mode: np.ndarray, fraction: np.ndarray, start: int = 0
) -> tuple[list[Outcome], list[np.ndarray]]:
    outcomes, observations = [], [simulator.observation]
    for t in range(start, simulator.horizon):
        assert not simulator.truncated
        assert simulator.slot_index == t
        outcomes.append(simulator.step(mode[t], fraction[t]))
        observations.append(simulator.observation)
    assert simulator.truncated
    return outcomes, observations


def alone(scenario: Scenario, seed: int, mode: np.ndarray, fraction: np.ndarray) -> tuple:
    """An episode of a simulator of one row."""
    simulator = OffloadingSimulator(scenario)
    simulator.reset(seed=seed)
    return episode(simulator, mode, fraction)


def assert_same(one: tuple, other: tuple) -> None:
    for a, b in zip(one[0], other[0], strict=True):
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name, strict=True)
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def row_of(run: tuple, i: int) -> tuple:
    outcomes, observations = run
    rows = [Outcome(**{name: getattr(outcome, name)[i : i + 1] for name in FIELDS}) for outcome in outcomes]
    return rows, [observation[i : i + 1] for observation in observations]


@pytest.mark.parametrize("preset", ["paper", "paper-literal", "fast-folders"])
def test_row_i_is_the_simulator_alone_and_the_pettingzoo_env_bit_for_bit(preset: str) -> None:
    scenario = load_scenario(preset)
    rows, devices, horizon = 5, scenario.num_devices, scenario.horizon
    mode, fraction = actions(horizon, rows, devices)
    batch = OffloadingSimulator(scenario, rows)
    batch.reset(seed=40)
    run = episode(batch, mode, fraction)
    for i in (0, 3, 4):
        assert_same(row_of(run, i), alone(scenario, 40 + i, mode[:, i : i + 1], fraction[:, i : i + 1]))

    i = 3
    env = OffloadingParallelEnv(scenario)
    seen, _ = env.reset(seed=40 + i)
    for t in range(horizon):
        np.testing.assert_array_equal(np.stack(list(seen.values())), run[1][t][i], strict=True)
        chosen = {
            agent: {"mode": mode[t, i, m], "fraction": fraction[t, i, m : m + 1]} for m, agent in enumerate(env.agents)
        }
        seen, rewards, terminated, truncated, infos = env.step(chosen)
        outcome = run[0][t]
        for name in FIELDS:
            told = [infos[agent][name] for agent in env.possible_agents]
            np.testing.assert_array_equal(told, getattr(outcome, name)[i], err_msg=name)
        np.testing.assert_array_equal(list(rewards.values()), -outcome.cost[i])
        assert not any(terminated.values())
        assert set(truncated.values()) == {t == horizon - 1}
    np.testing.assert_array_equal(np.stack(list(seen.values())), run[1][horizon][i])


def test_rows_are_the_same_where_blocks_are_single_slots() -> None:
    # 600 rows of 15 devices are worked out slot by slot, a row alone in one block.
    scenario = load_scenario("paper", ["horizon=20"])
    mode, fraction = actions(20, 600, 15)
    batch = OffloadingSimulator(scenario, 600)
    batch.reset(seed=1)
    run = episode(batch, mode, fraction)
    for i in (0, 17, 599):
        assert_same(row_of(run, i), alone(scenario, 1 + i, mode[:, i : i + 1], fraction[:, i : i + 1]))


def test_same_seed_same_bits_and_reset_goes_on_to_the_next_episode(small: Scenario) -> None:
    mode, fraction = actions(small.horizon, 2, 3)
    one, other = OffloadingSimulator(small, 2), OffloadingSimulator(small, 2)
    one.reset(seed=[8, 2])
    other.reset(seed=[8, 2])
    first = episode(one, mode, fraction)
    assert_same(first, episode(other, mode, fraction))
    one.reset()
    second = episode(one, mode, fraction)
    assert not np.array_equal(first[1][0], second[1][0])
    other.reset()
    assert_same(second, episode(other, mode, fraction))
    one.reset(seed=[8, 2])  # a seed begins anew
    assert_same(first, episode(one, mode, fraction))


def test_two_simulators_without_a_seed_differ(small: Scenario) -> None:
    one, other = OffloadingSimulator(small), OffloadingSimulator(small)
    assert not np.array_equal(one.reset(), other.reset())


@pytest.mark.parametrize("at", [0, 1, 63, 99, 100])
def test_state_in_the_middle_of_an_episode(small: Scenario, at: int) -> None:
    mode, fraction = actions(small.horizon, 4, 3)
    simulator = OffloadingSimulator(small, 4)
    simulator.reset(seed=5)
    simulator.reset()  # in the second episode
    for t in range(at):
        simulator.step(mode[t], fraction[t])
    state = simulator.get_state()
    rest = episode(simulator, mode, fraction, start=at) if at < 100 else ([], [simulator.observation])
    following = simulator.reset().copy()

    fresh = OffloadingSimulator(small, 4)
    for target in (fresh, simulator):
        target.set_state(state)
        again = episode(target, mode, fraction, start=at) if at < 100 else ([], [target.observation])
        assert target.truncated
        assert_same(rest, again)
        np.testing.assert_array_equal(target.reset(), following)


def test_state_is_plain_data(small: Scenario) -> None:
    import json

    simulator = OffloadingSimulator(small, 2)
    simulator.reset(seed=3)
    assert json.loads(json.dumps(simulator.get_state())) == {"seeds": [3, 4], "episode": 0, "slot": 0}


def test_a_given_trace_is_replayed(small: Scenario) -> None:
    trace = generate_trace(small, [1, 2], num_slots=30)
    mode, fraction = actions(30, 2, 3)
    simulator = OffloadingSimulator(small, trace=trace)
    assert (simulator.num_envs, simulator.horizon) == (2, 30)
    runs = []
    for seed in (None, 5, None):
        simulator.reset(seed)
        runs.append(episode(simulator, mode, fraction))
        simulator.observation[...] = 7.0  # what a caller writes does not come back
    assert_same(runs[0], runs[1])
    assert_same(runs[0], runs[2])
    for t in range(30):
        places = price(small, Work.of(small, trace.slot(t)))
        np.testing.assert_array_equal(runs[0][1][t], sufficient_view(small, places))


def test_state_of_a_replayed_trace(small: Scenario) -> None:
    trace = generate_trace(small, [1])
    mode, fraction = actions(100, 1, 3)
    simulator = OffloadingSimulator(small, trace=trace)
    simulator.reset()
    for t in range(40):
        simulator.step(mode[t], fraction[t])
    state = simulator.get_state()
    rest = episode(simulator, mode, fraction, start=40)
    other = OffloadingSimulator(small, trace=trace)
    other.set_state(state)
    assert_same(rest, episode(other, mode, fraction, start=40))


def test_a_trace_asked_for_is_not_overwritten(small: Scenario) -> None:
    simulator = OffloadingSimulator(small, 2)
    simulator.reset(seed=1)
    held = simulator.trace
    before = held.gain.copy()
    simulator.reset()
    simulator.reset()
    np.testing.assert_array_equal(held.gain, before)


def test_each_slot_has_an_observation_of_its_own(small: Scenario) -> None:
    mode, fraction = actions(100, 2, 3)
    one, other = OffloadingSimulator(small, 2), OffloadingSimulator(small, 2)
    one.reset(seed=1)
    other.reset(seed=1)
    kept = []
    for t in range(100):
        one.step(mode[t], fraction[t])
        other.step(mode[t], fraction[t])
        one.observation[..., -1] = 100 + t
        kept.append(one.observation)
        assert (other.observation[..., -1] == 0).all()
        np.testing.assert_array_equal(one.observation[..., :-1], other.observation[..., :-1])
    assert [observation[0, 0, -1] for observation in kept] == [100 + t for t in range(100)]


def test_the_last_observation_shows_the_last_slot_again(small: Scenario) -> None:
    mode, fraction = actions(100, 2, 3)
    simulator = OffloadingSimulator(small, 2)
    simulator.reset(seed=1)
    _, observations = episode(simulator, mode, fraction)
    np.testing.assert_array_equal(observations[100], observations[99])
    assert not np.array_equal(observations[99], observations[98])


def test_places_are_those_of_the_current_slot(small: Scenario) -> None:
    mode, fraction = actions(100, 2, 3)
    simulator = OffloadingSimulator(small, 2)
    simulator.reset(seed=9)
    trace = generate_trace(small, [9, 10])
    for t in range(100):
        slot = trace.slot(t)
        assert_same_places(simulator.places, price(small, slot))
        simulator.step(mode[t], fraction[t])


@pytest.mark.parametrize(
    ("mode", "fraction", "sentence"),
    [
        (np.zeros((1, 3), int), np.zeros((2, 3)), r"mode has shape \(1, 3\); it must be \(2, 3\)"),
        (np.zeros((2, 3), int), np.zeros((2, 3, 1)), r"fraction has shape \(2, 3, 1\); it must be \(2, 3\)"),
        (np.full((2, 3), 3), np.zeros((2, 3)), "mode has values from 3 to 3; it must be 0, 1 or 2"),
        (np.full((2, 3), -1), np.zeros((2, 3)), "mode has values from -1"),
        (np.zeros((2, 3)), np.zeros((2, 3)), "mode has type float64; it must be an integer type"),
        (np.zeros((2, 3), int), np.full((2, 3), 1.01), r"fraction has values from 1.01 to 1.01; it must be within \[0"),
        (np.zeros((2, 3), int), np.full((2, 3), np.nan), "fraction has values from nan"),
    ],
)
def test_bad_actions(small: Scenario, mode: np.ndarray, fraction: np.ndarray, sentence: str) -> None:
    simulator = OffloadingSimulator(small, 2)
    simulator.reset(seed=0)
    with pytest.raises(InputError, match=sentence) as caught:
        simulator.step(mode, fraction)
    assert is_one_sentence(str(caught.value))
    assert simulator.slot_index == 0


def test_wrong_order_of_calls(small: Scenario) -> None:
    simulator = OffloadingSimulator(small)
    mode, fraction = np.zeros((1, 3), int), np.zeros((1, 3))
    with pytest.raises(InputError, match="call reset"):
        simulator.step(mode, fraction)
    with pytest.raises(InputError, match="call reset"):
        _ = simulator.trace
    with pytest.raises(InputError, match="call reset"):
        simulator.set_state(simulator.get_state())
    simulator.reset(seed=0)
    for _ in range(100):
        simulator.step(mode, fraction)
    with pytest.raises(InputError, match="ended after 100 slots"):
        simulator.step(mode, fraction)


def test_bad_arguments(small: Scenario) -> None:
    trace = generate_trace(small, [1, 2])
    with pytest.raises(InputError, match="num_envs is 3; it must be 2"):
        OffloadingSimulator(small, 3, trace)
    with pytest.raises(InputError, match="3 devices; it must have 15"):
        OffloadingSimulator(load_scenario("paper"), trace=trace)
    with pytest.raises(InputError, match="at least 1"):
        OffloadingSimulator(small, 0)
    with pytest.raises(InputError, match="seed has 3 values"):
        OffloadingSimulator(small, 2).reset(seed=[1, 2, 3])
    with pytest.raises(InputError, match="seed is -1"):
        OffloadingSimulator(small, 2).reset(seed=-1)


def test_columns_are_in_their_places(small: Scenario) -> None:
    trace = generate_trace(small, [0])
    seen = observe(small, trace.slot(0))
    assert seen.dtype == np.float32
    assert seen.shape == (1, 3, len(OBSERVATION_COLUMNS))
    column = dict(zip(OBSERVATION_COLUMNS, seen[0].T, strict=True))
    slot, equipment = trace.slot(0), trace.equipment
    np.testing.assert_allclose(column["data"], np.log(slot.data_bits[0] / 1.8e9) / np.log(2), atol=1e-5)
    np.testing.assert_allclose(column["deadline"], np.log(slot.deadline_s[0] / 18) / np.log(2.5), atol=1e-5)
    np.testing.assert_allclose(column["qubits"], np.log(slot.qubits[0] / 670) / np.log(3), atol=1e-5)
    np.testing.assert_allclose(column["cycles_per_bit"], np.log(slot.cycles_per_bit[0] / 4) / np.log(6), atol=1e-5)
    np.testing.assert_allclose(column["cpu"], np.log(equipment.cpu_hz[0] / 1.75e9) / np.log(2), atol=1e-5)
    np.testing.assert_allclose(column["server_cpu"], np.log(equipment.server_cpu_hz[0] / 5e9) / np.log(1.5), atol=1e-5)
    np.testing.assert_allclose(
        column["leased_qubits"], np.log(equipment.leased_qubits[0] / 2250) / np.log(2.5), atol=1e-5
    )
    np.testing.assert_allclose(column["tx_power"], np.log(equipment.tx_power_w[0] / 0.045) / np.log(5), atol=1e-5)
    snr = equipment.tx_power_w[0] * slot.gain[0] / 3.98107170553497e-13
    np.testing.assert_allclose(column["rate"], np.log(1e8 * np.log2(1 + snr) / 3e8) / np.log(5), atol=1e-5)
    success = np.clip(1 - slot.qubits[0] * slot.depth[0] * 2e-7, 0, 1)
    np.testing.assert_allclose(column["success"], 2 * success - 1, atol=1e-5)
    admitted = (success >= 2 / 3) & (slot.qubits[0] <= equipment.leased_qubits[0])
    np.testing.assert_array_equal(column["qpu_admitted"], admitted)
    assert (column["lambda_t"] == 0).all()
    assert (column["backlog"] == 0).all()


def test_observations_are_about_minus_one_to_one(paper: Scenario) -> None:
    seen = observe(paper, generate_trace(paper, range(8)).slots())
    assert np.isfinite(seen).all()
    assert np.quantile(np.abs(seen), 0.99) < 1.2
    assert np.abs(seen).max() < 6.0  # the rate in the deepest fades
    spread = seen.reshape(-1, len(OBSERVATION_COLUMNS)).std(0)
    for name, std in zip(OBSERVATION_COLUMNS, spread, strict=True):
        assert (std > 0.15) == (name not in ("lambda_t", "backlog")), name


def test_costs_are_those_of_the_reference(paper: Scenario) -> None:
    """Random 21.5, the QPU admitted in 69 % of states, 1 % infeasible; local only by its expectation.

    E[d q] = 1.92e9 * 8 = 1.536e10 cycles; times E[1 / f] = (1 + 1/2 + 1/3) / 3e9 is 9.387 s, times
    5e-28 E[f^2] = 5e-28 * 14e18 / 3 is 35.84 J; half of each is 22.61.
    """
    paper = load_scenario(paper, ["cost.deadline=penalty"])  # whatever is asked for is carried out
    simulator = OffloadingSimulator(paper, 64)
    simulator.reset(seed=0)
    slots = simulator.trace.slots(0, 500)
    places = price(paper, slots)
    rng = np.random.default_rng(0)
    shape = slots.gain.shape
    local = settle(paper.cost, places, np.zeros(shape, int), np.zeros(shape))
    random = settle(paper.cost, places, rng.integers(0, 3, shape), rng.random(shape))
    assert local.cost.mean() == pytest.approx(22.61, rel=0.05)
    assert random.cost.mean() == pytest.approx(21.5, rel=0.05)
    assert places.qpu_admitted.mean() == pytest.approx(0.69, abs=0.03)
    assert (~local.deadline_feasible).mean() == pytest.approx(0.01, abs=0.008)
    np.testing.assert_array_equal(local.deadline_feasible, random.deadline_feasible)


def test_extreme_values_stay_within_the_limit(small: Scenario) -> None:
    trace = generate_trace(small, [0])
    trace.gain[...] = 1e-38
    trace.data_bits[...] = 1e30
    seen = observe(small, trace.slot(0))
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() <= 10.0
