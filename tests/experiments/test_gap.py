"""Where a gap lies: nothing is lost by who decides the optimum itself, nor by its modes with other shares."""

import numpy as np
import pytest

from experiments.queues import gap
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.lyapunov import BacklogValue
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import Policy, Situation


@pytest.fixture
def system() -> tuple[Scenario, gap.Tolled]:
    scenario = load_scenario("queued", ["num_devices=5", "resources.server_hz=2e9", "lyapunov.v=2"])
    value = BacklogValue(0.9)
    value.weights = -np.array([[2.0, 3.0, 4.0, 1.0, 4.0]])
    return scenario, gap.Tolled(scenario, value)


class Whole(Policy):
    """The modes of the optimum, and whole tasks."""

    name = "whole"

    def __init__(self, tolled: gap.Tolled) -> None:
        self.tolled = tolled

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        mode, _ = self.tolled.act(situation)
        return mode, (mode > 0).astype(float)


def regret(policy: Policy, scenario: Scenario, tolled: gap.Tolled) -> dict[str, float]:
    trace = generate_trace(scenario, [1, 2], num_slots=12)
    watched = gap._Watched(policy)
    record = rollout(watched, scenario, trace)
    return gap.regret(record, watched.seen, tolled, scenario)


def test_the_optimum_has_no_regret_and_whole_tasks_have_that_of_shares(system: tuple[Scenario, gap.Tolled]) -> None:
    scenario, tolled = system
    own = regret(tolled, scenario, tolled)
    assert abs(own["modes"]) < 1e-9
    assert abs(own["shares"]) < 1e-9
    assert own["same_mode"] == 1.0
    whole = regret(Whole(tolled), scenario, tolled)
    assert whole["shares"] > 0.1
    assert abs(whole["modes"]) < 1e-9
    assert whole["cpu_count_off"] == whole["qpu_count_off"] == 0.0


def test_the_value_learned_under_a_policy_charges_for_waits(system: tuple[Scenario, gap.Tolled]) -> None:
    scenario, tolled = system
    value = gap.value_under(Whole(tolled), scenario, episodes=2, slots=40)
    cpu, qpu = value.tolls(np.array([5.0]), np.array([5.0]))
    assert cpu[0] >= 0.0
    assert qpu[0] >= 0.0
    assert cpu[0] + qpu[0] > 0.0
