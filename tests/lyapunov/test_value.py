"""What work costs later slots: the fit against an exact value, the credit against recomputing without a device."""

from __future__ import annotations

import numpy as np
import pytest
from joint_brute_force import objective_with_penalty

from meqc_marl.config import load_scenario
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.lyapunov import BACKLOG_COLUMN, BacklogValue, discount_of, value
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.physics.load import Pools
from meqc_marl.physics.queueing import Backlogs, next_backlogs
from meqc_marl.rl.callbacks import DifferenceCallback, LyapunovCallback
from meqc_marl.rl.offloading_env import OffloadingBatchedEnv

DEVICES, SLOTS = 4, 60
CROWDED = [f"num_devices={DEVICES}", f"horizon={SLOTS}", "resources.server_hz=2e9", "resources.band_hz=4e8"]


@pytest.mark.parametrize(("g", "chance"), [(0.7, 0.08), (1.0, 0.15)])
def test_the_fit_finds_a_value_that_is_known_exactly(g: float, chance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits w' = r w + a that cost c w + d w^2 have the value A w + B w^2 up to a constant, B = -d / (1 - g r^2) and
    A = (2 g r B mean(a) - c) / (1 - g r); also without a discount, where the mean is taken off. Rows that gain more or
    less for other reasons do not disturb it."""
    monkeypatch.setattr(value, "_WINDOW", 40_000)  # so that chance has little say
    monkeypatch.setattr(value, "_REFIT", 40_000)
    rng, rows = np.random.default_rng(0), 40
    critic = BacklogValue(discount=g)
    for _ in range(2):
        critic.begin()
        level, cpu_s, qpu_s = rng.normal(0.0, 5.0, rows), np.zeros(rows), np.zeros(rows)
        for _ in range(500):
            gain = level - 0.3 * cpu_s - 0.01 * cpu_s**2 - 0.5 * qpu_s + rng.normal(0.0, 0.1, rows)
            cpu_s, qpu_s = 0.8 * cpu_s + rng.exponential(3.0, rows), 0.5 * qpu_s + rng.exponential(3.0, rows)
            critic.observe(gain, np.zeros(rows), (cpu_s, qpu_s))
    square = -0.01 / (1 - g * 0.64)
    slope, slope_qpu = (2 * g * 0.8 * square * 3.0 - 0.3) / (1 - g * 0.8), -0.5 / (1 - g * 0.5)
    cpu_s, qpu_s = np.array([2.0, 10.0, 20.0]), np.array([1.0, 5.0, 8.0])
    exact = slope * cpu_s + square * cpu_s**2 + slope_qpu * qpu_s
    np.testing.assert_allclose(critic.value(cpu_s, qpu_s), exact, rtol=chance)
    assert critic.value(np.zeros(()), np.zeros(())) == 0.0
    for toll, shift in zip(critic.tolls(cpu_s, qpu_s), ((1e-6, 0.0), (0.0, 1e-6)), strict=True):
        more, less = (critic.value(cpu_s + sign * shift[0], qpu_s + sign * shift[1]) for sign in (1, -1))
        np.testing.assert_allclose(toll, -g * (more - less) / 2e-6, rtol=1e-5)


@pytest.mark.parametrize("queues_cost", [0.0, 0.2])
def test_one_fit_holds_the_values_of_systems_of_different_loads(
    queues_cost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits w' = 0.8 w + a that cost c w, and lengthen virtual queues q' = 0.9 q + 0.2 w that cost k q, have the value
    A w + Q q with Q = -k / (1 - 0.9 g) and A = (0.2 g Q - c) / (1 - 0.8 g). c is a product of two numbers of the load,
    k follows one of them, and each row is charged by its own."""
    monkeypatch.setattr(value, "_WINDOW", 10_000)
    monkeypatch.setattr(value, "_REFIT", 10_000)
    rng, rows, g = np.random.default_rng(0), 40, 0.7
    critic, load = BacklogValue(g, num_loads=3), np.stack([*rng.uniform(-1.0, 2.0, (2, rows)), np.ones(rows)], -1)
    price, dearer = 0.1 * (1.5 + load[:, 0]) * (1.5 - 0.5 * load[:, 1]), queues_cost * (2.0 - load[:, 0])
    cpu_s, queue, level = np.zeros(rows), np.zeros(rows), rng.normal(0.0, 5.0, rows)
    for _ in range(1000):
        gain = level - price * cpu_s - dearer * queue + rng.normal(0.0, 0.1, rows)
        queue, cpu_s = 0.9 * queue + 0.2 * cpu_s, 0.8 * cpu_s + rng.exponential(3.0, rows)
        critic.observe(gain, queue, (cpu_s, np.zeros(rows)), load=load)
    ten, none = np.full(rows, 10.0), np.zeros(rows)
    exact = 10.0 * (-0.2 * g * dearer / (1 - 0.9 * g) - price) / (1 - 0.8 * g)
    np.testing.assert_allclose(critic.value(ten, none, load), exact, rtol=0.1, atol=0.1)
    np.testing.assert_allclose(critic.tolls(ten, none, load)[0], -g * exact / 10.0, rtol=0.1, atol=0.02)
    paid = critic.credit((ten, none), (np.zeros((rows, 3)), np.zeros((rows, 3))), load)
    np.testing.assert_allclose(paid, np.tile(3 * g * exact[:, None], 3), rtol=0.1, atol=0.2)


def test_waiting_costs_at_every_load_whatever_chance_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots in which waits seem to help at some loads: the fit knows better. What does not vary has no weight."""
    monkeypatch.setattr(value, "_REFIT", 150)
    rng, rows = np.random.default_rng(4), 60
    critic, load = BacklogValue(0.9, num_loads=3), np.column_stack([rng.normal(size=(rows, 2)), np.ones(rows)])
    for _ in range(10):
        waits = (rng.exponential(5.0, rows), rng.exponential(5.0, rows))
        critic.observe(load[:, 0] * waits[0] + rng.normal(size=rows), np.zeros(rows), waits, load=load)
    assert critic.weights.any()
    assert (critic.weights_at(load) <= 1e-9).all()
    assert critic.weights.shape == (4, 5)
    beyond, rim = load.copy(), load.copy()
    beyond[:, 0], rim[:, 0] = 9.0, load[:, 0].max()
    np.testing.assert_allclose(critic.weights_at(beyond), critic.weights_at(rim))


def test_more_work_is_never_paid_for() -> None:
    """A fit that says that waiting helps charges nothing; one that says that it costs charges all whom it delays."""
    critic = BacklogValue(discount=0.5)
    waits, without = (np.array([10.0]), np.array([0.0])), (np.array([[8.0, 10.0, 9.0]]), np.zeros((1, 3)))
    critic.weights = np.array([[2.0, 0.0, 0.0, 0.0, 0.0]])
    assert not critic.credit(waits, without).any()
    critic.weights = np.array([[-2.0, 0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(critic.credit(waits, without), -0.5 * 3 * 2.0 * np.array([[0.2, 0.0, 0.1]]))


def test_a_run_from_before_there_were_corners_goes_on() -> None:
    critic, again = BacklogValue(discount=0.5), BacklogValue(discount=0.5)
    critic.weights = np.array([[-2.0, 0.0, -1.0, 0.0, 0.0]])
    state = critic.get_state()
    del state["corners"]
    again.set_state(state | {"weights": state["weights"].ravel()})
    np.testing.assert_array_equal(again.weights, critic.weights)
    assert again.value(np.array(3.0), np.array(1.0)) == critic.value(np.array(3.0), np.array(1.0)) < 0.0


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits after a few slots, with a window that is overwritten."""
    monkeypatch.setattr(value, "_REFIT", 8)
    monkeypatch.setattr(value, "_WINDOW", 40)


def actions() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 3, (2 * SLOTS, 1, DEVICES)), rng.random((2 * SLOTS, 1, DEVICES)).astype(np.float32)


