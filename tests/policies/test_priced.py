"""Tolls on work: by hand, against brute force, as an equilibrium, as a fit of a known value, and by search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from joint_brute_force import by_brute_force

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.blocks import compare_seeds
from meqc_marl.evaluation.rollout import Rollout, rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode
from meqc_marl.physics.places import Work
from meqc_marl.physics.queueing import Backlogs, behind
from meqc_marl.policies import make_policy
from meqc_marl.policies.best_response import BestResponse
from meqc_marl.policies.joint.search import RowValues, _Search, joint_optimum
from meqc_marl.policies.priced import joint_rule, priced_joint, priced_selfish, selfish_rule
from meqc_marl.policies.toll import search as toll_search
from meqc_marl.policies.toll import value as toll_value
from meqc_marl.policies.toll.schedules import Prices, QueueWeights, price_unit, toll_of
from meqc_marl.policies.toll.search import mean_charged, search, training_trace
from meqc_marl.policies.toll.training import training_slots
from meqc_marl.policies.toll.value import LearnedValue, _features, _Round, fit, learn_value
from tests.sentences import is_one_sentence

FORMS = ("parallel", "sequential", "literal")


def slot_of(devices: int, seed: int, *changes: str) -> tuple[Scenario, Work]:
    scenario = load_scenario("queued", [f"num_devices={devices}", *changes])
    trace = generate_trace(scenario, [seed, seed + 1], num_slots=1)
    left = Backlogs(np.array([3e10, 0.0]), np.array([0.0, 4.0]))
    return scenario, behind(scenario, Work.of(scenario, trace.slot(0)), left)


@pytest.mark.parametrize("v", [1.0, 3.0])
def test_a_toll_by_hand(v: float) -> None:
    """Of fifteen devices 7 others: 7 a lambda_t / F_tot a cycle, 7 b lambda_t / tiles a second of a task, times V."""
    scenario, work = slot_of(15, 1, f"lyapunov.v={v}", "resources.qpu_tiles=2")
    toll = toll_of(scenario, work, Prices(2.0, 3.0, 0.1, 0.5))
    cycles = work.data_bits * work.cycles_per_bit
    rising = [1.0 + 0.1 * 3.0, 1.0], [1.0, 1.0 + 0.5 * 4.0]
    for row in range(2):
        cpu = v * 7 * 2.0 * rising[0][row] * 0.5 / 10e9 * cycles[row]
        np.testing.assert_allclose(toll[Mode.CPU, row], cpu, rtol=1e-12)
        qpu = v * 7 * 3.0 * rising[1][row] * 0.5 / 2 * work.quantum_s[row]
        np.testing.assert_allclose(toll[Mode.QPU, row], qpu, rtol=1e-12)
    assert not toll[Mode.LOCAL].any()
    weighted = toll_of(scenario, work, QueueWeights(0.2, 0.4))
    np.testing.assert_allclose(weighted[Mode.CPU, 0], v * 7 * 0.5 * 0.2 * 3.0 * cycles[0] / 10e9, rtol=1e-12)
    np.testing.assert_allclose(weighted[Mode.QPU, 1], v * 7 * 0.5 * 0.4 * 4.0 * work.quantum_s[1] / 2, rtol=1e-12)
    assert not weighted[Mode.CPU, 1].any()


@pytest.mark.parametrize("kinds", [("pooled", "queued"), ("queued", "leased"), ("pooled", "pooled")])
def test_only_what_is_queued_is_charged_for(kinds: tuple[str, str]) -> None:
    scenario, work = slot_of(4, 1, f"resources.server={kinds[0]}", f"resources.qpu={kinds[1]}")
    toll = toll_of(scenario, work, Prices(1.0, 1.0))
    assert [bool(each.any()) for each in toll] == [False, *(kind == "queued" for kind in kinds)]


@pytest.mark.parametrize("values", [(-1.0, 0.0), (np.nan, 0.0), (0.0, np.inf), (0.0, 1e7)])
@pytest.mark.parametrize("kind", [Prices, QueueWeights])
def test_a_price_that_is_none_is_refused_in_a_sentence(kind: type, values: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="must be from 0 to") as error:
        kind(*values)
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("devices", [3, 5])
def test_the_joint_optimum_with_a_toll_by_brute_force(form: str, devices: int) -> None:
    """Never above the grid's optimum, proven, and the search by boxes finds the same."""
    for seed, level in ((0, 0.3), (4, 2.0), (9, 8.0)):
        scenario, work = slot_of(devices, seed, f"cost.latency={form}")
        backlog = np.random.default_rng(seed).exponential(10.0, (2, devices))
        toll = toll_of(scenario, work, Prices(level, 1.5 * level, 0.3, 0.2))
        best = joint_optimum(scenario, work, backlog, toll=toll)
        assert best.proven.all()
        for row in range(2):
            one = np.array([row])
            least = by_brute_force(scenario, work.rows(one), backlog[one], 301, toll[:, one])
            assert best.value[row] <= least + 1e-9
            assert least - best.value[row] < 0.02 * abs(least) + 0.2
            searched = _Search(scenario, work, backlog, row, toll).run(None, 1)
            assert searched.value == pytest.approx(best.value[row], rel=1e-12, abs=1e-9)


