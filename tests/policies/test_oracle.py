"""The oracle is never beaten by a fine grid over everything that can be asked for, settled by the physics itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.config.scenario import Cost, Lyapunov
from meqc_marl.lyapunov import growth, reward
from meqc_marl.physics.cost import Mode, settle
from meqc_marl.policies import drift_plus_penalty
from tests.policies.places import random_places

pytestmark = pytest.mark.filterwarnings("error")
MODES = [tuple(Mode), (Mode.LOCAL, Mode.CPU), (Mode.LOCAL, Mode.QPU), (Mode.LOCAL,)]


def grid_actions(cost, modes, discrete):
    """All (mode, fraction) that may be asked for, on a grid of 201 fractions."""
    fractions = [1.0] if discrete else np.linspace(cost.min_fraction, 1.0, 201)
    yield Mode.LOCAL, 0.0
    for mode in modes:
        if mode != Mode.LOCAL:
            yield from ((mode, fraction) for fraction in fractions)


def evaluate(places, cost, lyapunov, backlog, mode, fraction):
    """What the learner's reward asks to minimise, and the outcome, by the physics."""
    outcome = settle(cost, places, np.broadcast_to(mode, backlog.shape), np.broadcast_to(fraction, backlog.shape))
    queue_growth = growth(lyapunov, outcome.fraction)
    value = -reward(lyapunov, outcome.cost, backlog, queue_growth, outcome.deadline_missed, cost.miss_penalty)
    return value, outcome


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    latency=st.sampled_from(["parallel", "sequential", "literal"]),
    deadline=st.sampled_from(["kept", "penalty"]),
    penalty=st.sampled_from([0.0, 0.5, 20.0, 1e4]),
    queue=st.sampled_from(["neely", "literal"]),
    sign=st.sampled_from(["corrected", "literal"]),
    v=st.sampled_from([0.1, 1.0, 10.0]),
    delta=st.floats(0, 1),
    modes=st.sampled_from(MODES),
    discrete=st.booleans(),
)
def test_no_grid_action_is_better(seed, latency, deadline, penalty, queue, sign, v, delta, modes, discrete):
    rng = np.random.default_rng(seed)
    places = random_places(rng, (40,))
    backlog = rng.choice([0.0, 0.1, 1.0, 30.0, 1e3], 40) * rng.random(40)
    cost = Cost(latency=latency, deadline=deadline, deadline_penalty=penalty)
    lyapunov = Lyapunov(v=v, delta=delta, queue=queue, sign=sign)
    mode, fraction = drift_plus_penalty(places, backlog, cost, lyapunov, modes, discrete)
    value, outcome = evaluate(places, cost, lyapunov, backlog, mode, fraction)

    assert np.isin(mode, modes).all()
    assert (places.qpu_admitted | (mode != Mode.QPU)).all()
    assert ((fraction == 0.0) == (mode == Mode.LOCAL)).all()
    if deadline == "kept":
        assert not (outcome.deadline_missed & outcome.deadline_feasible).any()
        if set(modes) == set(Mode) and not discrete:
            assert not outcome.overruled.any()
    tolerance = 1e-9 * (1.0 + np.abs(value))
    for other_mode, other_fraction in grid_actions(cost, modes, discrete):
        other_value, other = evaluate(places, cost, lyapunov, backlog, other_mode, other_fraction)
        # A mode that may not be taken is no option, unless none may of those that a restricted device knows.
        allowed = places.choices_under(cost).allowed
        option = allowed[other_mode] | (~allowed[list(modes)].any(0) & places.admits(other_mode))
        assert not (option & (other_value < value - tolerance)).any()
        if deadline == "kept":  # nobody can get below the least latency where no deadline is met
            hopeless = ~other.deadline_feasible
            np.testing.assert_allclose(other.latency_s[hopeless], outcome.latency_s[hopeless])


