import pickle
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meqc_marl.rl.replay_buffer import FlatReplayBuffer


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