def test_a_toll_is_paid_for_what_is_sent() -> None:
    """The value of the optimum is the objective of its decision and the toll on its shares."""
    scenario, work = slot_of(15, 2)
    backlog = np.random.default_rng(0).exponential(5.0, (2, 15))
    toll = toll_of(scenario, work, Prices(1.0, 2.0))
    best = joint_optimum(scenario, work, backlog, toll=toll)
    cpu, qpu = ((best.mode == mode).sum(-1) for mode in (Mode.CPU, Mode.QPU))
    free = RowValues(scenario, work, backlog).at(np.arange(2), cpu, qpu).value
    own = np.take_along_axis(free, best.mode[None].astype(np.intp), 0)[0].sum(-1)
    paid = (np.take_along_axis(toll, best.mode[None].astype(np.intp), 0)[0] * best.fraction).sum(-1)
    assert (best.value >= own - 1e-9).all()
    assert (paid > 0).all()
    # Nobody sends more than without a toll at the same counts, in total.
    untolled = joint_optimum(scenario, work, backlog)
    assert (
        best.value
        <= untolled.value
        + (np.take_along_axis(toll, untolled.mode[None].astype(np.intp), 0)[0] * untolled.fraction).sum(-1)
        + 1e-9
    ).all()
    assert (best.value >= untolled.value - 1e-9).all()


def test_selfish_devices_with_a_toll_have_no_reason_to_change() -> None:
    scenario, work = slot_of(6, 3)
    backlog = np.random.default_rng(1).exponential(5.0, (2, 6))
    toll = toll_of(scenario, work, Prices(2.0, 2.0))
    mode, _ = BestResponse(scenario, "priced-selfish", team=False).play(work, backlog, toll=toll)
    values = RowValues(scenario, work, backlog, toll)
    for row in range(2):
        for m in range(6):
            own = []
            for other in Mode:
                changed = mode[row].copy()
                changed[m] = other
                counts = (np.array([(changed == place).sum()]) for place in (Mode.CPU, Mode.QPU))
                own.append(values.at(np.array([row]), *counts).value[other, 0, m])
            assert own[mode[row, m]] <= min(own) + 1e-6 * (abs(min(own)) + 1.0)
    plain, _ = BestResponse(scenario, "selfish", team=False).play(work, backlog)
    assert (mode != Mode.LOCAL).sum() < (plain != Mode.LOCAL).sum()


def test_a_known_value_is_fitted_to_rounding() -> None:
    """Costs made of a value, a level for each row and what the tasks cost alone: the coefficients come back."""
    rng = np.random.default_rng(0)
    known, discount = np.array([1.5, 0.7, 0.02, 0.0, 0.05]), 0.7
    data = []
    for _ in range(2):
        before, after = rng.exponential(3.0, (60, 4, 2)), rng.exponential(2.0, (60, 4, 2))
        alone, level = rng.normal(size=(60, 4, 2)), rng.normal(20.0, 5.0, 4)
        cost = (_features(before) - discount * _features(after)) @ known + alone @ [2.0, -3.0]
        data.append(_Round(before, after, cost + level, alone))
    np.testing.assert_allclose(fit(data, discount), known, rtol=1e-7, atol=1e-9)
    value = LearnedValue(tuple(known), discount)
    at = np.array([2.0]), np.array([5.0])
    step = 1e-6
    for which, slope in enumerate(value.at(*at)):
        moved = [each + step * (which == index) for index, each in enumerate(at)]
        np.testing.assert_allclose(slope, discount * (value.value(*moved) - value.value(*at)) / step, rtol=1e-4)
    falling = LearnedValue((-1.0, 0.5, 0.0, 0.0, 0.0), discount)
    np.testing.assert_array_equal([each[0] for each in falling.at(*at)], [0.0, 0.35])


