"""The exact oracle's action follows from the columns of the sufficient view alone; what no column shows is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.config import load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS, sufficient_view
from meqc_marl.env.view import observation_columns, observation_ends, unseen_changes
from meqc_marl.errors import InputError
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.places import Work, price
from meqc_marl.policies import make_policy
from meqc_marl.policies.base import Policy

CHANGES = (
    *("quantum.tau_2_s=1e-6", "server.rho=3e-28", "local.zeta=3.05", "devices.lambda_t=0.9", "cost.energy_ref_j=4"),
    *("channel.bandwidth_hz=2e7", "channel.ack_bits=1e9", "channel.ack=literal", "devices.lambda_e=0.1"),
    *("tasks.deadline_s=[2, 12]", "cost.latency=sequential", "cost.min_fraction=0.2", "quantum.circuit=literal"),
    *("quantum.min_success=0.9", "tasks.circuit_reps=3", "lyapunov.v=0.05", "lyapunov.delta=1", "cost.latency_ref_s=9"),
)


class FromTheView(Policy):
    """Decides by the columns alone: costs between the three shares are linear, and z / V is the last column."""

    name, columns = "from-the-view", SUFFICIENT_COLUMNS

    def act(self, situation):
        seen = dict(zip(SUFFICIENT_COLUMNS, np.moveaxis(situation.observation.astype(float), -1, 0), strict=True))
        z = np.expm1(seen["backlog"])
        best = np.where(seen["local_allowed"] > 0.5, 0.0, np.inf)
        mode, fraction = np.zeros(best.shape, np.int8), np.zeros(best.shape)
        for number, place in ((1, "cpu"), (2, "qpu")):
            for share in ("low", "middle", "high"):
                more = seen[f"{place}_cost_{share}"]
                value = np.sign(more) * np.expm1(np.abs(more)) - z * seen[f"{place}_{share}"]
                better = (seen[f"{place}_allowed"] > 0.5) & (value < best)
                best = np.where(better, value, best)
                mode[better], fraction[better] = number, seen[f"{place}_{share}"][better]
        return mode, fraction


@settings(max_examples=40, deadline=None)
@given(
    changes=st.lists(st.sampled_from(CHANGES), max_size=5, unique_by=lambda change: change.split("=")[0]),
    preset=st.sampled_from(["paper", "fast-folders", "static"]),
    seed=st.integers(0, 1000),
)
def test_the_best_action_follows_from_the_columns(changes, preset, seed):
    """Whatever of the system is changed: no regret but that of single precision."""
    scenario = load_scenario(preset, ["num_devices=5", *changes])
    trace = generate_trace(scenario, [seed], num_slots=40)
    record = rollout(FromTheView(), scenario, trace, reference=make_policy("oracle", scenario))
    assert record.regret is not None
    scale = 1.0 + scenario.lyapunov.v * np.abs(record.cost) + record.backlog[:-1]
    assert (record.regret <= 2e-5 * scale).all()


def test_columns_by_hand():
    """Slopes are differences of costs over differences of shares; a place that is not allowed shows nothing."""
    scenario = load_scenario("paper", ["tasks.deadline_s=[4, 12]"])
    trace = generate_trace(scenario, range(4), num_slots=50)
    places = price(scenario, Work.of(scenario, trace.slots()))
    seen = sufficient_view(scenario, places)
    assert seen.dtype == np.float32
    column = dict(zip(SUFFICIENT_COLUMNS, np.moveaxis(seen.astype(float), -1, 0), strict=True))
    for mode, place in ((1, "cpu"), (2, "qpu")):
        low, middle, high = (column[f"{place}_{name}"] for name in ("low", "middle", "high"))
        assert ((low <= middle) & (middle <= high)).all()
        barred = column[f"{place}_allowed"] == 0
        assert barred.any()
        for name in SUFFICIENT_COLUMNS:
            if name.startswith(place):
                assert not column[name][barred].any(), name
        wide = high - middle > 0.01
        costs = [places.cost_of("parallel", mode, share) for share in (middle, high)]
        slope = (costs[1] - costs[0]) / np.where(wide, high - middle, 1.0)
        expected = np.sign(slope) * np.log1p(np.abs(slope))
        np.testing.assert_allclose(column[f"{place}_slope_high"][wide], expected[wide], atol=1e-3)
    np.testing.assert_allclose(np.expm1(column["local_cost"]), places.whole_cost(0), rtol=1e-5)


@pytest.mark.parametrize("overrides", [[], ["cost.deadline=penalty"], ["observation=paper"]])
def test_all_values_are_within_the_space(overrides):
    scenario = load_scenario("small", overrides)
    low, high = observation_ends(scenario)
    simulator = OffloadingSimulator(scenario, 3)
    seen = simulator.reset(0)
    assert seen.shape == (3, 3, len(observation_columns(scenario)))
    assert ((seen >= low) & (seen <= high)).all()
    assert observation_columns(scenario)[-1] == "backlog"


@pytest.mark.parametrize(
    ("view", "change", "unseen"),
    [
        ("sufficient", "quantum.tau_2_s=1e-06", False),
        ("sufficient", "cost.latency=sequential", False),
        ("sufficient", "cost.latency=literal", True),
        ("sufficient", "lyapunov.sign=literal", True),
        ("sufficient", "lyapunov.queue=literal", True),
        ("sufficient", "cost.deadline=penalty", True),
        ("sufficient", "lyapunov.v=3", False),
        ("sufficient", "lyapunov.delta=0.1", False),
        ("sufficient", "num_devices=99", False),
        ("sufficient", "cost.deadline_penalty=3", False),
        ("paper", "quantum.tau_2_s=1e-06", True),
        ("paper", "server.rho=3e-28", True),
        ("paper", "cost.energy_ref_j=4", True),
        ("paper", "devices.lambda_e=0.1", True),
        ("paper", "devices.lambda_t=0.9", False),
        ("paper", "channel.bandwidth_hz=2e7", False),
        ("paper", "channel.ack_bits=1e9", True),
        ("paper", "tasks.deadline_s=[4, 12]", False),
        ("paper", "tasks.circuit_reps=2", True),
    ],
)
def test_what_no_column_shows_is_named(view, change, unseen):
    trained = load_scenario("paper", [f"observation={view}"])
    found = unseen_changes(trained, load_scenario(trained, [change]))
    assert [name.split("=")[0] for name in found] == ([change.split("=")[0]] if unseen else [])


def test_a_policy_is_shown_what_it_reads_and_refused_where_there_is_no_such_view():
    scenario = load_scenario("small", ["observation=paper"])
    trace = generate_trace(scenario, [0], num_slots=5)
    rollout(FromTheView(), scenario, trace)  # sees the sufficient view all the same
    penalty = load_scenario("small", ["cost.deadline=penalty"])
    with pytest.raises(InputError, match=r"'from-the-view' was trained with cost\.deadline = kept"):
        rollout(FromTheView(), penalty, trace)
