"""C_opt of devices that share: both bounds, and the theory of drift-plus-penalty between them."""

from __future__ import annotations

import numpy as np
import pytest

from meqc_marl.config import load_scenario
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
    assert (bounds.lower <= bounds.upper + 1e-9).all()
    assert (bounds.shortfall < 0.01).all()
    assert (bounds.upper - bounds.lower <= 0.1 * bounds.lower).all()
    alone = constrained_optimum(scenario, trace).cost.mean(-1)
    assert (alone <= bounds.lower * (1 + 1e-9)).all()
    for v in (0.3, 1.0, 3.0):
        here = load_scenario(scenario, [f"lyapunov.v={v}"])
        record = rollout(make_policy("joint-oracle", here), here, trace)
        charged = (record.cost + here.cost.miss_penalty * record.deadline_missed).mean((0, 2))
        owed = (bounds.multiplier * bounds.shortfall[:, None]).mean(-1)  # for what the upper bound's policy falls short
        assert (charged <= bounds.upper + owed + drift_bound(here.lyapunov) / v).all()
        short = np.maximum(here.lyapunov.delta - record.fraction.mean(0), 0.0)
        assert (short <= record.backlog[-1] / trace.num_slots + 1e-12).all()


def test_any_prices_bound_from_below() -> None:
    """A run with too small a V gives poor prices: the bound is lower, and still a bound."""
    scenario = load_scenario("pooled", ["num_devices=3", "lyapunov.delta=0.6"])
    trace = generate_trace(scenario, [3], num_slots=120)
    good, poor = joint_bounds(scenario, trace), joint_bounds(scenario, trace, v=0.05)
    assert poor.lower[0] <= good.upper[0]
    assert good.lower[0] == pytest.approx(good.upper[0], rel=0.15)
