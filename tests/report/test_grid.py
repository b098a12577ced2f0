"""Points of a sweep against the oracle, C_opt and the bounds written out."""

import json

import numpy as np
import pytest

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.grid import grid_json, grid_points, points_of
from meqc_marl.evaluation.metrics import OracleReference, measure
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy
from meqc_marl.report.grid import grid_table, save_grid_plot


@pytest.fixture(scope="module")
def scenario():
    return load_scenario("small", ["horizon=200"])


@pytest.fixture(scope="module")
def trace(scenario):
    return generate_trace(scenario, range(4))


@pytest.fixture(scope="module")
def points(scenario, trace):
    """The oracle itself in the place of the learner: then theory must hold."""
    records = []
    for v in (0.1, 1.0, 10.0):
        for delta in (0.3, 0.6, 1.0):
            here = load_scenario(scenario, [f"lyapunov.v={v}", f"lyapunov.delta={delta}"])
            oracle = make_policy("oracle", here)
            record = rollout(oracle, here, trace, reference=oracle)
            metrics = measure(record, here, oracle=OracleReference.of(record))
            records += [(v, delta, {name: float(value.mean()) for name, value in metrics.items()})] * 3
    return {(point.v, point.delta): point for point in grid_points(scenario, trace, records)}


def test_the_oracle_put_in_comes_out_and_keeps_the_bounds(points, scenario, trace):
    assert len(points) == 9
    for (v, delta), point in points.items():
        for name, value in point.oracle.items():
            assert point.learned[name].value == pytest.approx(value), name
        assert point.feasible == constrained_optimum(scenario, trace, delta).feasible.all()
        if point.feasible:
            # Finite episodes begin with empty queues, which helps.
            assert point.oracle["cost"] <= point.cost_bound
            assert point.oracle["backlog_mean"] <= point.backlog_bound
            assert point.cost_bound == pytest.approx(point.optimum + 0.5 * max(delta, 1 - delta) ** 2 / v)


def test_a_delta_of_one_is_out_of_reach_and_is_marked(points):
    assert not points[1.0, 1.0].feasible
    assert points[1.0, 1.0].backlog_bound == points[1.0, 1.0].cost_bound == np.inf
    assert points[1.0, 0.3].feasible


def test_backlog_bound_is_the_least_over_slacks(points, scenario, trace):
    unconstrained = constrained_optimum(scenario, trace, 0.0).cost.mean()
    v, delta = 1.0, 0.3
    by_hand = []
    for slack in (0.02, 0.05, 0.1, 0.15, 0.2):
        optimum = constrained_optimum(scenario, trace, delta + slack)
        if optimum.feasible.all():
            by_hand.append((0.5 * 0.7**2 + v * (optimum.cost.mean() - unconstrained)) / slack)
    assert points[v, delta].backlog_bound == pytest.approx(min(by_hand))


def test_report_says_what_is_out_of_reach_and_has_plain_numbers(points, tmp_path):
    table = grid_table(list(points.values()))
    assert list(table.columns[1].cells).count("1*") == 3
    assert "*: Delta is out of reach" in table.caption
    content = grid_json(list(points.values()))
    assert [point["backlog_bound"] for point in content if point["delta"] == 1.0] == [None] * 3
    assert grid_json(points_of(json.loads(json.dumps(content)))) == content
    save_grid_plot(list(points.values()), tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
