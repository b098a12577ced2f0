"""One common suite for every policy, and the registry against the files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import meqc_marl.policies as package
from meqc_marl.config import load_scenario
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.errors import InputError
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode, settle
from meqc_marl.policies import DEFAULT_POLICIES, POLICIES, POOLED_POLICIES, QUEUED_POLICIES, Situation, make_policy

LATENCY = ["parallel", "sequential", "literal"]
PERMITTED = {
    "local-only": {Mode.LOCAL},
    "cpu-discrete": {Mode.LOCAL, Mode.CPU},
    "cpu-continuous": {Mode.LOCAL, Mode.CPU},
    "qpu-discrete": {Mode.LOCAL, Mode.QPU},
    "qpu-continuous": {Mode.LOCAL, Mode.QPU},
    "oracle-cpu": {Mode.LOCAL, Mode.CPU},
    "oracle-cpu-discrete": {Mode.LOCAL, Mode.CPU},
    "oracle-qpu": {Mode.LOCAL, Mode.QPU},
    "oracle-qpu-discrete": {Mode.LOCAL, Mode.QPU},
}
WITHOUT_QUEUE = {
    "greedy": "oracle",
    "hybrid-discrete": "oracle-discrete",
    "cpu-continuous": "oracle-cpu",
    "cpu-discrete": "oracle-cpu-discrete",
    "qpu-continuous": "oracle-qpu",
    "qpu-discrete": "oracle-qpu-discrete",
}


def situation(scenario, seed=0, envs=3):
    simulator = OffloadingSimulator(scenario, envs)
    observation = simulator.reset(seed)
    rng = np.random.default_rng(seed)
    backlog = rng.uniform(0, 20, (envs, scenario.num_devices))
    return Situation(observation, simulator.places, backlog, simulator.work, np.random.default_rng(seed))


@pytest.mark.parametrize("latency", LATENCY)
@pytest.mark.parametrize("name", POLICIES)
def test_actions_are_valid(name, latency):
    scenario = load_scenario("paper", (f"cost.latency={latency}",))
    policy = make_policy(name, scenario)
    assert policy.name == name
    now = situation(scenario)
    mode, fraction = policy.act(now)
    assert mode.shape == fraction.shape == now.backlog.shape
    assert np.issubdtype(mode.dtype, np.integer)
    assert set(np.unique(mode)) <= PERMITTED.get(name, set(Mode))
    assert ((fraction == 0) == (mode == Mode.LOCAL)).all()
    assert ((fraction == 0) | ((fraction >= scenario.cost.min_fraction) & (fraction <= 1))).all()
    outcome = settle(scenario.cost, now.places, mode, fraction)
    assert not (outcome.deadline_missed & outcome.deadline_feasible).any()
    if "discrete" in name:
        assert set(np.unique(fraction)) <= {0.0, 1.0}
    if name != "random":
        assert now.places.qpu_admitted[mode == Mode.QPU].all()


@pytest.mark.parametrize("name", POLICIES)
def test_same_seed_same_rollout(name):
    scenario = load_scenario("paper", ("num_devices=3", "horizon=12"))
    trace = generate_trace(scenario, [1, 2])
    first, second = (rollout(make_policy(name, scenario), scenario, trace, seed=4) for _ in range(2))
    for field, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, field))


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "random"])
def test_rows_do_not_matter_to_each_other(name):
    scenario = load_scenario("paper", ("num_devices=3", "horizon=12"))
    trace = generate_trace(scenario, [1, 2, 3])
    together = rollout(make_policy(name, scenario), scenario, trace)
    alone = rollout(make_policy(name, scenario), scenario, trace.row(2))
    np.testing.assert_array_equal(together.cost[:, 2:], alone.cost)
    np.testing.assert_array_equal(together.backlog[:, 2:], alone.backlog)


def test_random_follows_its_generator():
    scenario = load_scenario("paper", ("num_devices=3", "horizon=12"))
    trace = generate_trace(scenario, [1])
    policy = make_policy("random", scenario)
    assert (rollout(policy, scenario, trace, 1).mode != rollout(policy, scenario, trace, 2).mode).any()


def test_greedy_minimises_cost_also_with_the_printed_sign():
    right, printed = (load_scenario("paper", (f"lyapunov.sign={sign}",)) for sign in ("corrected", "literal"))
    now = situation(right)
    assert_same_actions(make_policy("greedy", right).act(now), make_policy("greedy", printed).act(now))


def assert_same_actions(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("name", "oracle"), WITHOUT_QUEUE.items())
def test_the_papers_methods_are_the_oracles_with_empty_queues(name, oracle):
    scenario = load_scenario("paper")
    now = situation(scenario)
    empty = replace(now, backlog=np.zeros_like(now.backlog))
    myopic, with_queue = make_policy(name, scenario), make_policy(oracle, scenario)
    assert_same_actions(myopic.act(now), myopic.act(empty))
    assert_same_actions(myopic.act(now), with_queue.act(empty))
    assert with_queue.act(now)[1].mean() > with_queue.act(empty)[1].mean()


def test_the_restricted_oracles_are_shown_on_request():
    of_pools = {"joint-oracle", "team-best-response", "selfish", "oblivious"}
    of_queues = {"priced-joint", "tolled-joint", "queue-drift", "priced-selfish"}
    assert set(POLICIES) - set(DEFAULT_POLICIES) == set(WITHOUT_QUEUE.values()) - {"oracle"} | of_pools | of_queues
    assert set(QUEUED_POLICIES) == {"joint-oracle", "selfish", "local-only", "random"} | of_queues
    assert set(POOLED_POLICIES) == of_pools | {"greedy", "local-only", "random"}


NOT_RULES = {"learned", "folders", "onnx"}


def test_every_file_is_registered():
    """Each policy file is imported by the registry; base and what serves trained policies register nothing."""
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__", "base", *NOT_RULES}
    registered = {factory.__module__.rpartition(".")[2] for factory in POLICIES.values()}
    assert registered == files


def test_unknown_policy_is_one_sentence():
    with pytest.raises(InputError, match=r"greedi.*did you mean 'greedy'"):
        make_policy("greedi", load_scenario("paper"))
