import gymnasium as gym
import numpy as np
import pytest

from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.spaces import parse_action_space

BOX = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
MODE = gym.spaces.Discrete(3)


def wide(low, high, size=1):
    return gym.spaces.Box(low, high, (size,), np.float32)


def test_shared_box_gives_each_mode_a_slot_except_the_parameterless():
    layout = parse_action_space(gym.spaces.Dict(mode=MODE, fraction=BOX), parameterless=(0,))
    assert layout.slots == (slice(0, 0), slice(0, 1), slice(1, 2))
    np.testing.assert_array_equal(layout.mask, [[0, 0], [1, 0], [0, 1]])
    action = layout.build(np.array([0, 1, 2]), np.array([[0.3, 0.8]] * 3, np.float32))
    np.testing.assert_allclose(action["fraction"][:, 0], [0.0, 0.3, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(action["mode"], [0, 1, 2])


@pytest.mark.parametrize("nested", [False, True])
def test_own_boxes_of_each_mode(nested):
    boxes = (wide(0, 1), wide(-2, 2, 2), wide(0, 10))
    space = gym.spaces.Tuple((MODE, gym.spaces.Tuple(boxes))) if nested else gym.spaces.Tuple((MODE, *boxes))
    layout = parse_action_space(space)
    assert layout.slots == (slice(0, 1), slice(1, 3), slice(3, 4))
    np.testing.assert_allclose(layout.scale(np.full(4, 0.5, np.float32)), [0.5, 0, 0, 5])
    action = layout.build(np.int64(1), np.array([0.1, -1, 1, 7], np.float32))
    parts = action[1] if nested else action[1:]
    assert [len(part) for part in parts] == [1, 2, 1]
    assert space.contains((action[0], tuple(parts)) if nested else action)


def test_built_actions_belong_to_the_space():
    space = gym.spaces.Dict(mode=MODE, fraction=BOX, power=wide(0.0, 2.0, 2))
    layout = parse_action_space(space)
    rng = np.random.default_rng(0)
    for _ in range(50):
        unit = rng.random(layout.num_parameters, np.float32)
        assert space.contains(layout.build(np.int64(rng.integers(3)), layout.scale(unit)))


@pytest.mark.parametrize(
    "space",
    [
        MODE,
        BOX,
        gym.spaces.Dict(mode=MODE),
        gym.spaces.Dict(a=MODE, b=MODE, fraction=BOX),
        gym.spaces.Dict(mode=MODE, fraction=gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)),
    ],
)
def test_other_spaces_are_refused_in_one_sentence(space):
    with pytest.raises(ConfigurationError, match=r"^action space .* is not supported: .*\.$"):
        parse_action_space(space)
