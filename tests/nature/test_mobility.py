from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from meqc_marl.config import load_scenario
from meqc_marl.config.scenario import Mobility
from meqc_marl.nature.mobility import (
    MOBILITY,
    NUM_NORMALS,
    NUM_UNIFORMS,
    Start,
    draw_start,
    gauss_markov,
    innovation_factor,
    stationary_factor,
)
from meqc_marl.nature.trace import generate_trace


def walk(mobility: Mobility, start: Start, slots: int, seed: int = 0, slot_s: float = 1.0) -> np.ndarray:
    """Positions [T, E, M, 2] in float64."""
    rng = np.random.default_rng(seed)
    shape = (slots, *start.x_m.shape)
    innovation = np.stack([*rng.standard_normal((2, *shape)), rng.random(shape)]).astype(np.float32)
    position_m = np.full((*shape, 2), np.nan, np.float32)
    MOBILITY[mobility.kind](mobility, slot_s, start, innovation, position_m)
    return position_m.astype(float)


def start_of(mobility: Mobility, rows: int, devices: int, seed: int = 1) -> Start:
    rng = np.random.default_rng(seed)
    uniform, normal = rng.random((NUM_UNIFORMS, rows, devices)), rng.standard_normal((NUM_NORMALS, rows, devices))
    return draw_start(mobility, uniform, normal)


def one(x: float, y: float, speed: float, direction: float) -> Start:
    values = (x, y, speed, direction, speed, direction)
    return Start(*(np.array([[value]], np.float32) for value in values))


def test_factors_by_hand() -> None:
    assert innovation_factor(Mobility()) == pytest.approx(0.6)  # sqrt(1 - 0.64)
    assert innovation_factor(Mobility(innovation="literal")) == pytest.approx(0.36)
    assert stationary_factor(Mobility()) == 1.0
    assert stationary_factor(Mobility(innovation="literal")) == pytest.approx(0.6)  # 0.36 / sqrt(1 - 0.64)


def test_one_step_by_hand() -> None:
    mobility = Mobility(radius_m=1000.0)
    start = Start(*(np.array([[v]], np.float32) for v in (10.0, -20.0, 4.0, 1.0, 5.0, math.pi / 2)))
    innovation = np.full((3, 3, 1, 1), 0.5, np.float32)
    innovation[1] = -1.0
    position_m = np.empty((3, 1, 1, 2), np.float32)
    gauss_markov(mobility, 2.0, start, innovation, position_m)
    # slot 0: where it starts; slot 1: 2 s at 5 m/s straight up.
    np.testing.assert_allclose(position_m[:2, 0, 0], [[10, -20], [10, -10]], atol=1e-4)
    # then v = 0.8 * 5 + 0.2 * 4 + 0.6 * 0.5 = 5.1, direction 0.8 pi/2 + 0.2 * 1 - 0.6 = 0.856637
    step = 2 * 5.1 * np.array([math.cos(0.85663706), math.sin(0.85663706)])
    np.testing.assert_allclose(position_m[2, 0, 0], np.array([10, -10]) + step, atol=1e-4)


@pytest.mark.parametrize(("innovation", "std"), [("corrected", 1.0), ("literal", 0.6)])
def test_stationary_deviation_of_speed_and_direction(innovation: str, std: float) -> None:
    # A disc so large that no one leaves, and mean 8 m/s, so that speed is never cut at 0.
    mobility = Mobility(radius_m=1e5, mean_speed_m_s=(8.0, 8.0), innovation=innovation)  # type: ignore[arg-type]
    start = start_of(mobility, 1, 4000)
    step = np.diff(walk(mobility, start, 60), axis=0)
    speed = np.hypot(step[..., 0], step[..., 1])
    direction = np.arctan2(step[..., 1], step[..., 0]) - start.mean_direction_rad
    direction = (direction + math.pi) % (2 * math.pi) - math.pi
    for t in (0, 20, 58):  # stationary from the first slot on
        assert speed[t].std() == pytest.approx(std, rel=0.06)
        assert direction[t].std() == pytest.approx(std, rel=0.06)
        assert speed[t].mean() == pytest.approx(8.0, abs=5 * std / math.sqrt(4000) + 0.01)
    correlation = np.corrcoef(speed[30].ravel(), speed[31].ravel())[0, 1]
    assert correlation == pytest.approx(0.8, abs=0.03)


def test_devices_never_leave_the_disc_and_use_all_of_it() -> None:
    mobility = Mobility()
    position = walk(mobility, start_of(mobility, 4, 50), 1000)
    radius = np.hypot(position[..., 0], position[..., 1])
    assert radius.max() <= 50.0
    assert radius.max() > 49.9
    assert np.quantile(radius, 0.1) < 25.0
    assert np.abs(position.mean(axis=(0, 1, 2))).max() < 5.0  # no side is preferred


