"""The environment takes numbers as numbers, whoever made them, and refuses all else in its own sentence."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.env.actions import read_actions
from meqc_marl.env.parallel import MAX_AGENTS, OffloadingParallelEnv, parallel_env
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.errors import InputError
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.nature.trace import generate_trace
from tests.sentences import is_one_sentence

torch = pytest.importorskip("torch")

AGENTS = ["mobile_0", "mobile_1"]
ONE = {"mode": 1, "fraction": 0.25}


class Raises:
    """A stranger's number that fails when it is looked at."""

    shape = ()

    def item(self) -> float:
        raise RuntimeError("boom")

    def __repr__(self) -> str:
        raise RuntimeError("boom")


NO_MODES = [True, False, np.True_, 1.0, np.float64(1), "1", b"1", None, [1], (1,), np.array([1]), np.array("1"), 3, -1]
NO_MODES += [10**400, float("nan"), 1 + 0j, object(), Raises(), {}, Decimal(1), torch.tensor(1.0), torch.tensor([1])]
NO_MODES += [torch.tensor(True), np.array(True), np.datetime64(1, "s"), type, len]
NO_FRACTIONS = [
    True,
    False,
    np.True_,
    "0.5",
    b"0.5",
    None,
    [0.1, 0.2],
    [],
    [[0.5]],
    ["0.5"],
    [True],
    10**400,
    -(10**400),
]
NO_FRACTIONS += [float("nan"), float("inf"), 1.00001, -1e-5, 0.5 + 0j, object(), Raises(), {}, Decimal("0.5")]
NO_FRACTIONS += [
    Fraction(1, 2),
    np.array([0.1, 0.2]),
    np.array(["0.5"]),
    np.array([True]),
    np.array([]),
    np.array(None),
]
NO_FRACTIONS += [torch.tensor([0.1, 0.2]), torch.tensor(True), np.array([np.nan]), np.timedelta64(1, "s"), 2**63, type]


@pytest.mark.parametrize(("key", "value"), [*(("mode", v) for v in NO_MODES), *(("fraction", v) for v in NO_FRACTIONS)])
def test_what_is_no_number_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_actions(AGENTS, {"mobile_0": ONE, "mobile_1": ONE | {key: value}})
    text = str(caught.value)
    assert text.startswith(f"{key} of mobile_1 is ")
    assert is_one_sentence(text), text
    assert len(text) < 300


@pytest.mark.parametrize(
    "mode", [2, np.int8(2), np.uint64(2), np.array(2), torch.tensor(2), torch.tensor(2, dtype=torch.int8)]
)
@pytest.mark.parametrize(
    "fraction",
    [
        *(0.5, np.float32(0.5), np.float16(0.5), np.array(0.5), np.array([0.5]), np.array([0.5], np.float32), [0.5]),
        *((0.5,), np.array([[0.5]]), torch.tensor(0.5), torch.tensor([0.5]), torch.tensor([0.5], requires_grad=True)),
        torch.tensor(0.5, dtype=torch.bfloat16),
    ],
)
def test_numbers_of_other_libraries_are_taken(mode: Any, fraction: Any) -> None:
    read, share = read_actions(AGENTS, {"mobile_1": {"mode": mode, "fraction": fraction}, "mobile_0": ONE})
    assert read.dtype.kind == "i"
    assert read.tolist() == [[1, 2]]
    assert share.tolist() == [[0.25, 0.5]]


@given(st.floats(0, 1), st.integers(0, 2), st.sampled_from([float, np.float64, np.array, lambda x: np.array([x])]))
@settings(max_examples=50, deadline=None)
def test_the_quick_way_and_the_slow_one_agree(fraction: float, mode: int, kind: Any) -> None:
    quick = {agent: {"mode": mode, "fraction": kind(fraction)} for agent in AGENTS}
    slow = {agent: {"mode": torch.tensor(mode), "fraction": [fraction]} for agent in AGENTS}
    for one, other in zip(read_actions(AGENTS, quick), read_actions(AGENTS, slow), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", [float, np.float32, torch.tensor, lambda x: np.array([x], np.float32)])
def test_rounding_beyond_the_ends_is_taken_and_more_is_not(kind: Any) -> None:
    rescaled = {
        "mobile_0": {"mode": 1, "fraction": kind(1.0 + 2**-22)},
        "mobile_1": {"mode": 1, "fraction": kind(-(2**-22))},
    }
    assert read_actions(AGENTS, rescaled)[1].tolist() == [[1.0, 0.0]]
    for beyond in (1.0 + 1e-5, -1e-5):
        with pytest.raises(InputError, match="fraction of mobile_0"):
            read_actions(AGENTS, rescaled | {"mobile_0": {"mode": 1, "fraction": kind(beyond)}})


@pytest.mark.parametrize(
    "actions", [None, 3, "x", [], {"mobile_0": ONE}, {"mobile_0": ONE, "mobile_1": ONE, "x\n": ONE}]
)
def test_agents_that_are_missing_or_unknown(actions: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_actions(AGENTS, actions)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    "seed",
    [1.5, True, np.True_, object(), -1, "1", b"1", {}, 2**128, np.array(1.5), torch.tensor(0.5), [1.5], [True], [-1]],
)
def test_seeds_that_are_none(small: Scenario, seed: Any) -> None:
    simulator, env = OffloadingSimulator(small), LyapunovParallelEnv(OffloadingParallelEnv(small))
    for reset in (simulator.reset, lambda value: env.reset(seed=value)):
        with pytest.raises(InputError) as caught:
            reset(seed)
        assert "seed is" in str(caught.value)
        assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    "seed", [np.int32(5), np.array(5), torch.tensor(5), [5], np.array([5]), (np.int8(5),), torch.tensor([5])]
)
def test_seeds_of_other_libraries_are_taken(small: Scenario, seed: Any) -> None:
    simulator = OffloadingSimulator(small)
    expected = simulator.reset(5).copy()
    np.testing.assert_array_equal(simulator.reset(seed), expected)


