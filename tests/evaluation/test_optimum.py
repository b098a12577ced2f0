"""C_opt against linear programming, and the theory of drift-plus-penalty against both."""

import numpy as np
import pytest
from scipy.optimize import linprog

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.lyapunov import drift_bound
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode, settle
from meqc_marl.physics.places import price
from meqc_marl.policies import make_policy

SLOTS, DEVICES = 8, 3


def action_table(scenario, trace, fractions):
    """Cost, fraction and permission of every (mode, fraction) in every slot: [A, T, M]."""
    cost, share, allowed, latency = [], [], [], []
    for mode, phi in [(Mode.LOCAL, 0.0)] + [(mode, phi) for mode in (Mode.CPU, Mode.QPU) for phi in fractions]:
        slots = []
        for t in range(trace.num_slots):
            places = price(scenario, trace.slot(t))
            shape = (1, trace.num_devices)
            outcome = settle(scenario.cost, places, np.full(shape, mode), np.full(shape, phi))
            admitted = places.qpu_admitted if mode == Mode.QPU else np.ones(shape, bool)
            slots.append(
                (
                    outcome.cost[0],
                    outcome.fraction[0],
                    (admitted & ~outcome.deadline_missed)[0],
                    np.where(admitted, outcome.latency_s, np.inf)[0],
                )
            )
        for rows, values in zip((cost, share, allowed, latency), zip(*slots, strict=True), strict=True):
            rows.append(np.stack(values))
    cost, share, allowed, latency = map(np.stack, (cost, share, allowed, latency))
    hopeless = ~allowed.any(0)
    allowed |= hopeless & (latency == latency.min(0))
    return cost, share, allowed


def by_linear_programming(cost, share, allowed, delta):
    """Least mean cost of one device [A, T] over randomised actions with mean share >= delta."""
    actions, slots = cost.shape
    result = linprog(
        np.where(allowed, cost, 0.0).T.ravel() / slots,
        A_ub=-share.T.reshape(1, -1) / slots,
        b_ub=[-delta],
        A_eq=np.kron(np.eye(slots), np.ones((1, actions))),
        b_eq=np.ones(slots),
        bounds=[(0, float(ok)) for ok in allowed.T.ravel()],
    )
    return result.fun if result.success else None


@pytest.mark.parametrize("delta", [0.0, 0.5, 0.8, 1.0])
def test_discrete_optimum_is_the_linear_programme(delta):
    scenario = load_scenario("paper", (f"num_devices={DEVICES}", "tasks.deadline_s=[15, 40]"))
    trace = generate_trace(scenario, [5], num_slots=SLOTS)
    found = constrained_optimum(scenario, trace, delta, discrete=True)
    cost, share, allowed = action_table(scenario, trace, [1.0])
    for device in range(DEVICES):
        pick = np.s_[:, :, device]
        exact = by_linear_programming(cost[pick], share[pick], allowed[pick], delta)
        assert found.feasible[0, device] == (exact is not None)
        if exact is not None:
            assert found.cost[0, device] == pytest.approx(exact, rel=1e-5)
            assert found.fraction[0, device] >= delta - 1e-9
        reachable = np.where(allowed, share, 0.0).max(0).mean(0)
        assert found.reachable[0, device] == pytest.approx(reachable[device])


@pytest.mark.parametrize("latency", ["parallel", "sequential", "literal"])
def test_continuous_optimum_is_at_most_the_linear_programme_on_a_grid(latency):
    scenario = load_scenario(
        "paper", (f"num_devices={DEVICES}", f"cost.latency={latency}", "tasks.deadline_s=[20, 40]")
    )
    trace = generate_trace(scenario, [5], num_slots=SLOTS)
    found = constrained_optimum(scenario, trace, 0.7)
    assert found.feasible.any()
    cost, share, allowed = action_table(scenario, trace, np.linspace(0.01, 1.0, 397))
    for device in range(DEVICES):
        pick = np.s_[:, :, device]
        grid = by_linear_programming(cost[pick], share[pick], allowed[pick], 0.7)
        assert found.feasible[0, device] == (grid is not None)
        if grid is None:
            continue
        assert grid * (1 - 0.003) <= found.cost[0, device] <= grid * (1 + 1e-6)


