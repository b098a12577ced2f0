"""A quick version of the public benchmark; `meqc-marl benchmark platform` is the whole one."""

import pytest
import ray

pytest.importorskip("gym_platform", reason="needs pip install -e '.[platform]'")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("critic", ["multi-pass", "joint"])
def test_learns_platform(ray_session, critic):
    """A third of the whole budget, one seed; a random policy gets about 0.15, and HyAR's P-DQN after 2e5 steps 0.93."""
    from experiments.benchmarks.platform import perform

    assert ray.is_initialized()
    record = perform(critic, seed=0, env_steps=32_000)
    assert record["return"] > 0.7
    assert record["curve"][0][1] < 0.5
