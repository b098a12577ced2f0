"""Devices that come and go: against the same trace without them, row by row, and in every view of the simulator."""

import numpy as np
import pytest
from comings import coming_and_going, only_devices
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pettingzoo.test import parallel_api_test

from meqc_marl.config import load_scenario
from meqc_marl.config.variation import parse_variations
from meqc_marl.env.access_point import AccessPointEnv
from meqc_marl.env.actions import action_mask
from meqc_marl.env.flat import BoxActions, DiscreteActions
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.varied import VariedSimulator
from meqc_marl.lyapunov import BACKLOG_COLUMN
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.nature.library import Library
from meqc_marl.nature.presence import NOTHING
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode
from meqc_marl.physics.load import count

POOLS = [*(f"resources.{part}=pooled" for part in ("band", "server", "qpu"))]
#: Totals that do not follow the number of devices.
TOTALS = ["resources.band_hz=1e8", "resources.server_hz=4e9", "resources.qpu_tiles=1"]
KINDS = {
    "leased": [],
    "penalty": ["cost.deadline=penalty"],
    "paper": ["observation=paper"],
    "pooled": [*POOLS, *TOTALS],
    "literal": [*POOLS, *TOTALS, "resources.fraction=literal"],
    "queued": ["resources.server=queued", "resources.qpu=queued", "resources.band=pooled", *TOTALS],
    "broadcast": [*POOLS, *TOTALS, "resources.broadcast=counts"],
    "queued-paper": ["resources.server=queued", "resources.qpu=queued", *TOTALS, "observation=paper"],
}
T, M = 8, 4


def scenario_of(kind, devices=M, *more):
    deadlines = ["tasks.deadline_s=[4.0, 14.0]"]
    return load_scenario("paper", [f"num_devices={devices}", f"horizon={T}", *deadlines, *KINDS[kind], *more])


def actions(rng, slots, rows, devices):
    mode = rng.integers(0, 3, (slots, rows, devices))
    return mode, rng.random((slots, rows, devices)) * (mode > 0)


def played(scenario, trace, mode, fraction):
    """Outcomes, observations before each slot and after the last, and waits, under given actions."""
    simulator = OffloadingSimulator(scenario, trace.num_envs, trace)
    seen, outcomes, waits = [simulator.reset().copy()], [], []
    for t in range(trace.num_slots):
        outcomes.append(simulator.step(mode[t], fraction[t]))
        seen.append(simulator.observation.copy())
        waits.append(simulator.waits)
    return outcomes, seen, waits


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
def test_a_device_that_never_comes_is_as_if_it_were_not(kind):
    scenario, fewer = scenario_of(kind), scenario_of(kind, M - 1)
    whole = generate_trace(scenario, [0, 1], num_slots=T)
    present = np.ones((T, 2, M), bool)
    present[..., 1] = False
    others = [0, 2, 3]
    mode, fraction = actions(np.random.default_rng(5), T, 2, M)
    got, seen, waits = played(scenario, whole.with_presence(present), mode, fraction)
    expected, shown, expected_waits = played(
        fewer, only_devices(whole, others), mode[..., others], fraction[..., others]
    )
    for one, other in zip(got, expected, strict=True):
        for name, values in vars(other).items():
            if name != "present":
                np.testing.assert_array_equal(getattr(one, name)[:, others], values, err_msg=name)
        for name in ("mode", "fraction", "cost", "latency_s", "energy_j", "local_cost", "deadline_missed", "overruled"):
            assert not getattr(one, name)[:, 1].any(), name
        np.testing.assert_array_equal(count(one.mode), count(other.mode))
    for one, other in zip(seen, shown, strict=True):
        np.testing.assert_array_equal(one[:, others], other)
        assert not one[:, 1].any()
    np.testing.assert_array_equal(waits, expected_waits)