def test_speed_is_never_negative() -> None:
    # Mean speed 0.1, std 1: a negative speed would be a step backwards. With the direction fixed at 0, x never falls.
    mobility = Mobility(radius_m=1e5, mean_speed_m_s=(0.1, 0.1), direction_std_rad=0.0)
    start = start_of(mobility, 1, 200)
    ahead = Start(
        start.x_m, start.y_m, start.mean_speed_m_s, 0 * start.x_m, np.maximum(start.speed_m_s, 0), 0 * start.x_m
    )
    assert (start.speed_m_s >= 0).all()
    steps = np.diff(walk(mobility, ahead, 100)[..., 0], axis=0)
    assert steps.min() >= 0
    assert (steps == 0).any()


def test_at_the_edge_a_device_turns_to_the_centre() -> None:
    mobility = Mobility(speed_std_m_s=0.0, direction_std_rad=0.0)
    angles = []
    for seed in range(400):
        position = walk(mobility, one(48.0, 0.0, 4.0, 0.3), 4, seed=seed)[:, 0, 0]
        np.testing.assert_allclose(np.hypot(*position[1]), 50.0, rtol=1e-5)  # put on the edge
        inward = position[2] - position[1]
        assert np.hypot(*inward) == pytest.approx(4.0, rel=1e-4)
        toward_centre = -position[1] / np.hypot(*position[1])
        across = toward_centre[0] * inward[1] - toward_centre[1] * inward[0]
        angles.append(math.atan2(across, inward @ toward_centre))
        # The mean direction has turned as well: without innovation the device goes straight on.
        np.testing.assert_allclose(position[3] - position[2], inward, atol=1e-4)
    assert stats.kstest(angles, stats.uniform(-math.pi / 4, math.pi / 2).cdf).pvalue > 1e-3


def test_reflected_devices_walk_the_rest_of_their_way() -> None:
    mobility = Mobility(speed_std_m_s=0.0, direction_std_rad=0.0, edge="reflect")
    angles = []
    for seed in range(400):
        position = walk(mobility, one(48.0, 0.0, 4.0, 0.3), 4, seed=seed)[:, 0, 0]
        # By hand: |(48 + s cos .3, s sin .3)| = 50.
        way = -48 * math.cos(0.3) + math.sqrt((48 * math.cos(0.3)) ** 2 + 50**2 - 48**2)
        crossing = np.array([48 + way * math.cos(0.3), way * math.sin(0.3)])
        rest = position[1] - crossing
        assert np.hypot(*rest) == pytest.approx(4.0 - way, abs=2e-4)
        angles.append(math.atan2(crossing[1] * rest[0] - crossing[0] * rest[1], -crossing @ rest))
        # It has turned for good: without innovation the device goes straight on.
        np.testing.assert_allclose(position[2] - position[1], 4.0 * rest / np.hypot(*rest), atol=1e-2)
        np.testing.assert_allclose(position[3] - position[2], position[2] - position[1], atol=1e-4)
    assert stats.kstest(angles, stats.uniform(-math.pi / 4, math.pi / 2).cdf).pvalue > 1e-3


def test_reflected_devices_do_not_stand_on_the_rim() -> None:
    shares, start = {}, start_of(Mobility(), 4, 50)
    for edge in ("clip", "reflect"):
        position = walk(Mobility(edge=edge), start, 1000)
        radius = np.hypot(position[..., 0], position[..., 1])
        assert radius.max() <= 50.0
        shares[edge] = np.mean(radius > 50.0 - 1e-3)
    assert shares["clip"] > 0.02
    assert shares["reflect"] < 2e-4  # 1e-3 m of 50 m hold about 4e-5 of the disc


@pytest.mark.parametrize(
    "changed",
    [
        {"turn_rad": math.pi},
        {"radius_m": 1.0},
        {"mean_speed_m_s": (100.0, 1000.0)},
        {"mean_speed_m_s": (900.0, 1000.0), "turn_rad": 0.0},
        {"radius_m": 500.0, "mean_speed_m_s": (30.0, 60.0)},
    ],
)
@pytest.mark.parametrize("slot_s", [1.0, 3600.0])
def test_no_one_who_is_reflected_stands_on_the_rim_however_far_a_slot_takes_him(changed, slot_s: float) -> None:
    mobility = Mobility(edge="reflect", **changed)
    position = walk(mobility, start_of(mobility, 4, 50), 300, slot_s=slot_s)
    radius = np.hypot(position[..., 0], position[..., 1]) / mobility.radius_m
    assert radius.max() <= 1.0
    assert (
        np.mean(radius > 1.0 - 2e-5) < 1e-2
    )  # of the disc it is 4e-5; a chord at a grazing angle never leaves the edge by more
    if slot_s > 1.0:  # many chords: the whole disc is used
        assert np.quantile(radius, 0.1) < 0.5