def test_hand_computed_parallel_task():
    """T_L = 10, T_CPU = 5, no ack, energy free: with z = 0 the parts end together, at phi = 10 / 15."""
    places = random_places(np.random.default_rng(0), (1,))
    places = type(places)(
        latency_s=np.array([[10.0], [5.0], [50.0]]),
        energy_j=np.ones((3, 1)),
        ack_latency_s=np.zeros(1),
        ack_energy_j=np.zeros(1),
        deadline_s=np.array([20.0]),
        qpu_admitted=np.array([True]),
        latency_weight=np.ones(1),
        energy_weight=np.zeros(1),
    )
    mode, fraction = drift_plus_penalty(places, np.zeros(1), Cost(), Lyapunov())
    assert mode[0] == Mode.CPU
    assert fraction[0] == pytest.approx(2 / 3)
    # A full unit of phi more costs 5 - 10/3 on a slope of 5: worth it once z V^-1 > 5.
    assert drift_plus_penalty(places, np.array([4.9]), Cost(), Lyapunov())[1][0] == pytest.approx(2 / 3)
    assert drift_plus_penalty(places, np.array([5.1]), Cost(), Lyapunov())[1][0] == 1.0


def test_whole_traces_equal_slots():
    rng = np.random.default_rng(5)
    places = random_places(rng, (7, 2, 3))
    backlog = rng.random((2, 3))
    mode, fraction = drift_plus_penalty(places, backlog, Cost(), Lyapunov())
    for slot in range(7):
        one = drift_plus_penalty(places.slot(slot), backlog, Cost(), Lyapunov())
        np.testing.assert_array_equal(one[0], mode[slot])
        np.testing.assert_array_equal(one[1], fraction[slot])


def test_local_must_be_allowed():
    with pytest.raises(ValueError, match="LOCAL"):
        drift_plus_penalty(
            random_places(np.random.default_rng(0), (1,)), np.zeros(1), Cost(), Lyapunov(), modes=(Mode.CPU,)
        )


def test_a_miss_is_chosen_where_it_is_worth_its_penalty():
    """T_L = 10 s against a deadline of 9 s; sending the least share that meets it costs 100 J more."""
    places = type(random_places(np.random.default_rng(0), (1,)))(
        latency_s=np.array([[10.0], [5.0], [50.0]]),
        energy_j=np.array([[0.0], [1000.0], [1000.0]]),
        ack_latency_s=np.zeros(1),
        ack_energy_j=np.zeros(1),
        deadline_s=np.array([9.0]),
        qpu_admitted=np.array([False]),
        latency_weight=np.ones(1),
        energy_weight=np.ones(1),
    )

    def choose(deadline, penalty):
        cost = Cost(deadline=deadline, deadline_penalty=penalty)
        (mode,), (fraction,) = drift_plus_penalty(places, np.zeros(1), cost, Lyapunov())
        return int(mode), float(fraction)

    kept = (int(Mode.CPU), pytest.approx(0.1))
    assert choose("kept", 20.0) == kept
    # 10 + penalty against 9 + 0.1 * 1000.
    assert choose("penalty", 98.9) == (int(Mode.LOCAL), 0.0)
    assert choose("penalty", 99.1) == kept


@pytest.mark.parametrize("latency", ["parallel", "sequential", "literal"])
@pytest.mark.parametrize("parts", [0.3, 1.0, 3.0, 30.0])
def test_a_miss_is_what_the_reward_says_it_is_also_within_its_tolerance(latency, parts):
    """All shares take the deadline but for some 1e-9 of it: which are told as misses decides."""
    late = np.array([-1.0, 0.5, 1.0, 2.0])
    places = type(random_places(np.random.default_rng(0), (1,)))(
        latency_s=10.0 * np.array([np.ones(4), 1.0 + parts * 1e-9 * late, np.full(4, 50.0)]),
        energy_j=np.array([[7.0] * 4, [9.0] * 4, [9.0] * 4]),
        ack_latency_s=np.zeros(4),
        ack_energy_j=np.zeros(4),
        deadline_s=np.array([10.0, 10.0, 10.0 * (1 - 0.5e-9), 10.0 * (1 - 1e-9)]),
        qpu_admitted=np.zeros(4, bool),
        latency_weight=np.ones(4),
        energy_weight=np.ones(4),
    )
    cost, lyapunov = Cost(latency=latency, deadline="penalty", deadline_penalty=40.0), Lyapunov(v=1.0)
    for z in (0.0, 1.0, 10.0, 30.0, 100.0):
        backlog = np.full(4, z)
        value, _ = evaluate(places, cost, lyapunov, backlog, *drift_plus_penalty(places, backlog, cost, lyapunov))
        for mode, fraction in grid_actions(cost, MODES[1], False):
            assert (value <= evaluate(places, cost, lyapunov, backlog, mode, fraction)[0] + 1e-3).all()