@settings(max_examples=10)
@given(arrays.arrays(bool, (T, 2, M)), st.sampled_from(sorted(KINDS)), st.integers(0, 99))
def test_any_presence_row_by_row_and_whatever_the_absent_ask_for_or_would_have_had_to_do(present, kind, seed):
    scenario, rng = scenario_of(kind), np.random.default_rng(seed)
    whole = generate_trace(scenario, [seed, seed + 1], num_slots=T)
    mode, fraction = actions(rng, T, 2, M)
    got, seen, waits = played(scenario, whole.with_presence(present), mode, fraction)
    # Other actions, and other tasks, of those who are away.
    other_mode, other_fraction = actions(rng, T, 2, M)
    other = generate_trace(scenario, [seed + 7, seed + 8], num_slots=T)
    mixed = {
        name: np.where(present, getattr(whole, name), getattr(other, name))
        for name in NOTHING
        if name[:3] != "gat" and name != "position_m"
    }
    from dataclasses import replace

    again, seen_again, waits_again = played(
        scenario,
        replace(whole, present=present, **mixed),
        np.where(present, mode, other_mode),
        np.where(present, fraction, other_fraction),
    )
    for one, two in zip(got, again, strict=True):
        for name, values in vars(one).items():
            np.testing.assert_array_equal(values, getattr(two, name), err_msg=name)
    np.testing.assert_array_equal(seen, seen_again)
    np.testing.assert_array_equal(waits, waits_again)
    for row in range(2):
        alone, seen_alone, _ = played(
            scenario, whole.with_presence(present).row(row), mode[:, row : row + 1], fraction[:, row : row + 1]
        )
        for one, two in zip(got, alone, strict=True):
            np.testing.assert_array_equal(one.cost[row], two.cost[0])
        np.testing.assert_array_equal(np.array(seen)[:, row], np.array(seen_alone)[:, 0])
    for t, outcome in enumerate(got):
        assert not outcome.cost[~present[t]].any()
        assert (outcome.mode[~present[t]] == Mode.LOCAL).all()
        np.testing.assert_array_equal(outcome.present, present[t])
        np.testing.assert_array_equal(np.array(seen[t]).any(-1), present[t])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["leased", "penalty", "pooled", "queued"])
@pytest.mark.parametrize("reward", ["own", "team", "difference"])
def test_the_wrapper_pays_those_who_are_there_as_if_the_others_were_not(kind, reward):
    # In every slot, the present devices alone: what they are paid, and their queues, are those of a system of them.
    scenario = scenario_of(kind, M, f"lyapunov.reward={reward}", "lyapunov.v=0.5", "lyapunov.discount=0")
    trace = coming_and_going(scenario, [3], T)
    env = LyapunovParallelEnv(OffloadingParallelEnv(scenario, trace))
    seen, infos = env.reset()
    rng = np.random.default_rng(1)
    mode, fraction = actions(rng, T, 1, M)
    queue = np.zeros(M)
    for t in range(T):
        present = trace.present[t, 0]
        assert [infos[agent]["present"] for agent in env.possible_agents] == present.tolist()
        for m, agent in enumerate(env.possible_agents):
            assert infos[agent]["mode_mask"].any()
            assert env.observation_space(agent).contains(seen[agent])
            if not present[m]:
                assert not seen[agent].any()
                assert infos[agent]["mode_mask"].tolist() == [1, 0, 0]
                assert not infos[agent]["fraction_high"].any()
            else:
                shown = np.log1p(queue[m] / scenario.lyapunov.v)
                assert seen[agent][BACKLOG_COLUMN] == pytest.approx(shown, rel=1e-6)
        here = np.flatnonzero(present).tolist()
        waits = env.simulator.waits
        asked = {
            agent: {"mode": int(mode[t, 0, m]), "fraction": fraction[t, 0, m : m + 1]}
            for m, agent in enumerate(env.possible_agents)
        }
        seen, rewards, _, truncated, infos = env.step(asked)
        told = {
            name: np.array([infos[a][name] for a in env.possible_agents]) for name in ("cost", "fraction", "backlog")
        }
        assert [infos[agent]["was_present"] for agent in env.possible_agents] == present.tolist()
        before = queue.copy()
        queue = np.where(present, np.maximum(0, queue + scenario.lyapunov.delta - told["fraction"]), queue)
        np.testing.assert_allclose(told["backlog"], queue, atol=1e-12)
        assert not np.array(list(rewards.values()))[~present].any()
        if here and kind != "queued":
            fewer = scenario_of(kind, len(here), f"lyapunov.reward={reward}", "lyapunov.v=0.5", "lyapunov.discount=0")
            alone = LyapunovParallelEnv(
                OffloadingParallelEnv(
                    fewer, only_devices(trace.window(t, t + 1), here).with_presence(np.ones((1, 1, len(here)), bool))
                )
            )
            alone.reset()
            alone.queues.backlog = before[None, here]
            _, paid, *_ = alone.step({f"mobile_{i}": asked[f"mobile_{m}"] for i, m in enumerate(here)})
            np.testing.assert_allclose(
                [rewards[f"mobile_{m}"] for m in here], list(paid.values()), rtol=1e-9, atol=1e-9
            )
        assert kind == "queued" or not waits[0].any()
    assert all(truncated.values())


