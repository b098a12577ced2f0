"""Comparisons of devices that share: prices of anarchy and ignorance, and both bounds of C_opt."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.comparison import compare, prices_of_sharing
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import POOLED_POLICIES, make_policy
from meqc_marl.policies.joint_oracle import EXACT_DEVICES
from meqc_marl.report.tables import comparison_json, comparison_notes


def test_prices_of_sharing_by_hand() -> None:
    scenario = load_scenario("pooled", ["num_devices=5", "horizon=40", "lyapunov.delta=0.4"])
    trace = generate_trace(scenario, [1, 2])
    result = compare([make_policy(name, scenario) for name in POOLED_POLICIES], scenario, trace)
    charged = {}
    for name in ("joint-oracle", "selfish", "oblivious"):
        record = rollout(make_policy(name, scenario), scenario, trace)
        charged[name] = (record.cost + 20.0 * record.deadline_missed).mean()
    prices = prices_of_sharing(result)
    assert prices["anarchy"] == pytest.approx(charged["selfish"] / charged["joint-oracle"])
    assert prices["ignorance"] == pytest.approx(charged["oblivious"] / charged["joint-oracle"])
    assert result.optimum_above is not None
    assert (result.optimum.cost.mean(-1) <= result.optimum_above + 1e-9).all()
    assert all((metrics["regret"] >= 0).all() for metrics in result.metrics.values())
    assert (result.metrics["joint-oracle"]["regret"] == 0).all()
    assert any("price of anarchy" in note for note in comparison_notes(result))
    assert json.loads(json.dumps(comparison_json(result)))["prices_of_sharing"] == prices
    assert "never negative" in comparison_notes(result)[0]
    many = replace(result, scenario=scenario.model_copy(update={"num_devices": EXACT_DEVICES + 1}))
    assert "not proven" in comparison_notes(many)[0]
    assert "never negative" not in comparison_notes(many)[0]


def test_leases_have_no_price_of_sharing() -> None:
    scenario = load_scenario("small")
    result = compare([make_policy("greedy", scenario)], scenario, generate_trace(scenario, [1], num_slots=5))
    assert prices_of_sharing(result) == {}
    assert result.optimum_above is None
    assert np.isfinite(result.optimum.cost).all()
