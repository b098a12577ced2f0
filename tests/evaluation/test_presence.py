"""Policies and numbers where devices come and go, against sums by hand and against systems without the absent."""

import json

import numpy as np
import pytest
from comings import coming_and_going, only_devices
from hypothesis import given, settings
from hypothesis import strategies as st
from joint_brute_force import by_brute_force

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.errors import InputError
from meqc_marl.evaluation.blocks import compare_trace
from meqc_marl.evaluation.comparison import compare
from meqc_marl.evaluation.held_out import beside_oracle
from meqc_marl.evaluation.joint_bounds import joint_bounds
from meqc_marl.evaluation.metrics import OracleReference, measure
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import load_any_trace, save_trace
from meqc_marl.physics.places import Work
from meqc_marl.policies import POLICIES, default_policies, make_policy
from meqc_marl.policies.joint.search import _Search, joint_optimum
from meqc_marl.report.mode_map import AWAY, draw_mode_map, mode_cells
from meqc_marl.report.tables import comparison_json, comparison_notes
from tests.env.test_presence import KINDS, M, T, scenario_of

DETERMINISTIC = [name for name in POLICIES if name != "random"]
OF_SHARED = ("joint-oracle", "team-best-response", "selfish", "oblivious")
pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("kind", ["leased", "penalty", "pooled"])
def test_every_policy_decides_for_the_others_as_if_one_had_never_been(kind):
    scenario, fewer = scenario_of(kind), scenario_of(kind, M - 1)
    whole = generate_trace(scenario, [0, 1], num_slots=T)
    present = np.ones((T, 2, M), bool)
    present[..., 2] = False
    others = [0, 1, 3]
    for name in DETERMINISTIC:
        if name in ("oblivious", "priced-joint", "tolled-joint", "queue-drift", "priced-selfish"):
            continue  # they believe in numbers of the scenario, or search prices for all of its devices
        one = rollout(
            make_policy(name, scenario),
            scenario,
            whole.with_presence(present),
            reference=make_policy("oracle", scenario),
        )
        other = rollout(
            make_policy(name, fewer), fewer, only_devices(whole, others), reference=make_policy("oracle", fewer)
        )
        for field in ("mode", "fraction", "cost", "reward", "backlog", "objective"):
            np.testing.assert_allclose(
                getattr(one, field)[..., others],
                getattr(other, field),
                rtol=1e-12,
                atol=1e-12,
                err_msg=f"{name} {field}",
            )
        np.testing.assert_allclose(one.regret[..., others], other.regret, rtol=1e-9, atol=1e-9)
        mine, theirs = measure(one, scenario), measure(other, fewer)
        for metric, values in theirs.items():
            np.testing.assert_allclose(mine[metric], values, rtol=1e-9, atol=1e-9, err_msg=f"{name} {metric}")


@settings(max_examples=8)
@given(st.lists(st.booleans(), min_size=M, max_size=M), st.integers(0, 50), st.booleans())
def test_the_joint_optimum_of_those_who_are_there_is_that_of_brute_force(there, seed, queued):
    kind = "queued" if queued else "pooled"
    scenario = scenario_of(kind)
    present = np.array(there)[None, None]
    trace = generate_trace(scenario, [seed], num_slots=1).with_presence(present)
    rng = np.random.default_rng(seed)
    backlog = np.where(present[0], rng.exponential(15.0, (1, M)), 0.0)
    simulator = OffloadingSimulator(scenario, 1, trace)
    simulator.reset()
    best = joint_optimum(scenario, simulator.work, backlog)
    here = np.flatnonzero(there).tolist()
    assert (best.mode[~present[0]] == 0).all()
    assert best.proven.all()
    if here:
        fewer = scenario_of(kind, len(here))
        work = Work.of(fewer, only_devices(trace, here).slot(0))
        least = by_brute_force(fewer, work, backlog[:, here], 501)
        alone = joint_optimum(fewer, work, backlog[:, here])
        assert best.value[0] <= least + 1e-9
        assert best.value[0] == pytest.approx(alone.value[0], rel=1e-12, abs=1e-9)
        np.testing.assert_array_equal(best.mode[:, here], alone.mode)
    else:
        assert best.value[0] == pytest.approx(0.0, abs=1e-12)
    searched = _Search(scenario, simulator.work, backlog, 0).run(None, 1)
    assert searched.value == pytest.approx(best.value[0], rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "paper" not in kind])