def test_other_views_of_the_environment():
    scenario = scenario_of("leased")
    trace = coming_and_going(scenario, [3], T)
    parallel_api_test(OffloadingParallelEnv(scenario, trace), num_cycles=20)
    for flat in (BoxActions, DiscreteActions):
        parallel_api_test(flat(OffloadingParallelEnv(scenario, trace)), num_cycles=20)
    env = AccessPointEnv(OffloadingParallelEnv(scenario, trace))
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    for t in range(T):
        there = info["present"]
        np.testing.assert_array_equal(there, trace.present[t, 0])
        action = env.action_space.sample(info["action_mask"])
        assert not action["mode"][~there].any()
        _, reward, _, _, info = env.step(action)
        expected = -info["cost"][there].mean() if there.any() else 0.0
        assert reward == pytest.approx(expected)
    discrete = DiscreteActions(OffloadingParallelEnv(scenario, trace))
    _, infos = discrete.reset()
    for m, agent in enumerate(discrete.possible_agents):
        if not trace.present[0, 0, m]:
            assert infos[agent]["action_mask"].sum() == 1
            assert action_mask(infos[agent])["mode"].tolist() == [1, 0, 0]


def test_pictures_show_those_who_are_there():
    scenario = scenario_of("leased")
    trace = coming_and_going(scenario, [3], T)
    text = OffloadingParallelEnv(scenario, trace, render_mode="ansi")
    text.reset()
    assert [int(line.split()[0]) for line in text.render().splitlines()[2:]] == np.flatnonzero(
        trace.present[0, 0]
    ).tolist()
    picture = OffloadingParallelEnv(scenario, trace, render_mode="rgb_array")
    alone = OffloadingParallelEnv(scenario_of("leased", 1), only_devices(trace, [0]), render_mode="rgb_array")
    only = np.zeros_like(trace.present)
    only[..., 0] = trace.present[..., 0]
    picture = OffloadingParallelEnv(scenario, trace.with_presence(only), render_mode="rgb_array")
    for env in (picture, alone):
        env.reset()
    # One device has a larger mark than one of four; where anything is drawn is the same.
    grey = [np.argwhere((env.render()[60:] == 187).all(-1)).mean(0) for env in (picture, alone)]
    np.testing.assert_allclose(grey[0], grey[1], atol=1.0)


def test_a_state_goes_on_and_fields_may_vary():
    scenario = scenario_of("queued")
    rows = tuple(coming_and_going(scenario, [i], 2 * T) for i in range(3))
    library = Library(rows, rows)
    mode, fraction = actions(np.random.default_rng(0), T, 2, M)
    whole, resumed = (OffloadingSimulator(scenario, 2, library) for _ in range(2))
    whole.reset([4, 5])
    for t in range(3):
        whole.step(mode[t], fraction[t])
    resumed.set_state(whole.get_state())
    np.testing.assert_array_equal(resumed.present, whole.present)
    for t in range(3, T):
        np.testing.assert_array_equal(whole.step(mode[t], fraction[t]).cost, resumed.step(mode[t], fraction[t]).cost)
    varied = VariedSimulator(scenario, 2, parse_variations(scenario, ["lyapunov.v=0.5,2"]), library)
    varied.reset([4, 5])
    again = OffloadingSimulator(scenario, 2, library)
    again.reset([4, 5])
    for t in range(T):
        np.testing.assert_array_equal(varied.present, again.present)
        np.testing.assert_array_equal(varied.step(mode[t], fraction[t]).present, again.present)
        again.step(mode[t], fraction[t])
