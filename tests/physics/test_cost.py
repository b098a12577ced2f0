from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from meqc_marl.config import Scenario
from meqc_marl.config.scenario import Cost
from meqc_marl.nature.slot import Equipment, Slot
from meqc_marl.physics.allocation import Allocation, allocate, depends_on_actions
from meqc_marl.physics.cost import Mode, Outcome, PlaceCosts, blend_energy, blend_latency, settle
from meqc_marl.physics.load import ALONE, Load
from meqc_marl.physics.places import price
from tests.policies.places import assert_same_places

LOCAL_S, CPU_S, QPU_S = 8.0, 7.2, 5.8858
LOCAL_J, CPU_J, QPU_J = 32.0, 32.4, 28.81825168


def one(value: float) -> np.ndarray:
    return np.array([[value]])


def worked_slot(residues_qubits: float = 897.0) -> Slot:
    """250 MB, 8 cycles/bit, 60 residues, on a 2 GHz device of 0.1 W with 5 GHz and 2000 qubits leased.

    The gain makes p g / noise = 31, so that the rate is 1e8 * log2(32) = 5e8 bit/s and the upload takes 4 s.
    """
    equipment = Equipment(one(2e9), one(0.1), one(5e9), one(2000.0), one(0.5), one(0.5))
    return Slot(
        gain=one(31 * 3.98107170553497e-13 / 0.1),
        data_bits=one(2e9),
        cycles_per_bit=one(8.0),
        deadline_s=one(10.0),
        qubits=one(residues_qubits),
        depth=one(residues_qubits + 1),
        position_m=np.zeros((1, 1, 2), np.float32),
        equipment=equipment,
    )


def worked_places(scenario: Scenario | None = None, slot: Slot | None = None) -> PlaceCosts:
    scenario, slot = scenario or Scenario(), slot or worked_slot()
    return price(scenario, slot)


def act(cost: Cost, places: PlaceCosts, mode: int, fraction: float) -> Outcome:
    outcome = settle(cost, places, np.array([[mode]]), one(fraction))
    names = [field.name for field in fields(Outcome) if field.name != "present"]
    return Outcome(**{name: getattr(outcome, name)[0, 0] for name in names})


def test_places_by_hand() -> None:
    places = worked_places()
    # T_L = 2e9 * 8 / 2e9 = 8; upload 4 + 2e9 * 8 / 5e9 = 3.2; upload 4 + 2000 * 898 * 1.05e-6
    np.testing.assert_allclose(places.latency_s[:, 0, 0], [8.0, 7.2, 5.8858], rtol=1e-9)
    # 4 W * 8 s; 0.1 * 4 + 10 * 3.2; 0.1 * 4 + 1.8858 * 897 * 0.0168
    np.testing.assert_allclose(places.energy_j[:, 0, 0], [32.0, 32.4, 28.81825168], rtol=1e-9)
    assert places.ack_latency_s[0, 0] == pytest.approx(0.01)
    assert places.ack_energy_j[0, 0] == pytest.approx(5e-4)
    assert places.deadline_s[0, 0] == 10.0
    assert places.qpu_admitted[0, 0]
    assert places.latency_weight[0, 0] == places.energy_weight[0, 0] == 0.5


def test_literal_places_by_hand(literal: Scenario) -> None:
    places = worked_places(literal)
    # The QPU takes 2000 * 897 * 1.05e-6 = 1.8837 s; the server's rho is 5e-28: 62.5 W.
    np.testing.assert_allclose(places.latency_s[:, 0, 0], [8.0, 7.2, 5.8837], rtol=1e-9)
    expected = [32.0, 0.4 + 62.5 * 3.2, 2000 * 897 * 0.0168 + 0.1 * 1.8837]
    np.testing.assert_allclose(places.energy_j[:, 0, 0], expected, rtol=1e-9)
    # Ack of 1 Mb at 5e8 bit/s, paid with 0.1 W.
    assert places.ack_latency_s[0, 0] == pytest.approx(0.002)
    assert places.ack_energy_j[0, 0] == pytest.approx(2e-4)


def test_reference_units_scale_the_weights() -> None:
    places = worked_places(Scenario(cost=Cost(latency_ref_s=2.0, energy_ref_j=5.0)))
    assert places.latency_weight[0, 0] == pytest.approx(0.25)
    assert places.energy_weight[0, 0] == pytest.approx(0.1)


def test_leases_do_not_look_at_the_actions() -> None:
    scenario, slot = Scenario(), worked_slot()
    assert not depends_on_actions(scenario)
    leased = slot.equipment.server_cpu_hz
    for load in (ALONE, Load.of_counts(7.0, 9.0)):
        assert allocate(scenario, leased, load) == Allocation(1e8, leased, None)


def test_local_has_no_ack_in_any_form() -> None:
    for form in ("parallel", "sequential", "literal"):
        outcome = act(Cost(latency=form), worked_places(), Mode.LOCAL, 0.9)  # type: ignore[arg-type]
        assert (outcome.mode, outcome.fraction) == (Mode.LOCAL, 0.0)
        assert outcome.latency_s == pytest.approx(8.0)
        assert outcome.energy_j == pytest.approx(32.0)
        assert outcome.cost == pytest.approx(0.5 * 8 + 0.5 * 32)
        assert not outcome.deadline_missed
        assert not outcome.qpu_rejected


