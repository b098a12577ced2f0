"""The flat actions against the mode and fraction they stand for, and the checkers of PettingZoo and Gymnasium."""

import itertools
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, parallel_api_test
from pettingzoo.utils import parallel_to_aec

from meqc_marl import parallel_env
from meqc_marl.env.access_point import AccessPointEnv
from meqc_marl.env.actions import action_mask
from meqc_marl.env.flat import BoxActions, DiscreteActions
from meqc_marl.errors import InputError
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from tests.sentences import is_one_sentence

OVERRIDES = ("horizon=20",)
WRAPPERS = {"dict": lambda env: env, "box": BoxActions, "discrete": DiscreteActions}


def make(wrapper, lyapunov=False):
    env = parallel_env("small", OVERRIDES)
    return wrapper(LyapunovParallelEnv(env) if lyapunov else env)


@pytest.mark.parametrize("wrapper", [BoxActions, DiscreteActions])
@pytest.mark.parametrize("lyapunov", [False, True])
def test_pettingzoos_checks(wrapper, lyapunov):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(make(wrapper, lyapunov), num_cycles=50)
        api_test(parallel_to_aec(make(wrapper, lyapunov)), num_cycles=50)


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_gymnasiums_check_of_the_access_point(wrapper):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings(
            "ignore", ".*spec.*|.*symmetric and normalized.*"
        )  # it is in no registry; phi is in [0, 1]
        check_env(AccessPointEnv(make(wrapper)), skip_render_check=True)


def test_a_box_is_the_best_allowed_mode_and_its_share():
    flat, plain = make(BoxActions), make(WRAPPERS["dict"])
    flat.reset(seed=1)
    _, infos = plain.reset(seed=1)
    rng, barred = np.random.default_rng(0), 0
    while plain.agents:
        actions = {agent: rng.uniform(-1, 1, 4).astype(np.float32) for agent in plain.agents}
        expected = {}
        for agent, action in actions.items():
            allowed = [mode for mode in range(3) if infos[agent]["mode_mask"][mode]]
            barred += 3 - len(allowed)
            mode = max(allowed, key=lambda mode, action=action: action[mode])
            expected[agent] = {"mode": mode, "fraction": (float(action[3]) + 1) / 2}
        told, (*_, infos) = flat.step(actions), plain.step(expected)
        np.testing.assert_equal(told[4], infos)
    assert barred > 0


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_a_number_stands_for_a_point_of_the_grid_and_the_mask_for_what_meets_the_deadline(steps):
    flat, plain = DiscreteActions(parallel_env("small", OVERRIDES), steps), make(WRAPPERS["dict"])
    meaning = [(0, 0.0), *itertools.product((1, 2), [(k + 1) / steps for k in range(steps)])]
    assert flat.action_space("mobile_0").n == len(meaning)
    _, told = flat.reset(seed=2)
    plain.reset(seed=2)
    lone = 0
    while plain.agents:
        actions = {}
        for agent in plain.agents:
            info = told[agent]
            for mode in range(3):
                low, high = info["fraction_low"][mode], info["fraction_high"][mode]
                mask = [bool(info["action_mask"][i]) for i, (m, _) in enumerate(meaning) if m == mode]
                on = [low <= share <= high for m, share in meaning if m == mode]
                if info["mode_mask"][mode] and not any(on):
                    lone += 1
                    off = [max(low - share, share - high) for m, share in meaning if m == mode]
                    on = [value == min(off) for value in off]
                assert mask == [bool(info["mode_mask"][mode]) and each for each in on]
            actions[agent] = flat.action_space(agent).sample(info["action_mask"])
        expected = {agent: dict(zip(("mode", "fraction"), meaning[n], strict=True)) for agent, n in actions.items()}
        (*_, told), (*_, infos) = flat.step(actions), plain.step(expected)
        for agent, n in actions.items():
            assert told[agent]["mode"] == meaning[n][0]  # nothing that the mask allows is turned into another mode
            assert told[agent]["cost"] == infos[agent]["cost"]
    assert lone > 0 or steps > 1


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_access_point_is_the_devices_together(name):
    together, apart = AccessPointEnv(make(WRAPPERS[name], True)), make(WRAPPERS[name], True)
    seen, info = together.reset(seed=5)
    observations, infos = apart.reset(seed=5)
    together.action_space.seed(0)
    truncated = False
    while not truncated:
        np.testing.assert_array_equal(seen, np.concatenate(list(observations.values())))
        for key in ("cost", "backlog", "mode_mask"):
            np.testing.assert_array_equal(info[key], [infos[agent][key] for agent in apart.possible_agents])
        mask = info.get("action_mask")
        action = together.action_space.sample(mask)
        if name == "dict":
            masks = [action_mask(infos[agent])["mode"] for agent in apart.agents]
            assert all(allowed[mode] for allowed, mode in zip(masks, action["mode"], strict=True))
            each = [{"mode": action["mode"][m], "fraction": action["fraction"][m]} for m in range(3)]
        else:
            each = list(action.reshape(3, -1)) if name == "box" else list(action)
        if name != "box":
            sizes = [3] * 3 if name == "dict" else [21] * 3
            chosen = action["mode"] if name == "dict" else action
            assert together.action_masks().shape == (sum(sizes),)
            assert all(together.action_masks()[sum(sizes[:m]) + choice] for m, choice in enumerate(chosen))
        seen, reward, terminated, truncated, info = together.step(action)
        observations, rewards, _, _, infos = apart.step(dict(zip(apart.agents, each, strict=True)))
        assert reward == pytest.approx(np.mean(list(rewards.values())))
        assert not terminated
    assert not apart.agents


