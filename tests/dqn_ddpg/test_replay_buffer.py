import pickle
import subprocess
import sys
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.replay_buffer import FlatReplayBuffer


def rows(start: int, count: int) -> dict[str, np.ndarray]:
    ids = np.arange(start, start + count, dtype=np.int64)
    return {"id": ids, "obs": np.stack([ids, -ids], -1).astype(np.float32)}


@given(capacity=st.integers(1, 12), counts=st.lists(st.integers(1, 30), max_size=8))
def test_keeps_the_newest_rows_like_a_deque(capacity, counts):
    buffer, model = FlatReplayBuffer(capacity, seed=0), deque(maxlen=capacity)
    total = 0
    for count in counts:
        buffer.add(rows(total, count))
        model.extend(range(total, total + count))
        total += count
    assert len(buffer) == len(model)
    assert buffer.num_added == total
    if model:
        drawn = buffer.sample(400)
        assert set(drawn["id"]) <= set(model)
        np.testing.assert_array_equal(drawn["obs"][:, 0], drawn["id"])
        kept = buffer.get_state()["columns"]["id"]
        assert sorted(kept) == sorted(model)


def test_sampling_is_uniform():
    buffer = FlatReplayBuffer(10, seed=1)
    buffer.add(rows(0, 10))
    counts = np.bincount(buffer.sample(20_000)["id"], minlength=10)
    # 6 standard deviations of a binomial(20000, 0.1)
    assert np.abs(counts - 2000).max() < 6 * np.sqrt(20_000 * 0.1 * 0.9)


def test_a_restored_buffer_goes_on_bit_by_bit():
    buffer = FlatReplayBuffer(50, seed=3)
    buffer.add(rows(0, 70))
    buffer.sample(5)
    state = pickle.loads(pickle.dumps(buffer.get_state()))
    other = FlatReplayBuffer(50, seed=99)
    other.set_state(state)
    for step in range(3):
        for b in (buffer, other):
            b.add(rows(100 + 7 * step, 7))
        first, second = buffer.sample(64), other.sample(64)
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_wrong_use_is_refused():
    buffer = FlatReplayBuffer(5)
    with pytest.raises(ValueError, match="empty"):
        buffer.sample(1)
    buffer.add(rows(0, 2))
    with pytest.raises(ValueError, match="columns"):
        buffer.add({"id": np.zeros(1)})
    with pytest.raises(ValueError, match="holds 5 rows"):
        FlatReplayBuffer(6).set_state(buffer.get_state())


def test_columns_can_be_left_out():
    buffer = FlatReplayBuffer(5, seed=0)
    buffer.add(rows(0, 5))
    assert set(buffer.sample(3, frozenset({"obs"}))) == {"id"}


def prioritised(capacity=10, beta=0.5, **kwargs):
    return FlatReplayBuffer(capacity, seed=1, alpha=0.6, beta=beta, **kwargs)


def test_prioritised_sampling_and_weights_follow_the_law():
    """P(i) = p_i^alpha / sum, w_i = (N P(i))^-beta / max (Schaul et al. 2016, equations 1 and 2)."""
    buffer = prioritised()
    buffer.add(rows(0, 13))
    errors = np.array([0.1, 2.0, 0.0, 1.0, 0.5, 0.5, 3.0, 0.2, 0.7, 1.5])
    buffer.update_priorities(np.arange(10), errors)
    powers = (errors + 1e-6) ** 0.6
    probability = powers / powers.sum()
    drawn = buffer.sample(100_000)
    counts = np.bincount(drawn["index"], minlength=10)
    assert np.abs(counts - 1e5 * probability).max() < 6 * np.sqrt(1e5 * 0.25)
    weight = (10 * probability[drawn["index"]]) ** -0.5
    np.testing.assert_allclose(drawn["weight"], weight / weight.max(), rtol=1e-5)
    # Rows 10 to 12 took the places 0 to 2.
    np.testing.assert_array_equal(drawn["id"], np.where(drawn["index"] < 3, drawn["index"] + 10, drawn["index"]))