def test_means_are_over_those_who_are_there(kind):
    scenario = scenario_of(kind)
    trace = coming_and_going(scenario, [3, 8], T)
    p = trace.present
    oracle = make_policy("oracle", scenario)
    reference = rollout(oracle, scenario, trace, reference=oracle)
    record = rollout(make_policy("random", scenario), scenario, trace, reference=oracle)
    metrics = measure(record, scenario, constrained_optimum(scenario, trace), OracleReference.of(reference))
    never = ~p.any(0)
    for row in range(2):
        here = p[:, row]
        by_hand = {
            "cost": record.cost[:, row][here].mean(),
            "latency_s": record.latency_s[:, row][here].mean(),
            "fraction": record.fraction[:, row][here].mean(),
            "backlog_mean": record.backlog[1:, row][here].mean(),
            "deadline_missed": record.deadline_missed[:, row][here].mean(),
            "deadline_infeasible": 1 - record.deadline_feasible[:, row][here].mean(),
            "mode_local": ((record.mode[:, row] == 0) & record.deadline_feasible[:, row])[here].mean(),
            "reward": record.reward[:, row][here].mean(),
            "regret": record.regret[:, row][here].mean() / scenario.lyapunov.v / record.cost[:, row][here].mean(),
            "fraction_worst": min(record.fraction[:, row, m][here[:, m]].mean() for m in np.flatnonzero(~never[row])),
            "backlog_final": record.backlog[-1, row][~never[row]].mean(),
            "shortfall_bound": max(record.backlog[-1, row, m] / here[:, m].sum() for m in np.flatnonzero(~never[row])),
            "gap_to_oracle": record.cost[:, row][here].mean() / reference.cost[:, row][here].mean() - 1,
        }
        for name, value in by_hand.items():
            assert metrics[name][row] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    # A queue waits for who is away; nobody is asked anything meanwhile.
    steps = np.diff(record.backlog, axis=0)
    assert not steps[~p].any()
    for name in ("cost", "reward", "objective", "regret", "fraction", "latency_s", "deadline_missed"):
        assert not getattr(record, name)[~p].any(), name
    assert (metrics["regret"] >= -1e-9).all()


@pytest.mark.parametrize("kind", ["leased", "penalty"])
def test_the_constrained_optimum_is_that_of_each_devices_own_slots(kind):
    scenario = scenario_of(kind)
    trace = coming_and_going(scenario, [3], 40)
    found = constrained_optimum(scenario, trace)
    alone = scenario_of(kind, 1)
    costs = []
    for m in range(M):
        there = np.flatnonzero(trace.present[:, 0, m])
        own = only_devices(trace, [m])
        own = type(own)(
            **{
                name: getattr(own, name)[there]
                for name in ("gain", "data_bits", "cycles_per_bit", "deadline_s", "qubits", "depth", "position_m")
            },
            equipment=own.equipment,
        )
        expected = constrained_optimum(alone, own)
        for name in ("cost", "fraction", "multiplier", "feasible", "reachable"):
            got, want = getattr(found, name)[0, m], getattr(expected, name)[0, 0]
            assert got == pytest.approx(want, rel=1e-5), name  # brackets close for all devices together
        costs += [found.cost[0, m]] * len(there)
    assert found.mean_cost[0] == pytest.approx(np.mean(costs))
    record = rollout(make_policy("oracle", scenario), scenario, trace)
    assert measure(record, scenario, found)["gap_to_optimum"][0] == pytest.approx(
        (record.cost + scenario.cost.miss_penalty * record.deadline_missed)[trace.present].mean() / np.mean(costs) - 1
    )


