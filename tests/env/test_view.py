"""The exact oracle's action follows from the columns of the sufficient view alone; what no column shows is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.config import load_scenario
from meqc_marl.env.observation import observe
from meqc_marl.env.shared import SHARED_COLUMNS
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS, sufficient_view
from meqc_marl.env.view import observation_columns, observation_ends, shown_to, unseen_changes
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


@pytest.mark.parametrize("preset", ["pooled", "queued"])
@pytest.mark.parametrize("devices", [1, 2, 15])
def test_costs_in_company_are_those_with_a_third_of_the_devices_at_each_place(preset, devices):
    """By hand: what a place's parts of the pools take, behind what waits there; beside the paper's columns."""
    pools = ["resources.band_hz=2e8", "resources.server_hz=3e9", "resources.qpu_tiles=2"]
    scenario = load_scenario(preset, [f"num_devices={devices}", "horizon=12", *pools])
    simulator, rng = OffloadingSimulator(scenario, 3), np.random.default_rng(devices)
    simulator.reset(seed=5)
    third = devices / 3
    for _ in range(12):
        seen = dict(
            zip(observation_columns(scenario), np.moveaxis(simulator.observation.astype(float), -1, 0), strict=True)
        )
        work, (cpu_s, qpu_s) = simulator.work, simulator.waits
        band = 2e8 / max(2 * third, 1)
        noise = 10 ** ((scenario.channel.noise_dbm_hz + scenario.channel.noise_figure_db - 30) / 10) * band
        upload = work.data_bits / (band * np.log2(1 + work.tx_power_w * work.gain / noise))
        cycles = work.data_bits * work.cycles_per_bit
        taken = {
            "cpu": upload + cycles * max(third, 1) / 3e9,
            "qpu": upload + work.quantum_s * max(max(third, 1) / 2, 1),
        }
        for place, once in (("cpu", cpu_s), ("qpu", qpu_s)):
            there = np.full(upload.shape, True) if place == "cpu" else work.qpu_admitted
            ack = scenario.channel.ack_bits / scenario.channel.ack_rate_bit_s + once[:, None]
            kink = np.clip((work.local_s - ack) / (work.local_s + taken[place]), scenario.cost.min_fraction, 1)
            np.testing.assert_allclose(seen[f"{place}_middle"][there], kink[there], rtol=1e-5)
            assert (seen[f"{place}_allowed"] == there).all()
            fits = there & (taken[place] + ack <= work.deadline_s)
            assert (seen[f"{place}_last"][fits] == 1.0).all()
        np.testing.assert_allclose(np.expm1(seen["local_cost"]), simulator.places.whole_cost(0), rtol=1e-5)
        paper = OffloadingSimulator(load_scenario(scenario, ["observation=paper"]), 3, simulator.trace)
        paper.reset()
        for _ in range(simulator.slot_index):
            paper.step(np.zeros((3, devices), int), np.zeros((3, devices)))
        np.testing.assert_array_equal(simulator.observation[..., :12], paper.observation[..., :12])
        simulator.step(rng.integers(0, 3, (3, devices)), rng.random((3, devices)))


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


COUNTED = "tasks.circuits=[{qubits: 500, depth: 200000, gates_1: 500, gates_2: 499}]"
COUNTED_SOURCE = ("tasks.source=circuits", COUNTED)


def test_the_papers_columns_tell_no_depth_of_counted_circuits():
    """What waits behind the same columns, o and S among them, takes a thousand times as long."""
    trained, there = (load_scenario("paper", ["observation=paper", *more]) for more in ((), COUNTED_SOURCE))
    assert [each.split("=")[0] for each in unseen_changes(trained, there)] == ["tasks.source", "tasks.circuits"]
    short = load_scenario(there, [COUNTED.replace("200000", "200")])
    assert [each.split("=")[0] for each in unseen_changes(there, short)] == ["tasks.circuits"]
    columns = [observe(scenario, generate_trace(scenario, [0], num_slots=3).slot(1)) for scenario in (there, short)]
    np.testing.assert_array_equal(*columns)
    ring = load_scenario(there, ["tasks.circuit_map=ring"])
    assert unseen_changes(there, ring)[0].startswith("tasks.circuit_map")
    for one, other in ((trained, there), (there, short), (there, ring)):
        wide = (scenario.model_copy(update={"observation": "sufficient"}) for scenario in (one, other))
        assert unseen_changes(*wide) == []


def test_a_policy_is_shown_what_it_reads_and_refused_where_there_is_no_such_view():
    scenario = load_scenario("small", ["observation=paper"])
    trace = generate_trace(scenario, [0], num_slots=5)
    rollout(FromTheView(), scenario, trace)  # sees the sufficient view all the same
    penalty = load_scenario("small", ["cost.deadline=penalty"])
    with pytest.raises(InputError, match=r"'from-the-view' was trained with cost\.deadline = kept"):
        rollout(FromTheView(), penalty, trace)
    with pytest.raises(InputError, match=r"'from-the-view' was trained where nothing is shared .* something is pooled"):
        rollout(FromTheView(), load_scenario("pooled", ["num_devices=3", "horizon=5"]), trace)
    with pytest.raises(InputError, match=r"'shared' was trained where devices share .* nothing is pooled or queued"):
        shown_to(SHARED_COLUMNS, "shared", penalty)