def test_a_new_row_has_the_largest_priority_so_far():
    buffer = prioritised(capacity=4)
    buffer.add(rows(0, 4))
    buffer.update_priorities(np.arange(4), np.array([1e-3, 1e-3, 1e-3, 50.0]))
    buffer.add(rows(4, 1))
    counts = np.bincount(buffer.sample(10_000)["index"], minlength=4)
    assert abs(counts[0] - counts[3]) < 6 * np.sqrt(10_000 / 2)
    assert counts[1] < 50


def test_a_restored_prioritised_buffer_goes_on_bit_by_bit():
    buffer, other = prioritised(50), prioritised(50)
    buffer.add(rows(0, 70))
    buffer.update_priorities(np.arange(50), np.linspace(0, 5, 50))
    other.set_state(pickle.loads(pickle.dumps(buffer.get_state())))
    for step in range(3):
        drawn = []
        for b in (buffer, other):
            b.add(rows(100 + 7 * step, 7))
            drawn.append(b.sample(64))
            b.update_priorities(drawn[-1]["index"], drawn[-1]["id"] / 10.0)
        assert all(np.array_equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    with pytest.raises(ValueError, match="not both prioritised"):
        FlatReplayBuffer(50).set_state(buffer.get_state())


def test_an_older_smaller_state_leaves_no_priority_behind():
    buffer = prioritised(50)
    buffer.add(rows(1, 10))
    state = buffer.get_state()
    buffer.add(rows(11, 40))
    buffer.set_state(state)
    assert set(buffer.sample(2_000)["id"]) == set(range(1, 11))


def test_a_replay_that_no_memory_holds_is_one_sentence():
    with pytest.raises(ConfigurationError, match=r"^replay_capacity is 1,000,.*, .* GB; there is room for .* GB\.$"):
        FlatReplayBuffer(10**15).add(rows(0, 3))


def test_a_size_that_does_not_fit_is_told_before_memory_is_taken(monkeypatch):
    monkeypatch.setattr("meqc_marl.dqn_ddpg.replay_buffer.most_bytes", lambda: 16_000)
    buffer = FlatReplayBuffer(1_000)
    buffer.add(rows(0, 3))  # 16 bytes a row
    large = FlatReplayBuffer(1_001)
    for work in (lambda: large.add(rows(0, 3)), lambda: large.set_state(buffer.get_state() | {"capacity": 1_001})):
        with pytest.raises(ConfigurationError, match=r"^replay_capacity is 1,001, .* there is room for"):
            work()
    assert large.nbytes == 0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has ulimit -v")
def test_what_ulimit_leaves_is_known():
    code = (
        "import resource\nfrom meqc_marl.dqn_ddpg.memory import left_by_ulimit, most_bytes\n"
        "assert left_by_ulimit() is None\nresource.setrlimit(resource.RLIMIT_AS, (4 * 10**9,) * 2)\n"
        "assert 10**9 < left_by_ulimit() < 4 * 10**9, left_by_ulimit()\nassert most_bytes() <= 3 * 10**9\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["columns"].update(id=state["columns"]["id"][:-1]),
        lambda state: state["columns"].update(obs=np.zeros((20, 2), np.float32)),
        lambda state: state.update(columns={name: np.zeros((40, 2)) for name in ("id", "obs")}),
        lambda state: state.update(columns={}),
        lambda state: state.update(next=7),
        lambda state: state.update(next=-1),
        lambda state: state.update(num_added=3),
        lambda state: state.update(priorities=np.ones(2)) or state.update(num_added=15),
    ],
)
def test_a_state_whose_parts_do_not_fit_is_refused_and_nothing_is_lost(change, alpha):
    buffer = FlatReplayBuffer(10, seed=1, alpha=alpha)
    buffer.add(rows(0, 14))
    state, before = buffer.get_state(), buffer.get_state()
    change(state)
    with pytest.raises(ValueError, match="replay buffer"):
        buffer.set_state(state)
    np.testing.assert_array_equal(buffer.get_state()["columns"]["id"], before["columns"]["id"])
    assert len(buffer) == 10
    buffer.set_state(before)
