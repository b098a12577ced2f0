"""What the access point broadcasts: the last slot's counts in columns, everywhere that observations go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meqc_marl
from meqc_marl.config import load_scenario
from meqc_marl.config.variation import parse_variations
from meqc_marl.env.broadcast import USE_COLUMNS
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.varied import VariedSimulator
from meqc_marl.env.view import VIEWS, observation_columns, observation_ends, shown_to, unseen_changes
from meqc_marl.errors import InputError
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.nature.trace import generate_trace
from tests.sentences import is_one_sentence

TOLD = "resources.broadcast=counts"
VIEWED = ("observation=paper", "observation=sufficient")
PRESETS = ("pooled", "queued")


def random_actions(rng, shape):
    return rng.integers(0, 3, shape), rng.random(shape)


def use_in(scenario, observation):
    """The three columns of observations [E, M, K], as loads rather than logarithms."""
    columns = observation_columns(scenario)
    return {name: np.expm1(observation[..., columns.index(name)].astype(float)) for name in USE_COLUMNS}


@settings(max_examples=30, deadline=None)
@given(
    preset=st.sampled_from(PRESETS),
    view=st.sampled_from(VIEWED),
    devices=st.integers(1, 40),
    pools=st.tuples(st.floats(1e7, 1e11), st.floats(1e8, 1e13), st.integers(1, 60)),
    seed=st.integers(0, 99),
)
def test_the_columns_are_what_was_carried_out_in_the_last_slot(preset, view, devices, pools, seed):
    """By hand, from the executed modes; where a task that the QPU does not admit counts at the server."""
    band, server, tiles = pools
    fields = [f"num_devices={devices}", f"resources.band_hz={band!r}", f"resources.server_hz={server!r}"]
    scenario = load_scenario(preset, [TOLD, view, *fields, f"resources.qpu_tiles={tiles}", "horizon=4"])
    simulator, rng = OffloadingSimulator(scenario, 2), np.random.default_rng(seed)
    seen = simulator.reset(seed)
    assert not any(load.any() for load in use_in(scenario, seen).values())
    low, high = observation_ends(scenario)
    for _ in range(4):
        outcome = simulator.step(*random_actions(rng, (2, devices)))
        found = use_in(scenario, simulator.observation)
        for row in range(2):
            executed = outcome.mode[row].tolist()
            cpu, qpu = executed.count(1), executed.count(2)
            expected = ((cpu + qpu) * scenario.channel.bandwidth_hz / band, cpu * 5e9 / server, qpu / tiles)
            for name, value in zip(USE_COLUMNS, expected, strict=True):
                np.testing.assert_allclose(found[name][row], min(value, np.expm1(10.0)), rtol=1e-5)
        assert ((simulator.observation >= low) & (simulator.observation <= high)).all()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("view", VIEWED)
def test_all_but_the_new_columns_is_what_it_was(preset, view):
    plain = load_scenario(preset, [view, "horizon=6"])
    told = load_scenario(plain, [TOLD])
    columns = observation_columns(told)
    kept = [index for index, name in enumerate(columns) if name not in USE_COLUMNS]
    assert tuple(columns[index] for index in kept) == observation_columns(plain)
    assert columns in VIEWS
    both = [OffloadingSimulator(scenario, 2) for scenario in (plain, told)]
    rng = np.random.default_rng(0)
    for simulator in both:
        simulator.reset(3)
    for _ in range(6):
        action = random_actions(rng, (2, 15))
        first, second = (simulator.step(*action) for simulator in both)
        for name, values in vars(first).items():
            np.testing.assert_array_equal(values, getattr(second, name))
        np.testing.assert_array_equal(both[0].observation, both[1].observation[..., kept])
    assert "counts" not in both[0].get_state()


def test_what_is_leased_is_not_loaded():
    scenario = load_scenario("pooled", [TOLD, "resources.server=leased", "resources.band=leased"])
    simulator = OffloadingSimulator(scenario)
    simulator.reset(0)
    outcome = simulator.step(np.full((1, 15), 2), np.ones((1, 15)))
    found = use_in(scenario, simulator.observation)
    assert not found["band_use"].any()
    assert not found["cpu_use"].any()
    np.testing.assert_allclose(found["qpu_use"], (outcome.mode == 2).sum() / 2, rtol=1e-6)


def test_fifteen_and_a_thousand_alike_are_as_loaded_as_they_are():
    """Two thirds of all devices at the server: the same columns, whatever their number."""
    for devices in (15, 1_500):
        scenario = load_scenario("pooled", [TOLD, f"num_devices={devices}", "horizon=2"])
        simulator = OffloadingSimulator(scenario)
        simulator.reset(0)
        mode = np.zeros((1, devices), np.int64)
        mode[:, : 2 * devices // 3] = 1
        simulator.step(mode, np.ones((1, devices)))
        found = use_in(scenario, simulator.observation)
        np.testing.assert_allclose(found["cpu_use"], 10 * 5e9 / 15e9, rtol=1e-5)
        np.testing.assert_allclose(found["band_use"], 10 * 1e8 / 0.5e9, rtol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("view", VIEWED)
@pytest.mark.parametrize("vary", [(), ("resources.server_hz=1e10,2e10",)])
def test_a_state_goes_on_exactly(preset, view, vary):
    """Also backwards, into a slot that was shown before after other actions."""
    scenario = load_scenario(preset, [TOLD, view, "horizon=9"])

    def made():
        if not vary:
            return OffloadingSimulator(scenario, 2)
        return VariedSimulator(scenario, 2, parse_variations(scenario, vary))

    rng = np.random.default_rng(1)
    simulator = made()
    simulator.reset([5, 6])
    for _ in range(4):
        simulator.step(*random_actions(rng, (2, 15)))
    state, seen = simulator.get_state(), simulator.observation.copy()
    action = random_actions(rng, (2, 15))
    expected = simulator.step(*action)
    after = simulator.observation.copy()
    for other in (made(), simulator):
        other.set_state(state)
        np.testing.assert_array_equal(other.observation, seen)
        assert other.get_state() == state
        np.testing.assert_array_equal(other.step(*action).cost, expected.cost)
        np.testing.assert_array_equal(other.observation, after)


@pytest.mark.parametrize(
    "counts", [None, [[1, 2]], [[1], [2, 3]], [[-1, 0], [0, 0]], [[8, 0], [8, 0]], [[1.5, 0], [0, 0]], "many"]
)
def test_a_state_without_its_counts_is_refused(counts):
    simulator = OffloadingSimulator(load_scenario("pooled", [TOLD]), 2)
    simulator.reset(0)
    with pytest.raises(InputError, match="counts of the state is") as error:
        simulator.set_state(simulator.get_state() | {"counts": counts})
    assert is_one_sentence(str(error.value))


def test_the_environment_the_wrapper_and_the_state_show_them():
    env = LyapunovParallelEnv(meqc_marl.parallel_env("pooled", [TOLD, "num_devices=4", "horizon=3"]))
    scenario, rng = env.env.scenario, np.random.default_rng(2)
    simulator = OffloadingSimulator(scenario)
    simulator.reset(1)
    env.reset(seed=1)
    for _ in range(3):
        mode, fraction = random_actions(rng, (1, 4))
        actions = {f"mobile_{m}": {"mode": mode[0, m], "fraction": fraction[0, m : m + 1]} for m in range(4)}
        seen, *_ = env.step(actions)
        simulator.step(mode, fraction)
        whole = env.state().reshape(4, -1)
        for m, each in enumerate(seen.values()):
            np.testing.assert_array_equal(each[:-1], simulator.observation[0, m, :-1])
            np.testing.assert_array_equal(each, whole[m])
            assert env.observation_space(f"mobile_{m}").contains(each)
    assert env.state_space.contains(env.state())


def test_a_policy_is_shown_the_counts_that_it_reads_and_no_others():
    told, plain = load_scenario("pooled", [TOLD]), load_scenario("pooled")
    assert shown_to(observation_columns(told), "one", plain) == told
    assert shown_to(observation_columns(plain), "one", told) == plain
    assert unseen_changes(told, plain) == []
    with pytest.raises(InputError, match="nothing is shared") as error:
        shown_to(observation_columns(told), "one", load_scenario("paper"))
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("bad", ["counts", "sums"])
def test_where_nothing_is_shared_nothing_is_told(bad):
    with pytest.raises(InputError, match=r"resources\.broadcast") as error:
        load_scenario("paper", [f"resources.broadcast={bad}"])
    assert is_one_sentence(str(error.value))


def test_rows_do_not_vary_in_what_is_told():
    with pytest.raises(InputError, match="all rows show the same columns"):
        parse_variations(load_scenario("pooled"), ["resources.broadcast=[counts, nothing]"])


def test_a_replayed_trace_begins_with_nobody():
    scenario = load_scenario("pooled", [TOLD])
    simulator = OffloadingSimulator(scenario, trace=generate_trace(scenario, [3, 4], num_slots=3))
    first = simulator.reset().copy()
    while not simulator.truncated:
        simulator.step(np.ones((2, 15), np.int64), np.ones((2, 15)))
    assert not np.array_equal(simulator.observation, first)
    np.testing.assert_array_equal(simulator.reset(), first)