def test_a_wrapper_of_gymnasium_that_rescales_is_taken_at_the_ends():
    env = gymnasium.wrappers.RescaleAction(AccessPointEnv(make(BoxActions)), np.float32(-0.3), np.float32(0.7))
    env.reset(seed=0)
    for end in (env.action_space.low, env.action_space.high):
        env.step(end)


@pytest.mark.parametrize(
    ("wrapper", "action"),
    [
        *((BoxActions, bad) for bad in (None, "x", 3, [1, 2], [0, 0, 0, 1.1], [0, 0, 0, np.nan], {"mode": 1})),
        *((DiscreteActions, bad) for bad in (None, "x", -1, 21, 1.0, True, [1], np.array([1, 2]))),
    ],
)
def test_a_bad_flat_action_is_one_sentence(wrapper, action):
    env = make(wrapper)
    env.reset(seed=0)
    good = {agent: env.action_space(agent).sample() for agent in env.agents}
    with pytest.raises(InputError, match="action of mobile_1 is") as caught:
        env.step(good | {"mobile_1": action})
    assert is_one_sentence(str(caught.value))
    with pytest.raises(InputError, match="'mobile_7'"):
        env.step(good | {"mobile_7": good["mobile_0"]})
    with pytest.raises(InputError, match="actions is a list"):
        env.step([1])
    env.step(good)


@pytest.mark.parametrize("action", [None, 3, [[1], [1, 2]], np.zeros(5), ["a", "b", "c"], {"mode": [0, 0, 0]}])
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_bad_action_of_the_access_point_is_one_sentence(name, action):
    env = AccessPointEnv(make(WRAPPERS[name]))
    env.reset(seed=0)
    with pytest.raises(InputError) as caught:
        env.step(action)
    assert is_one_sentence(str(caught.value))


def test_bad_arguments():
    env = parallel_env("small", OVERRIDES)
    for steps in (0, 1.5, True, 1001, "10"):
        with pytest.raises(InputError, match="steps is"):
            DiscreteActions(env, steps)
    for wrapper in (BoxActions, DiscreteActions, AccessPointEnv):
        with pytest.raises(InputError, match="env is"):
            wrapper("small")
    with pytest.raises(InputError, match="env is"):
        BoxActions(BoxActions(env))
    box = AccessPointEnv(BoxActions(env))
    box.reset(seed=0)
    with pytest.raises(InputError, match="no mask"):
        box.action_masks()