def test_what_is_given_in_the_place_of_a_scenario_or_a_trace(small: Scenario) -> None:
    for call in (
        lambda: OffloadingSimulator("small"),  # type: ignore[arg-type]
        lambda: OffloadingParallelEnv("small"),  # type: ignore[arg-type]
        lambda: OffloadingSimulator(small, 1.0),  # type: ignore[arg-type]
        lambda: OffloadingSimulator(small, True),
        lambda: OffloadingSimulator(small, 0),
        lambda: OffloadingSimulator(small, 10**30),
        lambda: OffloadingSimulator(small, 1, "trace.npz"),  # type: ignore[arg-type]
        lambda: OffloadingParallelEnv(small, {}),  # type: ignore[arg-type]
        lambda: OffloadingParallelEnv(small, render_mode=3),  # type: ignore[arg-type]
        lambda: OffloadingParallelEnv(load_scenario(small, [f"num_devices={MAX_AGENTS + 1}", "horizon=2"])),
        lambda: OffloadingParallelEnv(load_scenario(small, ["num_devices=1000000", "horizon=2"])),
        lambda: OffloadingSimulator(load_scenario(small, ["num_devices=1000000"])),
        lambda: parallel_env(5),  # type: ignore[arg-type]
        lambda: parallel_env("small", trace=5),  # type: ignore[arg-type]
        lambda: LyapunovParallelEnv("small"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert is_one_sentence(str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("mode", "fraction"),
    [
        ([[True, True, True]], [[0.5] * 3]),
        ([[1.0] * 3], [[0.5] * 3]),
        ([["1"] * 3], [[0.5] * 3]),
        ([[1] * 3], [["0.5"] * 3]),
        ([[1] * 3], [[True] * 3]),
        ([[1] * 3], [[0.5 + 0j] * 3]),
        ([[1] * 3], [[0.5, np.nan, 0.5]]),
        ([[1] * 3], [[0.5, 10**400, 0.5]]),
        ([[1, 2], [1]], [[0.5] * 3]),
        ([[1] * 3], [[0.5] * 2]),
        (None, None),
        ([[1] * 3], torch.full((1, 3), 0.5, requires_grad=True)),
    ],
)
def test_arrays_of_actions_that_are_none(small: Scenario, mode: Any, fraction: Any) -> None:
    simulator = OffloadingSimulator(small)
    simulator.reset(0)
    with pytest.raises(InputError) as caught:
        simulator.step(mode, fraction)
    assert is_one_sentence(str(caught.value)), str(caught.value)
    assert simulator.slot_index == 0
    simulator.step(torch.ones((1, 3), dtype=torch.int8), torch.full((1, 3), 0.5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "state", [None, {}, {"seeds": [1], "episode": 0, "slot": -1}, {"seeds": [1], "episode": 0, "slot": 101}]
)
def test_states_that_are_none(small: Scenario, state: Any) -> None:
    simulator = OffloadingSimulator(small)
    with pytest.raises(InputError) as caught:
        simulator.set_state(state)
    assert is_one_sentence(str(caught.value)), str(caught.value)


def test_a_million_devices_fit_the_simulator_for_a_few_slots() -> None:
    scenario = load_scenario("paper", ["num_devices=1000000"])
    trace = generate_trace(scenario, [0], num_slots=1)
    simulator = OffloadingSimulator(scenario, 1, trace)
    assert np.isfinite(simulator.reset(0)).all()
    shape = (1, 1_000_000)
    assert np.isfinite(simulator.step(np.full(shape, 2), np.full(shape, 0.5)).cost).all()
