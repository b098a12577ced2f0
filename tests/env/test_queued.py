"""The environment with queues at the server and the QPU: rows, states, observations, infos."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.variation import parse_variations
from meqc_marl.env.observation import OBSERVATION_COLUMNS
from meqc_marl.env.parallel import OffloadingParallelEnv, observation_space
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.varied import VariedSimulator
from meqc_marl.env.view import observation_columns, shown_to, unseen_changes
from meqc_marl.errors import InputError
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.physics.cost import Mode
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import price
from tests.sentences import is_one_sentence

SLOTS, DEVICES = 30, 4
VIEWS = ("paper", "sufficient")


def system(*changes: str) -> Scenario:
    """Four devices at a tenth of the server, with short slots, so that work piles up."""
    pools = ["slot_s=1", "resources.server_hz=1e9", "resources.band_hz=4e8"]
    return load_scenario("queued", [f"num_devices={DEVICES}", f"horizon={SLOTS}", *pools, *changes])


def actions(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.integers(0, 3, (SLOTS, rows, DEVICES)), rng.random((SLOTS, rows, DEVICES))


def run(simulator: OffloadingSimulator, start: int = 0, rows: slice = slice(None)) -> list[np.ndarray]:
    """Everything that is told from a slot on: observations, outcomes, backlogs, and those without each device."""
    mode, fraction = (each[:, rows] for each in actions(3))
    told = []
    for t in range(start, SLOTS):
        told.append(simulator.observation.copy())
        outcome = simulator.step(mode[t], fraction[t])
        told += [*(each for each in vars(outcome).values() if each is not None)]
        told += [*simulator.backlogs, *simulator.backlogs_without_each(), *simulator.waits]
    return [*told, simulator.observation.copy()]


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("view", VIEWS)
def test_a_row_of_a_batch_is_that_row_alone_and_episodes_begin_empty(view: str) -> None:
    scenario = system(f"observation={view}")
    batch = OffloadingSimulator(scenario, 3)
    batch.reset(seed=[5, 6, 7])
    together = run(batch)
    assert all(each.max() > 0.0 for each in batch.waits)
    for row in range(3):
        alone = OffloadingSimulator(scenario)
        alone.reset(seed=5 + row)
        assert_same([each[row : row + 1] for each in together], run(alone, rows=slice(row, row + 1)))
    batch.reset()
    assert not np.concatenate(batch.backlogs).any()
    fresh = OffloadingSimulator(scenario, 3)
    fresh.reset(seed=[5, 6, 7])
    fresh.reset()
    assert_same(run(batch), run(fresh))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("at", [0, 1, 17, SLOTS])
def test_a_state_is_plain_data_and_goes_on_exactly(view: str, at: int) -> None:
    simulator = OffloadingSimulator(system(f"observation={view}"), 3)
    simulator.reset(seed=1)
    simulator.reset()
    mode, fraction = actions(3)
    for t in range(at):
        simulator.step(mode[t], fraction[t])
    state = json.loads(json.dumps(simulator.get_state()))
    rest = run(simulator, at)
    for target in (OffloadingSimulator(system(f"observation={view}"), 3), simulator):
        target.set_state(state)
        assert_same(rest, run(target, at))
        assert target.truncated


@pytest.mark.parametrize(
    "backlogs", [None, [[1.0], [2.0]], [[1.0] * 3], [[-1.0] * 3, [0.0] * 3], [["a"] * 3] * 2, [[np.nan] * 3] * 2]
)
def test_a_state_without_sound_backlogs_is_refused(backlogs: object) -> None:
    simulator = OffloadingSimulator(system(), 3)
    simulator.reset(seed=1)
    with pytest.raises(InputError, match="backlogs of the state") as error:
        simulator.set_state(simulator.get_state() | {"backlogs": backlogs})
    assert is_one_sentence(str(error.value))


def test_states_of_other_scenarios_are_what_they_were() -> None:
    simulator = OffloadingSimulator(load_scenario("pooled", ["horizon=5"]))
    simulator.reset(seed=1)
    assert simulator.get_state() == {"seeds": [1], "episode": 0, "slot": 0}


def test_varied_rows_queue_each_for_itself_and_go_on_exactly() -> None:
    scenario = system()
    variations = parse_variations(scenario, ["resources.server_hz=1e9,4e9", "slot_s=2,6"])
    simulator = VariedSimulator(scenario, 3, variations)
    assert "backlogs" not in simulator.get_state()
    simulator.reset([4, 5, 6])
    alone = [OffloadingSimulator(each) for each in simulator.scenarios]
    for row, seed in zip(alone, (4, 5, 6), strict=True):
        row.reset(seed=seed)
    mode, fraction = actions(3)
    for t in range(SLOTS):
        if t == 12:
            state = json.loads(json.dumps(simulator.get_state()))
            simulator = VariedSimulator(scenario, 3, variations)
            simulator.set_state(state)
        simulator.step(mode[t], fraction[t])
        for i, row in enumerate(alone):
            row.step(mode[t, i : i + 1], fraction[t, i : i + 1])
        for case, *others in zip(simulator.consequences(), *(row.consequences() for row in alone), strict=True):
            for mine, *theirs in zip(case, *others, strict=True):
                np.testing.assert_array_equal(mine, np.concatenate(theirs))
        without = [row.backlogs_without_each() for row in alone]
        np.testing.assert_array_equal(simulator.backlogs_without_each(), np.concatenate(without, 1))
        for name in ("backlogs", "waits"):
            mine, theirs = getattr(simulator, name), [getattr(row, name) for row in alone]
            np.testing.assert_array_equal(mine, np.concatenate(theirs, -1))
        np.testing.assert_array_equal(simulator.observation, np.concatenate([row.observation for row in alone]))


@pytest.mark.parametrize("text", ["resources.server=[pooled, queued]", "resources.qpu=[leased]"])
def test_columns_do_not_come_and_go_with_a_variation(text: str) -> None:
    with pytest.raises(InputError, match="to or from queued") as error:
        parse_variations(system(), [text])
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("view", VIEWS)
def test_every_device_sees_the_waits_and_with_costs_only_also_its_work(view: str) -> None:
    scenario = system(f"observation={view}")
    columns = observation_columns(scenario)
    simulator = OffloadingSimulator(scenario, 2)
    simulator.reset(seed=3)
    mode, fraction = actions(2)
    space = observation_space(scenario)
    for t in range(SLOTS):
        seen = dict(zip(columns, np.moveaxis(simulator.observation.astype(float), -1, 0), strict=True))
        for name, wait_s in zip(("cpu_wait", "qpu_wait"), simulator.waits, strict=True):
            np.testing.assert_allclose(seen[name], np.tile(np.log1p(wait_s)[:, None], (1, DEVICES)), rtol=1e-6)
        if view == "sufficient":
            work = simulator.work
            np.testing.assert_allclose(
                np.expm1(seen["cpu_work"]), work.data_bits * work.cycles_per_bit / 1e9, rtol=1e-4
            )
            np.testing.assert_allclose(np.expm1(seen["qpu_work"]), work.quantum_s, rtol=1e-4)
        assert ((simulator.observation >= space.low) & (simulator.observation <= space.high)).all()
        simulator.step(mode[t], fraction[t])
    assert not simulator.observation[..., -1].any()
    assert simulator.observation[..., columns.index("cpu_wait")].any()  # what the last slot left is seen


@pytest.mark.parametrize("band", ["pooled", "leased"])
def test_the_load_is_seen_where_work_waits(band: str) -> None:
    pools = ["resources.server_hz=2e9", "resources.qpu_tiles=2", f"resources.band={band}"]
    changes = [f"num_devices={DEVICES}", "slot_s=2.5", "lyapunov.delta=0.75", *pools]
    scenario = load_scenario("queued", changes + ["resources.band_hz=8e8"] * (band == "pooled"))
    seen = OffloadingSimulator(scenario).reset(seed=3)
    columns = observation_columns(scenario)
    told = [columns.index(name) for name in ("band_part", "server_part", "qpu_part", "slot", "delta")]
    expected = [1.0 if band == "pooled" else 0.0, -1.0, np.log2(5), -1.0, 0.5]
    np.testing.assert_allclose(seen[..., told], np.broadcast_to(expected, (1, 4, 5)), rtol=1e-6)
    assert observation_space(scenario).contains(seen[0, 0])
    for other in ("pooled", "paper"):
        assert "slot" not in observation_columns(load_scenario(other, []))


def test_a_slot_is_priced_behind_the_queue_for_everybody() -> None:
    """Outcome, costs of each place and what may be tried in advance, against the price of the slot's work."""
    scenario = system("resources.fraction=literal")
    simulator = OffloadingSimulator(scenario, 3)
    simulator.reset(seed=3)
    mode, fraction = actions(3)
    for t in range(SLOTS):
        places = price(scenario, simulator.work)
        np.testing.assert_array_equal(simulator.places.latency_s, places.latency_s)
        assert places.wait_s is not None
        assert simulator.places.wait_s is not None
        np.testing.assert_array_equal(simulator.places.wait_s, places.wait_s)
        tried, (cpu_s, qpu_s) = simulator.preview(mode[t], fraction[t]), simulator.waits
        outcome = simulator.step(mode[t], fraction[t])
        np.testing.assert_array_equal(tried.cost, outcome.cost)
        loaded = price(scenario, simulator.last.work, Load.seen(outcome.mode))
        wait = np.where(outcome.mode == Mode.QPU, qpu_s[:, None], cpu_s[:, None]) * (outcome.mode > 0)
        remote = np.where(outcome.mode == Mode.QPU, loaded.latency_s[2], loaded.latency_s[1])
        away = outcome.fraction * remote + (0.01 + wait) * (outcome.mode > 0)
        expected = np.maximum((1 - outcome.fraction) * loaded.latency_s[0], away)
        np.testing.assert_allclose(outcome.latency_s, expected, rtol=1e-12)
        np.testing.assert_array_equal(simulator.last.waited_s(), wait)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ["own", "difference"])