def test_a_way_of_several_chords_by_hand() -> None:
    """From the centre along x with a turn of nothing: to and fro on the diameter; with any turn, by small steps."""
    there = Mobility(edge="reflect", turn_rad=0.0, speed_std_m_s=0.0, direction_std_rad=0.0)
    position = walk(there, one(0.0, 0.0, 170.0, 0.0), 2)[1, 0, 0]
    np.testing.assert_allclose(position, [-30.0, 0.0], atol=1e-3)  # 50 to the edge, 100 back, and 20 again
    rng = np.random.default_rng(3)
    for speed in rng.uniform(60.0, 900.0, 30):
        mobility = Mobility(edge="reflect", speed_std_m_s=0.0, direction_std_rad=0.0)
        uniform = rng.random()
        innovation = np.full((3, 2, 1, 1), np.float32(uniform))
        position_m = np.empty((2, 1, 1, 2), np.float32)
        gauss_markov(mobility, 1.0, one(10.0, 20.0, speed, 0.7), innovation, position_m)
        turn = math.pi / 4 * (2 * np.float32(uniform) - 1)
        point, heading, steps = np.array([10.0, 20.0]), 0.7, 40_000
        for _ in range(steps):
            point = point + speed / steps * np.array([math.cos(heading), math.sin(heading)])
            if np.hypot(*point) > 50.0:
                point *= 50.0 / np.hypot(*point)
                heading = math.atan2(-point[1], -point[0]) + turn
        np.testing.assert_allclose(position_m[1, 0, 0], point, atol=0.5)


@pytest.mark.parametrize(("speed", "turn"), [(300.0, math.pi / 4), (1000.0, math.pi), (40.0, 0.0)])
def test_whoever_is_faster_than_the_disc_is_wide_stays_in_it(speed: float, turn: float) -> None:
    mobility = Mobility(edge="reflect", mean_speed_m_s=(speed, speed), turn_rad=turn)
    position = walk(mobility, start_of(mobility, 2, 50), 200)
    assert np.isfinite(position).all()
    assert np.hypot(position[..., 0], position[..., 1]).max() <= 50.0 * (1 + 1e-6)


def test_the_edge_changes_nothing_before_it_is_reached_and_no_random_draw() -> None:
    slots = 300
    traces = [
        generate_trace(load_scenario("small", [f"mobility.edge={edge}"]), [5], slots) for edge in ("clip", "reflect")
    ]
    for name in ("data_bits", "deadline_s", "qubits"):
        np.testing.assert_array_equal(*(getattr(trace, name) for trace in traces))
    differs = (traces[0].position_m != traces[1].position_m).any(-1)[:, 0]
    on_rim = np.hypot(*np.moveaxis(traces[0].position_m[:, 0], -1, 0)) > 50.0 - 1e-3
    for device in range(3):
        first = int(np.argmax(on_rim[:, device]))
        assert on_rim[first, device]
        assert not differs[:first, device].any()
        assert differs[first, device]


def test_start_is_uniform_in_the_disc() -> None:
    start = start_of(Mobility(), 10, 2000)
    radius = np.hypot(start.x_m.astype(float), start.y_m.astype(float)).ravel()
    assert radius.max() <= 50.0
    assert stats.kstest((radius / 50) ** 2, stats.uniform.cdf).pvalue > 1e-3
    assert (
        stats.kstest(np.arctan2(start.y_m, start.x_m).ravel(), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3
    )
    assert stats.kstest(start.mean_speed_m_s.ravel(), stats.uniform(3, 2).cdf).pvalue > 1e-3


def test_static_devices_stay() -> None:
    mobility = Mobility(kind="static")
    start = start_of(mobility, 2, 5)
    position = walk(mobility, start, 10)
    assert (position == position[0]).all()
    np.testing.assert_array_equal(position[0, ..., 0], start.x_m)


def test_memory_of_one_keeps_speed_and_direction() -> None:
    mobility = Mobility(memory=1.0, radius_m=1e5)
    steps = np.diff(walk(mobility, one(0.0, 0.0, 4.0, 0.0), 10), axis=0)
    np.testing.assert_allclose(steps[:, 0, 0], [[4.0, 0.0]] * 9, atol=1e-4)
