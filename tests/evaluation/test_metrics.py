"""Metrics against plain counting on a hand-made rollout."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.config import load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.evaluation.metrics import METRICS, OracleReference, measure
from meqc_marl.evaluation.optimum import Optimum
from meqc_marl.evaluation.rollout import Rollout, rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import settle
from meqc_marl.policies import POLICIES, make_policy


def hand_made():
    """One row, two slots, three devices."""

    def array(*rows):
        return np.array(rows)[:, None, :]

    return Rollout(
        mode=array([0, 1, 2], [0, 1, 2]),
        fraction=array([0.0, 1.0, 0.5], [0.0, 0.5, 1.0]),
        latency_s=array([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
        energy_j=array([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]),
        cost=array([1.0, 2.0, 3.0], [4.0, 5.0, 9.0]),
        local_cost=array([1.0, 2.0, 3.0], [4.0, 5.0, 9.0]),
        deadline_missed=array([True, True, False], [False, False, False]),
        deadline_feasible=array([False, True, True], [True, True, True]),
        qpu_rejected=array([False, True, False], [False, False, False]),
        overruled=array([True, True, False], [True, False, False]),
        objective=array([1.0, 2.0, 3.0], [4.0, 5.0, 9.0]),
        reward=-array([1.0, 2.0, 3.0], [4.0, 5.0, 9.0]),
        backlog=array([0.0, 0.0, 0.0], [0.7, 0.0, 0.2], [1.4, 0.2, 0.0]),
        regret=array([0.1, 0.2, 0.3], [3.0, 0.0, 0.0]),
    )


def test_hand_made_rollout():
    ones = np.ones((1, 3))
    optimum = Optimum(3.0 * ones, ones, ones, ones > 0, ones, 0.7)
    got = measure(
        hand_made(), load_scenario("paper"), optimum, OracleReference(np.array([2.0]), np.array([[0.7, 0.0, 0.9]]))
    )
    assert set(got) == set(METRICS)
    expected = {
        "cost": 4.0,
        "latency_s": 3.5,
        "energy_j": 1.5,
        "fraction": 0.5,
        "fraction_worst": 0.0,
        "backlog_mean": 2.5 / 6,
        "backlog_final": 1.6 / 3,
        "backlog_max": 1.4,
        "shortfall_bound": 0.7,
        "deadline_missed": 2 / 6,
        "deadline_missed_feasible": 1 / 5,
        "qpu_rejected": 1 / 6,
        "mode_local": 1 / 6,
        "mode_cpu": 1 / 6,
        "mode_qpu": 1 / 6,
        "mode_cpu_partial": 1 / 6,
        "mode_qpu_partial": 1 / 6,
        "deadline_infeasible": 1 / 6,
        "objective": 4.0,
        "reward": -4.0,
        "overruled": 2 / 5,
        "regret": 0.6 / 4.0,
        "gap_to_optimum": 1 / 3,
        "gap_to_oracle": 1.0,
        "shortfall": 0.7,
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx([value]), name


@pytest.mark.parametrize("name", ["oracle", "random"])
def test_mode_shares_sum_to_one(name):
    scenario = load_scenario("paper", ("num_devices=6",))
    record = rollout(make_policy(name, scenario), scenario, generate_trace(scenario, [1, 2], num_slots=50))
    got = measure(record, scenario)
    assert "gap_to_oracle" not in got
    shares = [values for key, values in got.items() if key.startswith("mode_")]
    np.testing.assert_allclose(np.sum(shares, axis=0) + got["deadline_infeasible"], 1.0)
    assert (got["shortfall_bound"] + got["fraction_worst"] >= scenario.lyapunov.delta - 1e-9).all()


def test_shortfall_counts_only_devices_whose_oracle_reaches_delta(small):
    trace = generate_trace(small, [0, 1], num_slots=50)
    record = rollout(make_policy("greedy", small), small, trace)
    reached = np.array([[0.9, 0.1, 0.9], [0.0, 0.0, 0.0]])
    got = measure(record, small, oracle=OracleReference(np.ones(2), reached))["shortfall"]
    fraction = record.fraction.mean(0)
    assert got[0] == pytest.approx(max(0.0, 0.7 - fraction[0, 0], 0.7 - fraction[0, 2]))
    assert got[1] == 0.0


@pytest.mark.parametrize("deadline", ["kept", "penalty"])
def test_regret_against_a_search_over_all_actions(small, deadline):
    """Greedy's regret in the states that it visits, the best action being found on a fine grid of fractions."""
    small = load_scenario(small, (f"cost.deadline={deadline}", "tasks.deadline_s=[4, 20]"))
    trace = generate_trace(small, [0, 1], num_slots=40)
    record = rollout(make_policy("greedy", small), small, trace, reference=make_policy("oracle", small))
    simulator = OffloadingSimulator(small, 2, trace)
    simulator.reset()
    config = small.lyapunov
    actions = [(0, 0.0), *((mode, x) for mode in (1, 2) for x in np.linspace(0.01, 1.0, 400))]
    for slot in range(40):
        backlog = record.backlog[slot]
        least = np.full((2, 3), np.inf)
        for mode, fraction in actions:
            shape = np.ones((2, 3))
            outcome = settle(small.cost, simulator.places, mode * shape.astype(int), fraction * shape)
            value = config.v * outcome.cost + backlog * (config.delta - outcome.fraction)
            least = np.minimum(least, value + config.v * small.cost.miss_penalty * outcome.deadline_missed)
        by_search = -record.reward[slot] - least
        assert (record.regret[slot] >= by_search - 1e-9).all()
        np.testing.assert_allclose(record.regret[slot], by_search, atol=0.15 * config.v)
        simulator.step(record.mode[slot], record.fraction[slot])
    assert record.regret.max() > 1.0
    assert (~record.deadline_feasible).any()
    assert record.deadline_missed[record.deadline_feasible].any() == (deadline == "penalty")


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(POLICIES)),
    preset=st.sampled_from(["paper", "paper-literal", "fast-folders", "static"]),
    latency=st.sampled_from(["parallel", "sequential", "literal"]),
    queue=st.sampled_from(["neely", "literal"]),
    sign=st.sampled_from(["corrected", "literal"]),
    deadline=st.sampled_from(["kept", "penalty"]),
    penalty=st.sampled_from([0.0, 1.0, 20.0]),
    v=st.sampled_from([0.05, 1.0, 20.0]),
    delta=st.floats(0, 1),
    shortest=st.floats(0.5, 20.0),
    seed=st.integers(0, 1000),
)
def test_regret_is_never_negative(
    name, preset, latency, queue, sign, deadline, penalty, v, delta, shortest, seed
):  # fmt: skip
    """Of no policy, in no slot: rollout itself looks at every slot, here once more at the whole."""
    overrides = (
        *("num_devices=4", f"cost.latency={latency}", f"lyapunov.queue={queue}", f"lyapunov.sign={sign}"),
        *(f"cost.deadline={deadline}", f"cost.deadline_penalty={penalty}", f"lyapunov.v={v}"),
        *(f"lyapunov.delta={delta}", f"tasks.deadline_s=[{shortest}, 40]"),
    )
    scenario = load_scenario(preset, overrides)
    trace = generate_trace(scenario, [seed, seed + 1], num_slots=15)
    record = rollout(make_policy(name, scenario), scenario, trace, reference=make_policy("oracle", scenario))
    assert (record.regret >= -1e-9 * (1.0 + np.abs(record.reward))).all()
    if deadline == "kept":
        assert not (record.deadline_missed & record.deadline_feasible).any()
        assert not record.regret[~record.deadline_feasible].any()


def test_a_better_action_than_the_oracles_is_an_error(small, monkeypatch):
    """A bug in any of those who minimise is told, not averaged away."""
    oracle = make_policy("oracle", small)
    monkeypatch.setattr(oracle, "_lyapunov", small.lyapunov.model_copy(update={"v": 1e-3}))
    with pytest.raises(RuntimeError, match="do not minimise the same"):
        rollout(make_policy("greedy", small), small, generate_trace(small, [0], num_slots=20), reference=oracle)


def test_the_oracle_has_no_regret(small):
    oracle = make_policy("oracle", small)
    record = rollout(oracle, small, generate_trace(small, [0], num_slots=20), reference=oracle)
    assert not record.regret.any()