def test_what_the_tasks_cost_alone_quietens_the_fit_and_a_falling_slope_is_not_learned() -> None:
    rng = np.random.default_rng(1)
    known = np.array([1.5, 0.7, 0.0, 0.0, 0.0])
    before, after = rng.exponential(3.0, (400, 8, 2)), rng.exponential(2.0, (400, 8, 2))
    alone = rng.normal(size=(400, 8, 2))
    cost = (_features(before) - 0.7 * _features(after)) @ known + 30.0 * alone[..., 0]
    errors = [np.abs(fit([_Round(before, after, cost, told)], 0.7) - known).max() for told in (alone, 0.0 * alone)]
    assert errors[0] < 1e-6 < errors[1]
    falling = (_features(before) - 0.7 * _features(after)) @ np.array([5.0, 0.7, -0.1, 0.0, 0.0])
    got = fit([_Round(before, after, falling, alone)], 0.7)
    assert (got >= 0.0).all()
    assert got[2] == pytest.approx(0.0, abs=1e-9)


def small(*changes: str) -> Scenario:
    """Eight devices that fill both queues at once."""
    pools = ["num_devices=8", "resources.server_hz=4e9", "slot_s=3", "lyapunov.delta=0.3"]
    return load_scenario("queued", [*pools, *changes])


def test_a_search_is_the_best_of_what_it_tried_and_the_same_again() -> None:
    scenario = small()
    trace = training_trace(scenario, 1, 40)
    first, again = (
        search(scenario, lambda schedule: joint_rule(scenario, schedule), "constant", trace, 11) for _ in range(2)
    )
    assert len(first.tried) == 11
    assert first == again
    assert first.score == min(score for _, score in first.tried)
    assert first.score < first.tried[0][1]  # no toll at all
    assert mean_charged(scenario, trace, joint_rule(scenario, first.schedule)) == first.score
    kinds = {"rising": Prices, "weights": QueueWeights}
    for kind, made in kinds.items():
        short = training_trace(scenario, 1, 4)
        found = search(scenario, lambda schedule: joint_rule(scenario, schedule), kind, short, 0)  # type: ignore[arg-type]
        assert isinstance(found.schedule, made)
        assert len(found.tried) == 7


def test_a_schedule_that_starves_the_queues_does_not_win_by_falling_short() -> None:
    """Prices of 1e5 keep everything local, which costs little for 40 slots and leaves Delta far away."""
    scenario = small()
    trace = training_trace(scenario, 1, 40)
    slots = list(training_slots(scenario, trace, joint_rule(scenario, Prices(1e5, 1e5))))[10:]
    plain = float(np.mean([slot.charged for slot in slots]))
    assert mean_charged(scenario, trace, joint_rule(scenario, Prices(1e5, 1e5))) > plain + 100.0


def test_the_training_slots_are_those_of_the_simulator() -> None:
    scenario = small()
    trace = generate_trace(scenario, [1, 2], num_slots=25)
    prices = Prices(1.0, 1.0, 0.2, 0.2)
    for rule, policy in ((joint_rule, priced_joint), (selfish_rule, priced_selfish)):
        slots = list(training_slots(scenario, trace, rule(scenario, prices)))
        record = rollout(policy(scenario, prices), scenario, trace)
        charged = record.cost + 20.0 * record.deadline_missed
        np.testing.assert_allclose([slot.charged for slot in slots], charged.mean(-1), rtol=1e-12)
        assert record.waits is not None
        np.testing.assert_array_equal([slot.before for slot in slots], record.waits[:-1])
        np.testing.assert_array_equal([slot.after for slot in slots], record.waits[1:])


def test_without_queues_nothing_is_searched_and_nothing_charged() -> None:
    scenario = load_scenario("pooled", ["num_devices=4"])
    trace = generate_trace(scenario, [3], num_slots=10)
    plain = rollout(make_policy("joint-oracle", scenario), scenario, trace)
    for name in ("priced-joint", "queue-drift", "tolled-joint"):
        np.testing.assert_array_equal(rollout(make_policy(name, scenario), scenario, trace).cost, plain.cost)
    own = rollout(make_policy("selfish", scenario), scenario, trace)
    np.testing.assert_array_equal(rollout(make_policy("priced-selfish", scenario), scenario, trace).cost, own.cost)


