import numpy as np
import pytest

from meqc_marl.dqn_ddpg.transitions import multi_step


def by_hand(reward, next_observation, done, terminated, discount, num_steps, start, column, is_random):
    """One transition, step by step."""
    total, factor = 0.0, 1.0
    for t in range(start, min(start + num_steps, len(reward))):
        total += factor * reward[t, column]
        factor *= discount
        if done[t, column] or (is_random is not None and t + 1 < len(reward) and is_random[t + 1, column]):
            break
    return total, next_observation[t, column], 0.0 if terminated[t, column] else factor


@pytest.mark.parametrize("num_steps", [1, 2, 3, 7])
@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("until_random", [True, False])
def test_equals_sums_by_hand(num_steps, complete, until_random):
    rng = np.random.default_rng(num_steps)
    steps, columns = 6, 50
    reward = rng.standard_normal((steps, columns)).astype(np.float32)
    after = rng.standard_normal((steps, columns, 2)).astype(np.float32)
    done = rng.random((steps, columns)) < 0.2
    terminated = done & (rng.random((steps, columns)) < 0.5)
    is_random = rng.random((steps, columns)) < 0.4 if until_random else None
    out = multi_step(reward, after, done, terminated, 0.8, num_steps, complete, is_random)
    starts = max(0, steps - num_steps + 1) if complete else steps
    assert out["rewards"].shape == (starts, columns)
    for start in range(starts):
        for column in range(columns):
            total, last, factor = by_hand(reward, after, done, terminated, 0.8, num_steps, start, column, is_random)
            assert out["rewards"][start, column] == pytest.approx(total, abs=1e-6)
            np.testing.assert_array_equal(out["new_obs"][start, column], last)
            assert out["discount"][start, column] == pytest.approx(factor)
