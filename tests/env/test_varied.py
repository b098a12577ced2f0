"""Fields drawn anew at every reset: rows are the simulators of their scenarios, whatever the batch."""

import numpy as np
import pytest

from meqc_marl.config import load_scenario
from meqc_marl.config.variation import parse_variations, varied
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.varied import VariedSimulator
from meqc_marl.env.view import observation_columns
from meqc_marl.errors import InputError
from meqc_marl.lyapunov import VirtualQueues, scaled_backlog
from meqc_marl.rl.config import offloading_config
from tests.sentences import is_one_sentence

VARY = (
    "lyapunov.v=0.05,20",
    "lyapunov.delta=0,1",
    "quantum.tau_2_s=[1e-7, 1e-6]",
    "cost.latency=[parallel, sequential]",
)


@pytest.fixture
def scenario():
    return load_scenario("small", ["horizon=12"])


def draws(scenario, text, count=400):
    variations = parse_variations(scenario, [text])
    return [varied(scenario, variations, seed, 0) for seed in range(count)]


def test_ranges_and_choices_are_drawn_as_they_say(scenario):
    v = np.array([each.lyapunov.v for each in draws(scenario, "lyapunov.v=0.05,20")])
    assert 0.05 <= v.min() < 0.07
    assert 15 < v.max() <= 20
    assert np.median(v) == pytest.approx(1.0, rel=0.4)  # log-uniform
    delta = np.array([each.lyapunov.delta for each in draws(scenario, "lyapunov.delta=0,1")])
    assert delta.mean() == pytest.approx(0.5, abs=0.06)
    assert len(np.unique(delta)) == len(delta)
    reps = {each.tasks.circuit_reps for each in draws(scenario, "tasks.circuit_reps=1,3")}
    assert reps == {1, 2, 3}
    forms = [each.cost.latency for each in draws(scenario, "cost.latency=[parallel, sequential]")]
    assert 0.4 < forms.count("parallel") / len(forms) < 0.6
    ends = {each.tasks.deadline_s for each in draws(scenario, "tasks.deadline_s=[[4, 12], [8, 40]]", 40)}
    assert ends == {(4.0, 12.0), (8.0, 40.0)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lyapunov.v", "form"),
        ("lyapunov.v=3,1", "lower first"),
        ("lyapunov.v=-1,1", "lyapunov.v"),
        ("lyapunov.w=0,1", "lyapunov.w"),
        ("num_devices=[3, 4]", "all rows have as many"),
        ("cost.deadline=[kept, penalty]", "not possible"),
        ("lyapunov.queue=[neely, literal]", "not possible"),
        ("cost.latency=[parallel, sideways]", "sideways"),
        ("tasks.deadline_s=4,12", "tasks.deadline_s"),
    ],
)
def test_bad_ones_are_told_in_one_sentence(scenario, text, told):
    with pytest.raises(InputError, match=told) as error:
        parse_variations(scenario, [text])
    assert is_one_sentence(str(error.value))
    with pytest.raises(InputError, match="twice"):
        parse_variations(scenario, ["lyapunov.v=1,2", "lyapunov.v=2,3"])


def test_rows_are_simulators_of_their_own_scenarios_and_states_go_on(scenario):
    variations = parse_variations(scenario, VARY)
    simulator = VariedSimulator(scenario, 4, variations)
    simulator.reset([7, 8, 9, 10])
    simulator.reset()  # the second episode
    rng = np.random.default_rng(0)
    actions = [(rng.integers(0, 3, (4, 3)), rng.random((4, 3))) for _ in range(12)]
    alone = [OffloadingSimulator(varied(scenario, variations, seed, 1)) for seed in (7, 8, 9, 10)]
    for row, seed in zip(alone, (7, 8, 9, 10), strict=True):
        row.set_state({"seeds": [seed], "episode": 1, "slot": 0})
    assert len({each.scenario.lyapunov.v for each in alone}) == 4
    for t, (mode, fraction) in enumerate(actions):
        if t == 5:
            state = simulator.get_state()
            simulator = VariedSimulator(scenario, 4, variations)
            simulator.set_state(state)
        np.testing.assert_array_equal(simulator.observation, np.concatenate([row.observation for row in alone]))
        outcome = simulator.step(mode, fraction)
        for i, row in enumerate(alone):
            expected = row.step(mode[i : i + 1], fraction[i : i + 1])
            np.testing.assert_array_equal(outcome.cost[i : i + 1], expected.cost)
    assert simulator.truncated


def test_queues_of_rows_follow_their_own_v_and_delta(scenario):
    simulator = VariedSimulator(scenario, 3, parse_variations(scenario, VARY[:2]))
    simulator.reset([1, 2, 3])
    rng = np.random.default_rng(1)
    together = VirtualQueues(simulator.lyapunov, simulator.miss_penalty, 3, 3)
    alone = [VirtualQueues(each.lyapunov, each.cost.miss_penalty, 1, 3) for each in simulator.scenarios]
    for _ in range(10):
        outcome = simulator.step(rng.integers(0, 3, (3, 3)), rng.random((3, 3)))
        step = together.advance(outcome.cost, outcome.fraction, outcome.deadline_missed)
        for i, queues in enumerate(alone):
            own = queues.advance(
                *(part[i : i + 1] for part in (outcome.cost, outcome.fraction, outcome.deadline_missed))
            )
            for name in ("reward", "objective", "drift", "backlog"):
                np.testing.assert_array_equal(getattr(step, name)[i : i + 1], getattr(own, name))
            shown = scaled_backlog(together.config, step.backlog)[i : i + 1]
            np.testing.assert_array_equal(shown, scaled_backlog(queues.config, own.backlog))


@pytest.mark.parametrize("pooled", [["server"], ["band", "qpu"]])
def test_rows_that_share_and_rows_that_do_not_are_refused_where_their_columns_differ(pooled: list[str]) -> None:
    fields = [f"resources.{part}=pooled" for part in pooled]
    vary = [f"resources.{part}=[leased, pooled]" for part in pooled]
    scenario = load_scenario("paper", ["num_devices=3", "horizon=5", *fields])
    for refusing in (
        lambda: VariedSimulator(scenario, 6, parse_variations(scenario, vary)),
        lambda: offloading_config(scenario, vary=vary),
    ):
        with pytest.raises(InputError, match=f"vary 'resources.{pooled[0]}.* is not possible") as error:
            refusing()
        assert is_one_sentence(str(error.value))
    # One part stays pooled, or the columns are the paper's.
    other = next(part for part in ("band", "server", "qpu") if part not in pooled)
    for more in (f"resources.{other}=pooled", "observation=paper"):
        here = load_scenario(scenario, [more])
        simulator = VariedSimulator(here, 6, parse_variations(here, vary))
        assert simulator.reset(list(range(6))).shape == (6, 3, len(observation_columns(here)))
