import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.dqn_ddpg.arrays import to_numpy
from meqc_marl.dqn_ddpg.batched_env import pick
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.spaces import parse_action_space

BOX = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
MODE = gym.spaces.Discrete(3)


def wide(low, high, size=1):
    return gym.spaces.Box(low, high, (size,), np.float32)


def test_shared_box_gives_each_mode_a_slot_except_the_parameterless():
    layout = parse_action_space(gym.spaces.Dict(mode=MODE, fraction=BOX), parameterless=(0,))
    assert layout.slots == (slice(0, 0), slice(0, 1), slice(1, 2))
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
        gym.spaces.Dict(mode=MODE, fraction=gym.spaces.Box(0.0, np.inf, (1,), np.float32)),
        gym.spaces.Dict(mode=MODE, fraction=gym.spaces.Box(0, 1, (1,), bool)),
        gym.spaces.Dict(mode=MODE, fraction=gym.spaces.Box(0, 1, (1,), np.uint32)),
        gym.spaces.Dict(mode=MODE, fraction=gym.spaces.Box(0.0, 1.0, (0,), np.float32)),
        *(
            gym.spaces.Dict(mode=MODE, fraction=gym.spaces.Box(low, high, (1,), kind))
            for low, high, kind in (
                *((-1e300, 1e300, np.float64), (-3e38, 3e38, np.float32), (1e9, 1e9 + 1, np.float64)),
                *((0, 2**31 - 1, np.int32), (-(2**31), 2**31 - 1, np.int32), (0, 2**63 - 1, np.int64)),
                (10**12, 10**12 + 100, np.int64),
            )
        ),
        gym.spaces.MultiDiscrete([3, 3]),
        gym.spaces.MultiBinary(3),
        gym.spaces.Dict(mode=gym.spaces.MultiDiscrete([3]), fraction=BOX),
        gym.spaces.Dict(mode=MODE, fraction=BOX, also=gym.spaces.MultiBinary(2)),
        gym.spaces.Dict(mode=MODE, nested=gym.spaces.Dict(fraction=BOX)),
        gym.spaces.Dict(mode=MODE, fraction=BOX, nested=gym.spaces.Dict(more=BOX)),
        gym.spaces.Dict(mode=MODE, fraction=BOX, text=gym.spaces.Text(3)),
        gym.spaces.Tuple((MODE, BOX, BOX)),
        gym.spaces.Tuple((MODE, BOX, BOX, BOX, BOX)),
        gym.spaces.Tuple((BOX, MODE, BOX, BOX)),
        gym.spaces.Tuple((MODE, gym.spaces.Tuple((BOX, BOX)))),
        gym.spaces.Tuple((gym.spaces.Tuple((BOX, BOX, BOX)), MODE)),
        gym.spaces.Tuple((MODE, gym.spaces.Tuple((BOX, BOX, MODE)))),
    ],
    ids=str,
)
def test_other_spaces_are_refused_in_one_sentence(space):
    with pytest.raises(ConfigurationError, match=r"^action space .* is not supported: .*\.$"):
        parse_action_space(space)


def test_parameterless_modes_that_make_no_sense_are_refused():
    with pytest.raises(
        ConfigurationError, match=r"parameterless_modes is \[3\]; the action space has the modes 0 to 2"
    ):
        parse_action_space(gym.spaces.Dict(mode=MODE, fraction=BOX), parameterless=(3,))
    with pytest.raises(ConfigurationError, match="no mode has a parameter to choose"):
        parse_action_space(gym.spaces.Dict(mode=MODE, fraction=BOX), parameterless=(0, 1, 2))
    with pytest.raises(ConfigurationError, match="here each has its own"):
        parse_action_space(gym.spaces.Tuple((MODE, BOX, BOX, BOX)), parameterless=(0,))


DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")