def test_bounds_of_those_who_share_hold_between_the_oracle_and_relaxation():
    scenario = scenario_of("pooled", M, "lyapunov.v=1")
    whole = generate_trace(scenario, [0], num_slots=30)
    present = np.ones((30, 1, M), bool)
    present[..., 2] = False
    bounds = joint_bounds(scenario, whole.with_presence(present))
    expected = joint_bounds(scenario_of("pooled", M - 1, "lyapunov.v=1"), only_devices(whole, [0, 1, 3]))
    np.testing.assert_allclose(bounds.lower, expected.lower, rtol=1e-9)
    np.testing.assert_allclose(bounds.upper, expected.upper, rtol=1e-9)
    for seed in range(3):
        trace = coming_and_going(scenario, [seed, seed + 10], 30)
        bounds = joint_bounds(scenario, trace)
        assert (bounds.lower <= bounds.upper + 1e-9).all()
        assert np.isfinite(bounds.upper).all()


@pytest.mark.parametrize("kind", ["leased", "pooled", "queued"])
def test_a_comparison_of_all_policies(kind, tmp_path, capsys):
    scenario = scenario_of(kind)
    trace = coming_and_going(scenario, [3, 8, 9], T)
    names = [
        name for name in default_policies(scenario) if name not in ("priced-joint", "queue-drift", "priced-selfish")
    ]
    policies = [make_policy(name, scenario) for name in names]
    result = compare(policies, scenario, trace)
    assert result.present == pytest.approx(trace.present.mean())
    text = " ".join(comparison_notes(result))
    assert f"{100 * trace.present.mean():.1f} % of the device-slots" in text
    assert comparison_json(result)["trace"]["present"] == result.present
    json.dumps(comparison_json(result), allow_nan=False)
    blocks = compare_trace(policies, scenario, trace)
    import meqc_marl.evaluation.blocks as module

    room = module.BLOCK_DEVICE_SLOTS
    module.BLOCK_DEVICE_SLOTS = T * M
    try:
        pieces = compare_trace(policies, scenario, trace)
    finally:
        module.BLOCK_DEVICE_SLOTS = room
    for name, metrics in blocks.metrics.items():
        for metric, values in metrics.items():
            np.testing.assert_allclose(pieces.metrics[name][metric], values, rtol=1e-9, atol=1e-12, err_msg=metric)
    assert pieces.present == pytest.approx(blocks.present)
    assert pieces.qpu_admitted == pytest.approx(blocks.qpu_admitted)
    np.testing.assert_array_equal(pieces.optimum.mean_cost, blocks.optimum.mean_cost)


def test_who_is_away_is_white_in_the_map():
    scenario = scenario_of("leased")
    trace = coming_and_going(scenario, [3], T)
    record = rollout(make_policy("oracle", scenario), scenario, trace)
    mode, _ = mode_cells(record)
    np.testing.assert_array_equal(mode == AWAY, ~trace.present[:, 0].T)
    assert draw_mode_map({"oracle": record}).dtype == np.uint8


def test_a_trace_in_which_nobody_comes_is_refused():
    scenario = scenario_of("leased")
    trace = generate_trace(scenario, [0], num_slots=T).with_presence(np.zeros((T, 1, M), bool))
    with pytest.raises(InputError, match="present is 0 for all devices and slots of row 0"):
        beside_oracle(make_policy("greedy", scenario), scenario, trace)


def test_commands_take_such_traces(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scenario = load_scenario("small")
    save_trace(coming_and_going(scenario, [3], 30), "a.npz")
    words = ["--scenario", "small", "--trace", "a.npz"]
    assert main(["compare", *words, "--policies", "oracle", "greedy", "--json", "c.json", "--plot", "c.png"]) == 0
    assert "Devices come and go" in " ".join(capsys.readouterr().out.split())
    share = json.loads((tmp_path / "c.json").read_text())["trace"]["present"]
    assert share == pytest.approx(load_any_trace("a.npz").present.mean())
    assert main(["vary", "lyapunov.v=0.5,2", *words, "--policies", "oracle", "local-only"]) == 0
    assert main(["replay", "oracle", "greedy", *words, "--out", "r.html"]) == 0