@pytest.mark.parametrize("deadline", ["kept", "penalty"])
@pytest.mark.parametrize("latency", ["parallel", "literal"])
def test_optimum_is_that_of_any_policy_also_where_no_deadline_can_be_met(latency, deadline):
    """Every action that can be asked for is in the programme; what is carried out, and its penalty, is the physics'."""
    overrides = (f"num_devices={DEVICES}", f"cost.latency={latency}", f"cost.deadline={deadline}")
    scenario = load_scenario("paper", (*overrides, "tasks.deadline_s=[2, 9]"))
    trace = generate_trace(scenario, [5], num_slots=SLOTS)
    found = constrained_optimum(scenario, trace, 0.5)
    cost, share, missed, hopeless = [], [], [], []
    asked = [(Mode.LOCAL, 0.0)] + [(mode, phi) for mode in (Mode.CPU, Mode.QPU) for phi in np.linspace(0.01, 1, 397)]
    places, shape = price(scenario, trace.slots()), (trace.num_slots, 1, trace.num_devices)
    for mode, phi in asked:
        outcome = settle(scenario.cost, places, np.full(shape, mode), np.full(shape, phi))
        parts = (outcome.cost, outcome.fraction, outcome.deadline_missed, ~outcome.deadline_feasible)
        for rows, values in zip((cost, share, missed, hopeless), parts, strict=True):
            rows.append(values[:, 0])
    cost, share, missed, hopeless = map(np.stack, (cost, share, missed, hopeless))
    assert hopeless.any()
    charged = cost + scenario.cost.miss_penalty * missed
    for device in range(DEVICES):
        pick = np.s_[:, :, device]
        grid = by_linear_programming(charged[pick], share[pick], np.ones_like(missed[pick]), 0.5)
        assert found.feasible[0, device] == (grid is not None)
        if grid is not None:
            assert grid * (1 - 0.003) <= found.cost[0, device] <= grid * (1 + 1e-6)


def test_unreachable_delta_is_told():
    """Deadlines of half a second: no upload ends in time, and what is left is the least latency."""
    scenario = load_scenario("paper", ("num_devices=2", "tasks.deadline_s=[0.5, 0.6]"))
    trace = generate_trace(scenario, [1], num_slots=20)
    found = constrained_optimum(scenario, trace, 0.99)
    assert not found.feasible.any()
    assert (found.fraction == found.reachable).all()
    assert np.isinf(found.multiplier).all()
    assert (found.reachable < 0.99).all()


def test_nothing_to_pay():
    """All weights of a device zero: any fraction is as cheap as any other, and the search must still end."""
    scenario = load_scenario("paper", ("num_devices=2", "devices.lambda_t=[0, 0.5]", "devices.lambda_e=[0, 0.5]"))
    found = constrained_optimum(scenario, generate_trace(scenario, [1], num_slots=20))
    assert (found.cost[:, 0] == 0).all()
    assert (found.cost[:, 1] > 0).all()
    assert (found.fraction[found.feasible] >= 0.7 - 1e-9).all()


def test_memory_groups_do_not_change_the_result(monkeypatch):
    scenario = load_scenario("paper", ("num_devices=2",))
    trace = generate_trace(scenario, [1, 2, 3, 4, 5], num_slots=20)
    whole = constrained_optimum(scenario, trace)
    monkeypatch.setattr("meqc_marl.evaluation.optimum._MAX_ELEMENTS", 80)
    monkeypatch.setattr("meqc_marl.evaluation.optimum._BLOCK_ELEMENTS", 28)
    grouped = constrained_optimum(scenario, trace)
    np.testing.assert_allclose(grouped.cost, whole.cost, rtol=1e-5)
    np.testing.assert_array_equal(grouped.feasible, whole.feasible)


def test_cost_falls_as_v_grows_and_keeps_the_bound():
    """Cost <= C_opt + B / V, and Delta - mean phi <= z(T) / T for every device, on real traces."""
    scenario = load_scenario("paper", ("num_devices=8",))
    trace = generate_trace(scenario, [1, 2], num_slots=1000)
    found = constrained_optimum(scenario, trace)
    assert found.feasible.all()
    costs = []
    for v in (0.1, 1.0, 10.0):
        at_v = load_scenario("paper", ("num_devices=8", f"lyapunov.v={v}"))
        record = rollout(make_policy("oracle", at_v), at_v, trace)
        costs.append(record.cost.mean())
        # 1 % for the finite horizon: the bound is about expectations.
        assert costs[-1] <= 1.01 * found.cost.mean() + drift_bound(at_v.lyapunov) / v
        shortfall = scenario.lyapunov.delta - record.fraction.mean(0)
        assert (shortfall <= record.backlog[-1] / len(record.cost) + 1e-9).all()
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize(
    "overrides",
    [
        ("server.rho=1e-18", "devices.leased_qubits=[1,1]"),
        ("cost.deadline=penalty", "channel.noise_dbm_hz=-80", "channel.path_loss_exponent=6"),
        ("cost.deadline=penalty", "cost.latency=literal", "cost.deadline_penalty=1e9", "channel.bandwidth_hz=1000"),
        ("cost.latency=sequential", "server.rho=1e-15"),
    ],
)
def test_what_can_be_reached_is_what_may_be_sent_however_dear_it_is(overrides):
    scenario = load_scenario("paper", ("num_devices=3", *overrides))
    trace = generate_trace(scenario, range(4), num_slots=30)
    most = price(scenario, trace.slots()).choices_under(scenario.cost).high.max(0).mean(0)
    for delta in (0.3, 0.7, 0.95, 1.0):
        found = constrained_optimum(scenario, trace, delta)
        np.testing.assert_allclose(found.reachable, most, rtol=1e-9)
        np.testing.assert_array_equal(found.feasible, found.reachable >= delta)
        np.testing.assert_allclose(found.fraction[~found.feasible], most[~found.feasible], rtol=1e-9)
        assert (found.fraction[found.feasible] >= delta * (1 - 1e-9)).all()
        assert np.isfinite(found.cost).all()