def test_the_environment_for_others(view: str, kind: str) -> None:
    """PettingZoo's own test; infos tell the queues with the same keys throughout; the state is everybody's view."""
    scenario = system(f"observation={view}", f"lyapunov.reward={kind}")
    parallel_api_test(LyapunovParallelEnv(OffloadingParallelEnv(scenario)), num_cycles=2 * SLOTS)
    env, simulator = OffloadingParallelEnv(scenario), OffloadingSimulator(scenario)
    _, infos = env.reset(seed=2)
    simulator.reset(seed=2)
    keys = {agent: {name: type(value) for name, value in info.items()} for agent, info in infos.items()}
    mode, fraction = actions(1)
    for t in range(SLOTS):
        chosen = {a: {"mode": mode[t, 0, m], "fraction": fraction[t, 0, m]} for m, a in enumerate(env.agents)}
        observations, _, _, _, infos = env.step(chosen)
        simulator.step(mode[t], fraction[t])
        np.testing.assert_array_equal(env.state(), np.concatenate(list(observations.values())))
        assert env.state_space.contains(env.state())
        for m, (agent, info) in enumerate(infos.items()):
            assert {name: type(value) for name, value in info.items()} == keys[agent]
            assert [info["cpu_wait_s"], info["qpu_wait_s"]] == [float(each[0]) for each in simulator.waits]
            assert info["cpu_backlog_cycles"] == simulator.backlogs.cpu_cycles[0]
            assert info["qpu_backlog_s"] == simulator.backlogs.qpu_s[0]
            assert info["waited_s"] == simulator.last.waited_s()[0, m]
            if kind == "difference":
                expected = [each[0, m] for each in simulator.backlogs_without_each()]
                np.testing.assert_array_equal(info["backlogs_without"], expected)


