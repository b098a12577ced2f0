"""Equilibria device by device, and the reference table of the pooled system."""

from __future__ import annotations

import numpy as np
import pytest
from joint_brute_force import objective_with_penalty

from meqc_marl.config import load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.errors import InputError
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import price
from meqc_marl.policies import Situation, make_policy
from meqc_marl.policies.base import Policy
from meqc_marl.policies.best_response import BestResponse, Oblivious, mean_joint_counts
from meqc_marl.policies.joint.place_values import place_values


@pytest.mark.parametrize("form", ["parallel", "sequential", "literal"])
@pytest.mark.parametrize("devices", [6, 40])
def test_nobody_gains_by_changing(form: str, devices: int) -> None:
    """At the selfish equilibrium for itself, at the team's for all: every device's other modes, by the simulator."""
    scenario = load_scenario("pooled", [f"num_devices={devices}", f"cost.latency={form}"])
    simulator = OffloadingSimulator(scenario, 2)
    simulator.reset(seed=1)
    rng = np.random.default_rng(0)
    backlog = rng.exponential(10.0, (2, devices))
    situation = Situation(simulator.observation, simulator.places, backlog, simulator.work, rng)
    for name in ("selfish", "team-best-response"):
        mode, fraction = make_policy(name, scenario).act(situation)
        own = objective_with_penalty(scenario, simulator.preview(mode, fraction, placed=False), backlog)
        for device in range(0, devices, max(1, devices // 8)):
            for other in range(3):
                changed = mode.copy()
                changed[:, device] = other
                # Everybody's best shares under the changed modes.
                value, share = place_values(scenario, price(scenario, simulator.work, Load.seen(changed)), backlog)
                best = np.take_along_axis(share, changed[None].astype(int), 0)[0]
                worth = objective_with_penalty(scenario, simulator.preview(changed, best, placed=False), backlog)
                allowed = np.isfinite(np.take_along_axis(value, changed[None].astype(int), 0)[0][:, device])
                gain = (own - worth)[:, device] if name == "selfish" else (own - worth).sum(-1)
                assert (gain[allowed] <= 1e-6).all(), (name, device, other)


def test_rounds_that_begin_with_what_another_policy_decides() -> None:
    """Every round of the team lowers the total; an optimum to begin with is left as it is; a few rounds are a few."""
    scenario = load_scenario("pooled", ["num_devices=8"])
    simulator = OffloadingSimulator(scenario, 3)
    simulator.reset(seed=2)
    backlog = np.random.default_rng(1).exponential(10.0, (3, 8))
    situation = Situation(simulator.observation, simulator.places, backlog, simulator.work, np.random.default_rng(0))

    def total(policy: Policy) -> np.ndarray:
        outcome = simulator.preview(*policy.act(situation), placed=False)
        return objective_with_penalty(scenario, outcome, backlog).sum(-1)

    best, start = make_policy("joint-oracle", scenario), make_policy("random", scenario)
    kept = BestResponse(scenario, "kept", team=True, start=best)
    np.testing.assert_array_equal(kept.act(situation)[0], best.act(situation)[0])
    assert (kept.changes == 0).all()
    assert (kept.rounds == 1).all()
    one, two = (BestResponse(scenario, "some", team=True, most_rounds=rounds, start=start) for rounds in (1, 2))
    frozen = Situation(*vars(situation).values())
    after = []
    for policy in (one, two):
        frozen.rng.bit_generator.state = np.random.default_rng(7).bit_generator.state
        after.append(total(policy))
    assert (one.rounds == 1).all()
    assert (two.rounds <= 2).all()
    assert (one.changes > 0).all()
    assert (after[1] <= after[0] + 1e-9).all()
    assert (total(best) <= after[1] + 1e-9).all()
    with pytest.raises(InputError, match="most_rounds is 0; it must be at least 1"):
        BestResponse(scenario, "none", team=True, most_rounds=0)


@pytest.mark.parametrize("team", [True, False])
def test_of_those_who_answer_at_once_the_one_that_gains_most_changes(team: bool) -> None:
    """Found by trying every change of every device in the simulator."""
    scenario = load_scenario("pooled", ["num_devices=6"])
    simulator = OffloadingSimulator(scenario, 4)
    simulator.reset(seed=3)
    backlog = np.random.default_rng(2).exponential(10.0, (4, 6))
    situation = Situation(simulator.observation, simulator.places, backlog, simulator.work, np.random.default_rng(0))
    start = make_policy("greedy", scenario)
    once = BestResponse(scenario, "once", team=team, most_rounds=1, start=start, at_once=True)
    begun, found = start.act(situation)[0], once.act(situation)[0]

    def own(mode: np.ndarray) -> np.ndarray:
        share = place_values(scenario, price(scenario, simulator.work, Load.seen(mode)), backlog).fraction
        taken = np.take_along_axis(share, mode[None].astype(int), 0)[0]
        return objective_with_penalty(scenario, simulator.preview(mode, taken, placed=False), backlog)

    gains = {}
    for device in range(6):
        for other in range(3):
            changed = begun.copy()
            changed[:, device] = other
            gain = own(begun) - own(changed)
            rejected = ~simulator.places.qpu_admitted[:, device] & (other == 2)
            gains[device, other] = np.where(rejected, -np.inf, gain.sum(-1) if team else gain[:, device])
    for row in range(4):
        device, other = max(gains, key=lambda change: gains[change][row])
        expected = begun[row].copy()
        expected[device] = other
        np.testing.assert_array_equal(found[row], expected)
    np.testing.assert_array_equal(once.changes, (found != begun).sum(-1))
    assert once.changes.sum() >= 2
    settled = BestResponse(scenario, "settled", team=team, start=start, at_once=True)
    settled.act(situation)
    assert (settled.changes == settled.rounds - 1).all()


def test_the_oblivious_take_what_they_believe() -> None:
    """Believing that nobody shares, they are greedy; and their belief of others is that of the joint optimum."""
    scenario = load_scenario("pooled", ["lyapunov.delta=0"])
    trace = generate_trace(scenario, [7], num_slots=20)
    alone = rollout(Oblivious(scenario, (0.0, 0.0)), scenario, trace)
    greedy = rollout(make_policy("greedy", scenario), scenario, trace)
    np.testing.assert_array_equal(alone.mode, greedy.mode)
    cpu, qpu = mean_joint_counts(load_scenario("pooled"))
    assert cpu == pytest.approx(4.9, abs=0.7)  # of the reference table's traces
    assert qpu == pytest.approx(6.5, abs=0.7)


@pytest.mark.long
def test_the_reference_table() -> None:
    """An independent implementation of the same model reached these, on these traces."""
    scenario = load_scenario("pooled")
    trace = generate_trace(scenario, range(1000, 1006), num_slots=500)
    reference = make_policy("joint-oracle", scenario)
    expected = {
        "joint-oracle": (18.51, 18.93, 19.28, 0.670, 0.021, 0.0),
        "team-best-response": (18.52, 19.02, 19.37, 0.671, 0.025, 0.005),
        "selfish": (19.28, 20.01, 20.36, 0.685, 0.036, 0.063),
        "oblivious": (19.37, 24.60, 24.81, 0.709, 0.26, 0.32),
        "local-only": (21.60, 23.86, 146.1, 0.0, 0.11, None),
    }
    counts = (0.0, 0.0)
    for name, (cost, with_penalty, objective, fraction, missed, over) in expected.items():
        policy = make_policy(name, scenario)
        if isinstance(policy, Oblivious):
            policy = Oblivious(scenario, counts)
        record = rollout(policy, scenario, trace, reference=reference)
        if name == "joint-oracle":
            counts = (float((record.mode == 1).sum(-1).mean()), float((record.mode == 2).sum(-1).mean()))
        misses = 20.0 * record.deadline_missed
        assert record.cost.mean() == pytest.approx(cost, abs=0.006)
        assert (record.cost + misses).mean() == pytest.approx(with_penalty, abs=0.006)
        total = record.objective + misses
        assert total.mean() == pytest.approx(objective, rel=3e-4)
        assert record.fraction.mean() == pytest.approx(fraction, abs=6e-4)
        assert record.deadline_missed.mean() == pytest.approx(missed, abs=0.005)
        if over is not None:
            regret = record.regret
            assert regret is not None
            assert regret.sum() / (total - regret).sum() == pytest.approx(over, abs=0.005)
