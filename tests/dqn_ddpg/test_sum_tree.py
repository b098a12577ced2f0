import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from meqc_marl.dqn_ddpg.sum_tree import SumTree

weights = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=40)


@given(weights, st.data())
def test_equals_a_running_sum(values, data):
    tree = SumTree(len(values))
    order = np.array(data.draw(st.permutations(range(len(values)))))
    tree.set(order, np.array(values)[order])
    running = np.cumsum(values)
    assert tree.total == pytest.approx(running[-1])
    np.testing.assert_array_equal(tree.get(np.arange(len(values))), values)
    if tree.total > 0:
        # Away from the borders, where rounding decides.
        middles = running - np.array(values) / 2
        asked = np.flatnonzero(np.array(values) > 1e-6 * tree.total)
        np.testing.assert_array_equal(tree.find(middles[asked]), asked)


def test_never_finds_an_item_without_weight():
    tree = SumTree(100)
    tree.set(np.arange(100), np.where(np.arange(100) % 3 == 0, 0.1, 0.0))
    found = tree.find(np.nextafter(np.array([0.0, tree.total / 2, tree.total]), 0.0).clip(0))
    assert (found % 3 == 0).all()


def test_of_an_item_set_twice_the_last_counts():
    tree = SumTree(5)
    tree.set(np.array([2, 4, 2]), np.array([1.0, 2.0, 5.0]))
    assert tree.total == 7.0


def test_samples_in_proportion_to_weight():
    tree, rng = SumTree(6), np.random.default_rng(0)
    share = np.array([1.0, 0.0, 4.0, 2.0, 0.5, 2.5])
    tree.set(np.arange(6), share)
    counts = np.bincount(tree.find(rng.random(50_000) * tree.total), minlength=6)
    assert counts[1] == 0
    assert stats.chisquare(counts[share > 0], 50_000 * share[share > 0] / share.sum()).pvalue > 1e-3