def test_a_policy_of_a_system_without_queues_does_not_decide_here_unsaid() -> None:
    for columns, scenario in (
        (OBSERVATION_COLUMNS, system()),
        (observation_columns(system()), load_scenario("pooled")),
    ):
        with pytest.raises(InputError, match="was trained where") as error:
            shown_to(columns, "someone", scenario)
        assert is_one_sentence(str(error.value))
    assert shown_to(observation_columns(system()), "someone", system("observation=sufficient")) == system()
    for change in ("slot_s=2.0", "resources.qpu_tiles=2", "num_devices=20", "devices.lambda_t=0.9"):
        field, other = change.split("=")[0], system(change)
        assert change in unseen_changes(system(), other)  # trained at one load only
        assert unseen_changes(system(), other, drawn=[field]) == []
        assert change in unseen_changes(system("observation=paper"), system(change, "observation=paper"), [field])
    assert "lyapunov.discount=0.5" in unseen_changes(system(), system("lyapunov.discount=0.5"))
    assert not unseen_changes(load_scenario("pooled"), load_scenario("pooled", ["slot_s=2", "num_devices=20"]))


def test_both_presets() -> None:
    """As they are described: heavy load with one tile, light load with two and twice the server."""
    heavy, light = load_scenario("queued"), load_scenario("queued-light")
    for scenario, server_hz, tiles, slot_s in ((heavy, 1e10, 1, 5.0), (light, 2e10, 2, 6.0)):
        resources = scenario.resources
        assert (resources.band, resources.server, resources.qpu) == ("pooled", "queued", "queued")
        assert (resources.band_hz, resources.server_hz, resources.qpu_tiles) == (1.5e9, server_hz, tiles)
        assert (scenario.num_devices, scenario.slot_s, scenario.lyapunov.delta, scenario.lyapunov.v) == (
            *(15, slot_s, 0.5, 1.0),
        )
        assert scenario.cost.deadline == "penalty"