@st.composite
def boxes(draw):
    dtype, shape = np.dtype(draw(st.sampled_from(DTYPES))), draw(st.sampled_from([(), (0,), (1,), (3,), (2, 2)]))
    least = 0 if dtype == np.uint8 else -100
    low = draw(st.floats(least, 100)) if dtype.kind == "f" else draw(st.integers(least, 100))
    # Of a point, or as much as float32 tells apart.
    room = draw(st.just(0.0) | st.floats(1e-4, 20)) if dtype.kind == "f" else draw(st.integers(0, 20))
    ends = np.array([low, low + room]).astype(dtype)
    return gym.spaces.Box(np.full(shape, ends[0], dtype), np.full(shape, max(ends), dtype), shape, dtype)


@st.composite
def spaces(draw):
    """Every layout, with Boxes of every type, modes that start anywhere, and many of them."""
    start = draw(st.integers(-5, 5))
    kind = draw(st.sampled_from(["shared", "single", "own", "nested"]))
    if kind in ("own", "nested"):
        own = draw(st.lists(boxes(), min_size=2, max_size=4))
        mode = gym.spaces.Discrete(len(own), start=start)
        return gym.spaces.Tuple((mode, *own)) if kind == "own" else gym.spaces.Tuple((mode, gym.spaces.Tuple(own)))
    mode = gym.spaces.Discrete(draw(st.sampled_from([1, 2, 5, 127, 128, 200])), start=start)
    if kind == "single":
        box = draw(boxes())
        return gym.spaces.Tuple((mode, box) if draw(st.booleans()) else (box, mode))
    return gym.spaces.Dict({"mode": mode} | {f"box {i}": draw(boxes()) for i in range(draw(st.integers(1, 3)))})


def leaves_of(space):
    inside = space.spaces.values() if isinstance(space, gym.spaces.Dict) else getattr(space, "spaces", None)
    return [space] if inside is None else [leaf for part in inside for leaf in leaves_of(part)]


@settings(max_examples=150, deadline=None)
@given(spaces(), st.integers(0, 2**31), st.booleans())
def test_every_action_belongs_to_the_space_and_can_be_read_back(space, seed, tensors):
    if gym.spaces.utils.flatdim(space) == sum(int(leaf.n) for leaf in leaves_of(space) if hasattr(leaf, "n")):
        with pytest.raises(ConfigurationError, match="no mode has a parameter to choose"):
            parse_action_space(space)
        return
    layout = parse_action_space(space)
    rng, count = np.random.default_rng(seed), 8
    mode = rng.integers(0, layout.num_modes, count)
    mode[0] = layout.num_modes - 1
    assert mode.astype(layout.mode_dtype).tolist() == mode.tolist()
    unit = rng.choice([0.0, 1.0, 0.5, rng.random()], (count, layout.num_parameters)).astype(np.float32)
    scaled = layout.scale(unit)
    if tensors:
        action = to_numpy(layout.build(torch.from_numpy(mode), torch.from_numpy(scaled)), (count,))
    else:
        action = layout.build(mode, scaled)
    singles = [pick(action, row) for row in range(count)]
    for single in singles:
        assert space.contains(single), (space, single)
    read, given_boxes = layout.build.split(action)
    assert read.tolist() == mode.tolist()
    values = np.concatenate([np.asarray(box, np.float64).reshape(count, -1) for box in given_boxes], 1)
    for row in range(count):
        slot = layout.slots[mode[row]]
        executed = values[row, slot] if not layout.shared else values[row, : slot.stop - slot.start]
        half = 0.5 * np.array(
            [np.issubdtype(box.low.dtype, np.integer) for box in layout.build.boxes for _ in range(box.size)]
        )
        half = half[slot] if not layout.shared else half[: slot.stop - slot.start]
        assert (np.abs(executed - scaled[row, slot]) <= half + 2e-3 * np.abs(scaled[row, slot]) + 1e-4).all()


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [(-(2**24), 2**24, np.int32), (0, 2**24, np.int64), (1e6, 1e6 + 2, np.float64), (-1e37, 1e37, np.float32)],
)
def test_both_ends_of_the_widest_boxes_are_reached(low, high, kind):
    layout = parse_action_space(gym.spaces.Dict(mode=MODE, fraction=gym.spaces.Box(low, high, (1,), kind)))
    for end, unit in ((low, 0.0), (high, 1.0)):
        action = layout.build(0, layout.scale(np.full(layout.num_parameters, unit, np.float32)))
        assert action["fraction"] == kind(end)