@pytest.mark.parametrize("name", ["priced-joint", "queue-drift", "tolled-joint"])
def test_what_is_searched_before_a_comparison_shows_how_far_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps come to the number told, before any slot is rolled, and nothing is searched a second time."""
    scenario = small("num_devices=3", "horizon=4", "lyapunov.delta=0.2")
    monkeypatch.setattr(toll_search, "_FOUND", {})
    monkeypatch.setattr(toll_value, "_LEARNED", {})
    begun: list[tuple[str, int, str, list[None]]] = []

    def progress(label: str, total: int, unit: str) -> Callable[[], None]:
        begun.append((label, total, unit, []))
        return lambda: begun[-1][3].append(None)

    policy = make_policy(name, scenario)
    compare_seeds([policy, make_policy("local-only", scenario)], scenario, range(3), 4, progress=progress)
    label, total, unit, steps = begun[0]
    assert label == ("value of tolled-joint" if name == "tolled-joint" else f"prices of {name}")
    assert unit == ("slots" if name == "tolled-joint" else "schedules")
    assert 0 < len(steps) <= total
    assert [each[0] for each in begun].count(label) == 1
    before = len(begun)
    again = make_policy(name, scenario)
    again.prepare(progress)
    assert len(begun) == before
    slot = rollout(again, scenario, generate_trace(scenario, [0], num_slots=4))
    np.testing.assert_array_equal(slot.cost, rollout(policy, scenario, generate_trace(scenario, [0], num_slots=4)).cost)


def test_a_price_of_one_is_a_second_of_half_the_others() -> None:
    scenario, work = slot_of(15, 0, "cost.latency_ref_s=2", "devices.lambda_t=0.8")
    np.testing.assert_allclose(price_unit(scenario, work), 7 * 0.8 / 2)
    scenario, work = slot_of(1, 0)
    np.testing.assert_allclose(price_unit(scenario, work), 0.25)


REFERENCE: dict[Any, tuple[float, ...]] = {
    # Policy or prices: C, C with penalties, misses in %, mean phi, waits at the server and the QPU in s.
    "joint-oracle": (20.28, 22.11, 9.1, 0.477, 14.1, 11.5),
    "selfish": (20.31, 22.24, 9.6, 0.501, 11.6, 10.4),
    ("joint", 2.0, 2.0): (17.26, 17.52, 1.3, 0.520, 1.4, 1.3),
    ("joint", 1.5, 1.5, 0.3, 0.3): (17.17, 17.42, 1.2, 0.524, 0.9, 0.9),
    ("joint", 1.52, 1.85, 0.28, 0.31): (17.17, 17.41, 1.2, 0.521, 1.0, 0.6),
    ("selfish", 2.0, 2.0): (17.79, 18.38, 3.0, 0.520, 0.8, 1.5),
}


def last_three_quarters(record: Rollout) -> list[float]:
    assert record.waits is not None
    slots = slice(len(record.cost) // 4, None)
    cost, missed = record.cost[slots].mean(), record.deadline_missed[slots].mean()
    waits = record.waits[:-1][slots].mean((0, 1))
    return [cost, cost + 20.0 * missed, 100.0 * missed, record.fraction[slots].mean(), *waits]


@pytest.mark.long
def test_reference_values_of_an_independent_implementation() -> None:
    """Preset queued, nature as in paper: seeds 1000 to 1005, 400 slots, means over the last three quarters."""
    scenario = load_scenario("queued")
    trace = generate_trace(load_scenario("paper"), range(1000, 1006), num_slots=400)
    for who, expected in REFERENCE.items():
        if isinstance(who, str):
            policy = make_policy(who, scenario)
        else:
            make = {"joint": priced_joint, "selfish": priced_selfish}[who[0]]
            policy = make(scenario, Prices(*who[1:]))
        got = last_three_quarters(rollout(policy, scenario, trace))
        rounding = [0.006, 0.006, 0.051, 0.0006, 0.051, 0.051]
        np.testing.assert_array_less(np.abs(np.subtract(got, expected)), rounding, err_msg=str(who))


@pytest.mark.long
def test_a_learned_toll_is_near_the_searched_prices() -> None:
    """Within two per cent of the best prices, and a fifth below the myopic optimum."""
    scenario = load_scenario("queued")
    trace = generate_trace(load_scenario("paper"), range(1000, 1006), num_slots=400)
    from meqc_marl.policies.priced import tolled_joint

    got = last_three_quarters(rollout(tolled_joint(scenario, learn_value(scenario)), scenario, trace))
    assert got[1] < 1.02 * 17.41
    assert got[3] >= 0.49
