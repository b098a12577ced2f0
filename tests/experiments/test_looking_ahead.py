"""Looking ahead: what is measured, by hand, and what the table says of it."""

import numpy as np
import pytest

from experiments.queues import looking_ahead
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy


def test_the_last_three_quarters_are_measured():
    scenario = load_scenario("queued", ["num_devices=5", "resources.server_hz=2e9"])
    trace, policy = generate_trace(scenario, [1, 2], num_slots=8), make_policy("selfish", scenario)
    found, record = looking_ahead.measured(policy, scenario, trace), rollout(policy, scenario, trace)
    charged = record.cost + 20.0 * record.deadline_missed
    assert found["charged"] == pytest.approx(np.mean([charged[slot].mean() for slot in range(2, 8)]))
    assert found["cpu_wait_s"] == pytest.approx(np.mean([record.waits[slot, :, 0].mean() for slot in range(2, 8)]))
    assert found["cpu_wait_s"] > 0


def test_the_table_compares_with_the_cheapest_rule_and_the_myopic_one():
    one = {"cost": 10.0, "missed": 1.0, "fraction": 0.5, "cpu_wait_s": 2.0, "qpu_wait_s": 0.5}
    policies = {"joint-oracle": one | {"charged": 20.0}, "selfish": one | {"charged": 16.0}}
    policies["learned (mean)"] = one | {"charged": 15.0}
    rows = looking_ahead.table({"policies": policies}).splitlines()[2:]
    assert rows[-1] == "| learned (mean) | 10.00 | 15.00 | -6.2 % | -25.0 % | 1.0 % | 0.500 | 2.0 s, 0.5 s |"
