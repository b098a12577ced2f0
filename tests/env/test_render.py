"""The map of the devices: what is on it, how quick it is; the window."""

import subprocess
import sys
import time

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import meqc_marl
from meqc_marl.env import window as window_module
from meqc_marl.env.render import _FINER, _MISSED, MODE_COLOURS, _scale, draw_disc
from meqc_marl.errors import InputError
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode
from meqc_marl.policies import make_policy

HEAD = 60


def rendered(devices, mode=None, seed=0):
    """An environment after one slot in which all devices do the same, or before it."""
    env = meqc_marl.parallel_env("paper", [f"num_devices={devices}"], render_mode="rgb_array")
    env.reset(seed=seed)
    infos = None
    if mode is not None:
        *_, infos = env.step({agent: {"mode": mode, "fraction": 1.0} for agent in env.agents})
    return env, env.render(), infos


def near(picture, colour, tolerance=12):
    """Pixels of a colour, below the head [H, W]."""
    wanted = 255 * np.array(to_rgb(colour))
    return np.abs(picture[HEAD:].astype(float) - wanted).max(-1) <= tolerance


@pytest.mark.parametrize("mode", list(Mode))
def test_a_device_has_its_modes_colour_where_it_is(mode):
    env, picture, infos = rendered(15, int(mode), seed=4)
    zoom, x, y = (value / _FINER for value in _scale(env.scenario.mobility.radius_m))
    position = env.simulator.trace.position_m[0, 0]
    for m, (east, north) in enumerate(position):
        done = infos[f"mobile_{m}"]
        if done["deadline_missed"]:
            continue  # a cross lies over it
        pixel = picture[round(float(y - zoom * north)), round(float(x + zoom * east))]
        wanted = 255 * np.array(to_rgb(MODE_COLOURS[Mode(done["mode"])]))
        assert np.abs(pixel - wanted).max() <= 12, m


def test_crosses_are_on_the_late_and_on_nobody_else():
    scenario = meqc_marl.load_scenario("paper")
    trace = generate_trace(scenario, [5], num_slots=60)
    record = rollout(make_policy("hybrid-discrete", scenario), scenario, trace)
    missed = record.deadline_missed[:, 0].sum(-1)
    env = meqc_marl.parallel_env(scenario, trace=trace, render_mode="rgb_array")
    env.reset()
    for slot in range(60):
        actions = zip(env.agents, record.mode[slot, 0], record.fraction[slot, 0], strict=True)
        env.step({agent: {"mode": int(mode), "fraction": float(share)} for agent, mode, share in actions})
        red = near(env.render(), _MISSED).sum()
        assert (red > 0) == (missed[slot] > 0), slot
        assert red >= 15 * missed[slot] or missed[slot] > 3  # crosses may lie on each other


def test_larger_is_more():
    trace = generate_trace(meqc_marl.load_scenario("small"), [1], num_slots=1)
    areas = []
    for share in (0.1, 0.5, 1.0):
        env = meqc_marl.parallel_env("small", trace=trace, render_mode="rgb_array")
        env.reset()
        env.step({agent: {"mode": 1, "fraction": share} for agent in env.agents})
        areas.append(near(env.render(), MODE_COLOURS[Mode.CPU]).sum())
    assert areas == sorted(areas)
    assert areas[2] > 1.5 * areas[0]


def test_pictures_do_not_depend_on_those_before():
    first = rendered(15, 1)[1]
    rendered(15, 2, seed=9)
    rendered(3)
    np.testing.assert_array_equal(rendered(15, 1)[1], first)


@pytest.mark.parametrize(("devices", "least"), [(15, 30.0), (1_000, 5.0)])
def test_speed(devices, least):
    """Pictures a second: 30 with 15 devices, on a busy core too; best of three batches."""
    env, _, _ = rendered(devices, 2)
    slot, outcome = env.simulator.trace.slot(0), env._outcome
    times = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(5):
            draw_disc(50.0, 0, slot, outcome)
        times.append((time.process_time() - began) / 5)
    assert 1.0 / min(times) > least


def test_the_window_shows_every_slot_and_can_be_closed(monkeypatch):
    pygame = pytest.importorskip("pygame", reason="needs pip install 'meqc-marl[render]'")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = []
    show = window_module.Window.show
    monkeypatch.setattr(
        window_module.Window, "show", lambda self, picture: (shown.append(picture), show(self, picture))
    )
    env = meqc_marl.parallel_env("small", ["horizon=8"], render_mode="human")
    env.reset(seed=0)
    assert pygame.display.get_surface().get_size() == (520, 580)
    began = time.monotonic()
    for _ in range(4):
        env.step({agent: {"mode": 1, "fraction": 1.0} for agent in env.agents})
    assert time.monotonic() - began > 3 / 30 * 0.8  # at most 30 a second
    assert len(shown) == 5
    assert env.render() is None
    screen = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    np.testing.assert_array_equal(screen, shown[-1])
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    env.step({agent: {"mode": 1, "fraction": 1.0} for agent in env.agents})
    assert env._window.is_closed
    before = len(shown)
    while env.agents:
        env.step({agent: {"mode": 1, "fraction": 1.0} for agent in env.agents})
    assert len(shown) == before
    env.close()
    env.close()


def test_without_pygame_it_is_a_sentence(monkeypatch):
    monkeypatch.setattr(window_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"render_mode 'human' needs the package pygame; install it with: .*\.$"):
        meqc_marl.parallel_env("small", render_mode="human")


def test_pygame_is_imported_for_a_window_only():
    code = (
        "import sys, meqc_marl; env = meqc_marl.parallel_env('small', render_mode='rgb_array'); env.reset(0); "
        "env.render(); assert not {'pygame', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
