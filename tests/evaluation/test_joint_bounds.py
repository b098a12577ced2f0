"""C_opt of devices that share: both bounds, and the theory of drift-plus-penalty between them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from meqc_marl.config import load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.evaluation.joint_bounds import joint_bounds
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.lyapunov import drift_bound
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy


def test_the_cost_is_within_b_over_v_of_the_joint_optimum() -> None:
    """Lower bound <= upper; nobody in anybody's way is cheaper still; drift-plus-penalty keeps theory's bound."""
    scenario = load_scenario("pooled", ["num_devices=5", "lyapunov.delta=0.5"])
    trace = generate_trace(scenario, [11, 12], num_slots=160)
    bounds = joint_bounds(scenario, trace)
    assert (bounds.lower <= bounds.upper).all()
    assert (bounds.upper - bounds.lower <= 0.1 * bounds.lower).all()
    alone = constrained_optimum(scenario, trace).cost.mean(-1)
    assert (alone <= bounds.lower * (1 + 1e-9)).all()
    for v in (0.3, 1.0, 3.0):
        here = load_scenario(scenario, [f"lyapunov.v={v}"])
        record = rollout(make_policy("joint-oracle", here), here, trace)
        charged = (record.cost + here.cost.miss_penalty * record.deadline_missed).mean((0, 2))
        assert (charged <= bounds.upper + drift_bound(here.lyapunov) / v).all()
        short = np.maximum(here.lyapunov.delta - record.fraction.mean(0), 0.0)
        assert (short <= record.backlog[-1] / trace.num_slots + 1e-12).all()


def test_any_prices_bound_from_below() -> None:
    """A run with too small a V gives poor prices: the bound is lower, and still a bound."""
    scenario = load_scenario("pooled", ["num_devices=3", "lyapunov.delta=0.6"])
    trace = generate_trace(scenario, [3], num_slots=120)
    good, poor = joint_bounds(scenario, trace), joint_bounds(scenario, trace, v=0.05)
    assert poor.lower[0] <= good.upper[0]
    assert good.lower[0] == pytest.approx(good.upper[0], rel=0.15)


@pytest.mark.parametrize("form", ["parallel", "sequential", "literal"])
@pytest.mark.parametrize(("slots", "delta", "v"), [(1, 0.7, 3.0), (3, 1.0, 3.0), (25, 0.9, 0.05), (25, 0.7, 30.0)])
def test_the_bounds_never_cross(form: str, slots: int, delta: float, v: float) -> None:
    """Traces too short for queues to keep Delta, Deltas up to 1, prices that are no good, all forms of the latency."""
    scenario = load_scenario("pooled", ["num_devices=4", f"lyapunov.delta={delta}", f"cost.latency={form}"])
    bounds = joint_bounds(scenario, generate_trace(scenario, [5, 6, 7], num_slots=slots), v)
    assert (bounds.lower <= bounds.upper * (1 + 1e-9)).all()


def test_the_bounds_of_a_system_that_is_solved_by_brute_force() -> None:
    """Two devices, two slots, Delta = 1: everybody sends whole tasks, and C_opt is the cheapest way to."""
    scenario = load_scenario("pooled", ["num_devices=2", "lyapunov.delta=1"])
    trace = generate_trace(scenario, [8, 9], num_slots=2)
    simulator, whole, total = OffloadingSimulator(scenario, trace=trace), np.ones((2, 2)), np.zeros(2)
    simulator.reset()
    for _ in range(2):
        ways = []
        for modes in product((1, 2), repeat=2):
            outcome = simulator.preview(np.tile(modes, (2, 1)), whole, placed=False)
            ways.append((outcome.cost + 20.0 * outcome.deadline_missed).mean(-1))
        total += np.min(ways, 0)
        simulator.step(np.tile((1, 1), (2, 1)), whole, placed=False)
    bounds = joint_bounds(scenario, trace)
    np.testing.assert_allclose(bounds.upper, total / 2, rtol=1e-12)
    assert (bounds.lower <= total / 2 + 1e-9).all()