def by_wrapper(env: LyapunovParallelEnv) -> np.ndarray:
    rewards = []
    for slot, (mode, fraction) in enumerate(zip(*actions(), strict=True)):
        if slot % SLOTS == 0:
            env.reset(seed=5 if slot == 0 else None)
        action = {
            agent: {"mode": int(mode[0, m]), "fraction": fraction[0, m : m + 1]} for m, agent in enumerate(env.agents)
        }
        rewards.append(list(env.step(action)[1].values()))
    return np.array(rewards)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("changes", [[], ["lyapunov.v=3", "lyapunov.discount=0.4", "resources.qpu=pooled"]])
def test_the_reward_is_that_of_recomputing_the_slot_without_each_device(changes: list[str]) -> None:
    """What a device adds now is carried out again without it; what it leaves is worked out again from what the others
    sent. The wrapper pays the sum."""
    scenario = load_scenario("queued", [*CROWDED, *changes])
    env = LyapunovParallelEnv(OffloadingParallelEnv(scenario))
    paid, critic = by_wrapper(env), BacklogValue(discount_of(scenario))
    simulator, z, expected = OffloadingSimulator(scenario), np.zeros((1, DEVICES)), []
    v, hertz = scenario.lyapunov.v, Pools.of(scenario).server_hz
    for slot, (mode, fraction) in enumerate(zip(*actions(), strict=True)):
        if slot % SLOTS == 0:
            simulator.reset(5 if slot == 0 else None)
            critic.begin()
            z = np.zeros((1, DEVICES))
        own = -objective_with_penalty(scenario, simulator.preview(mode, fraction), z)[0]
        now, later, work, before = [], [], simulator.work, simulator.backlogs
        outcome = simulator.preview(mode, fraction)
        for device in range(DEVICES):
            changed, executed = mode.copy(), outcome.mode.copy()
            changed[0, device] = executed[0, device] = 0
            now.append(own.sum() + objective_with_penalty(scenario, simulator.preview(changed, fraction), z).sum())
            without = next_backlogs(scenario, work, before, executed, outcome.fraction * (executed > 0))
            later.append([without.cpu_cycles[0] / hertz, without.qpu_s[0]])
        staying = -(v * outcome.local_cost + z * scenario.lyapunov.delta)[0]
        simulator.step(mode, fraction)
        z = np.maximum(0.0, z + scenario.lyapunov.delta - outcome.fraction)
        waits = (simulator.backlogs.cpu_cycles / hertz, simulator.backlogs.qpu_s)
        critic.observe(((own - staying) / v).mean()[None], z.mean(-1) / v, waits)
        left = critic.value(*waits)[0] - critic.value(*np.array(later).T)
        expected.append(now + v * critic.discount * DEVICES * np.minimum(left, 0.0))
    assert env.value is not None
    np.testing.assert_allclose(env.value.weights, critic.weights, rtol=1e-6, atol=1e-9)
    assert np.abs(critic.weights).max() > 0.01
    np.testing.assert_allclose(paid, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("kind", [LyapunovCallback, DifferenceCallback])
def test_the_callback_pays_what_the_wrapper_does_and_goes_on_exactly(kind: type[LyapunovCallback]) -> None:
    """Over two episodes; with the state of mid-episode in a new callback, too. Without a discount of the learner's own
    in units of V, over 1 + z / (15 V)."""
    scenario = load_scenario("queued", [*CROWDED, "lyapunov.v=2"])
    reference = by_wrapper(LyapunovParallelEnv(OffloadingParallelEnv(scenario)))
    env, callback = OffloadingBatchedEnv(scenario), kind()
    callback.on_environment_created(env=env)
    shown = np.zeros(DEVICES)
    for slot, (mode, fraction) in enumerate(zip(*actions(), strict=True)):
        if slot % SLOTS == 0:
            _ = env.reset([5]) if slot == 0 else env.reset_rows(np.ones(1, bool))
            callback.on_episode_start(env_index=0)
        if slot in (7, 33, SLOTS + 11):
            state, callback = callback.get_state(), kind()
            callback.on_environment_created(env=env)
            callback.set_state(state)
        z = 2.0 * np.expm1(shown) if slot % SLOTS else np.zeros(DEVICES)
        unit = 2.0 * (1.0 + z / 30.0) if kind is DifferenceCallback else 1.0
        step = env.step({"mode": mode, "fraction": fraction[..., None]})
        callback.on_episode_step(episode=step, env=env, env_index=0)
        np.testing.assert_allclose(step.reward[0], reference[slot] / unit, rtol=1e-4, atol=1e-3)
        shown = step.next_observation[0, :, BACKLOG_COLUMN].astype(float)


def test_a_row_is_charged_by_its_own_server_where_fields_vary() -> None:
    env = OffloadingBatchedEnv(load_scenario("queued", CROWDED), 3, vary=["resources.server_hz=1e9,8e9"])
    env.reset([1, 2, 3])
    whole = np.ones((3, DEVICES))
    env.step({"mode": whole.astype(int), "fraction": whole[..., None]})
    (cpu_s, _), left = env.simulator.waits_without_each(), env.simulator.backlogs_without_each()
    for row, scenario in enumerate(env.simulator.scenarios):  # type: ignore[union-attr]
        np.testing.assert_allclose(cpu_s[row], left.cpu_cycles[row] / scenario.resources.server_hz)
    assert (cpu_s <= env.simulator.waits[0][:, None]).all()
    assert isinstance(left, Backlogs)
    assert cpu_s.max() > 0


@pytest.mark.usefixtures("soon")
def test_where_the_load_varies_the_callback_charges_by_it_and_goes_on_exactly() -> None:
    """Rewards of two callbacks, one of which is built anew in mid-episode; the weights of the load are used."""
    env = OffloadingBatchedEnv(load_scenario("queued", CROWDED), 2, vary=["resources.server_hz=1e9,8e9", "slot_s=2,6"])
    rewards = []
    for again in (None, 23):
        callback = DifferenceCallback()
        callback.on_environment_created(env=env)
        env.reset([5, 6])
        callback.on_episode_start(env_index=0)
        for slot, (mode, fraction) in enumerate(zip(*actions(), strict=True)):
            if slot == SLOTS:
                break
            if slot == again:
                state, callback = callback.get_state(), DifferenceCallback()
                callback.on_environment_created(env=env)
                callback.set_state(state)
            step = env.step({"mode": np.repeat(mode, 2, 0), "fraction": np.repeat(fraction, 2, 0)[..., None]})
            callback.on_episode_step(episode=step, env=env, env_index=0)
            rewards.append(step.reward.copy())
        learned = callback.get_state()["value"]["weights"]
        assert learned.shape == (4, 5)
        assert np.ptp(learned, 0).max() > 1e-3
    np.testing.assert_array_equal(rewards[:SLOTS], rewards[SLOTS:])


def test_the_discount_is_that_of_queues_alone() -> None:
    assert discount_of(load_scenario("queued")) == value.USUAL_DISCOUNT
    assert discount_of(load_scenario("queued", ["lyapunov.discount=0"])) == 0.0
    assert discount_of(load_scenario("pooled", ["lyapunov.discount=0.9"])) == discount_of(load_scenario("paper")) == 0.0