@pytest.mark.parametrize(
    ("form", "fraction", "latency_s", "energy_j"),
    [
        # max(0.5 * 8, 0.5 * 7.2 + 0.01) = 4; 0.5 * 32 + 0.5 * 32.4 + 0.0005
        ("parallel", 0.5, 4.0, 32.2005),
        # max(0.25 * 8, 0.75 * 7.2 + 0.01) = 5.41; 8 + 24.3 + 0.0005
        ("parallel", 0.75, 5.41, 32.3005),
        ("parallel", 1.0, 7.21, 32.4005),
        # 0.5 * 8 + 0.5 * 7.2 + 0.01
        ("sequential", 0.5, 7.61, 32.2005),
        ("sequential", 1.0, 7.21, 32.4005),
        # 0.25 * 8 + 0.5 * (0.5 * 7.2 + 0.01) = 3.805; 0.25 * 32 + 0.5 * (0.5 * 32.4 + 0.0005) = 16.10025
        ("literal", 0.5, 3.805, 16.10025),
        ("literal", 1.0, 7.21, 32.4005),
    ],
)
def test_cpu_by_hand(form: str, fraction: float, latency_s: float, energy_j: float) -> None:
    outcome = act(Cost(latency=form), worked_places(), Mode.CPU, fraction)  # type: ignore[arg-type]
    assert (outcome.mode, outcome.fraction) == (Mode.CPU, fraction)
    assert outcome.latency_s == pytest.approx(latency_s, rel=1e-12)
    assert outcome.energy_j == pytest.approx(energy_j, rel=1e-12)
    assert outcome.cost == pytest.approx(0.5 * latency_s + 0.5 * energy_j, rel=1e-12)


def test_qpu_by_hand() -> None:
    outcome = act(Cost(), worked_places(), Mode.QPU, 0.5)
    assert outcome.mode == Mode.QPU
    assert outcome.latency_s == pytest.approx(4.0)  # the half on the device: 0.5 * 8
    assert outcome.energy_j == pytest.approx(0.5 * 32 + 0.5 * 28.81825168 + 5e-4)
    assert act(Cost(), worked_places(), Mode.QPU, 1.0).latency_s == pytest.approx(5.8958)


def test_a_rejected_task_runs_on_the_server_cpu() -> None:
    places = worked_places(slot=worked_slot(1291.0))
    asked, cpu = act(Cost(), places, Mode.QPU, 0.75), act(Cost(), places, Mode.CPU, 0.75)
    assert asked.qpu_rejected
    assert not cpu.qpu_rejected
    assert asked.mode == Mode.CPU
    assert (asked.latency_s, asked.energy_j, asked.cost) == (cpu.latency_s, cpu.energy_j, cpu.cost)


def test_a_remote_mode_sends_at_least_the_least_share() -> None:
    for asked in (0.0, 0.005):
        outcome = act(Cost(), worked_places(), Mode.CPU, asked)
        assert outcome.fraction == 0.01
        assert outcome.energy_j == pytest.approx(0.99 * 32 + 0.01 * 32.4 + 5e-4)
    assert act(Cost(min_fraction=0.3), worked_places(), Mode.CPU, 0.2).fraction == 0.3


def test_deadlines() -> None:
    cost = Cost(deadline="penalty")

    def outcome(deadline_s: float, mode: int, fraction: float) -> Outcome:
        slot = replace(worked_slot(), deadline_s=one(deadline_s))
        return act(cost, worked_places(Scenario(cost=cost), slot), mode, fraction)

    assert not outcome(8.0, Mode.LOCAL, 0).deadline_missed
    missed = outcome(7.99, Mode.LOCAL, 0)
    assert missed.deadline_missed
    assert missed.deadline_feasible
    assert missed.cost == pytest.approx(20.0)  # no penalty in the cost
    # The best is a share on the QPU: (8 - 0.01) / (8 + 5.8858) = 0.57541, 8 * 0.42459 = 3.39674 s
    assert outcome(3.3968, Mode.QPU, 0.575407).deadline_feasible
    assert not outcome(3.3967, Mode.QPU, 0.575407).deadline_feasible


def test_feasibility_does_not_count_a_qpu_that_rejects() -> None:
    # On the CPU the best is 8 * (1 - 7.99 / 15.2) = 3.79474 s.
    for deadline_s, feasible in ((3.795, True), (3.794, False)):
        slot = replace(worked_slot(1291.0), deadline_s=one(deadline_s))
        assert bool(act(Cost(), worked_places(slot=slot), Mode.LOCAL, 0).deadline_feasible) is feasible


def test_places_over_a_trace_are_the_places_of_its_slots(paper: Scenario) -> None:
    from meqc_marl.nature.trace import generate_trace

    trace = generate_trace(paper, [1, 2], num_slots=4)
    block = trace.slots()
    together = price(paper, block)
    assert together.latency_s.shape == (3, 4, 2, 15)
    for t in range(4):
        assert_same_places(together.slot(t), price(paper, trace.slot(t)))


def test_blends_at_share_zero_are_local() -> None:
    parts = (np.array([0.0]), np.array([3.0]), np.array([5.0]), np.array([0.25]))
    for form in ("parallel", "sequential", "literal"):
        assert blend_latency(form, *parts) == blend_energy(form, *parts) == 3.0
