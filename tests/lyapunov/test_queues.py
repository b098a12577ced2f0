"""The queues against plain Python, and the formulas against their definitions."""

import math
import pickle

import numpy as np
import pytest

from meqc_marl.config.scenario import Lyapunov
from meqc_marl.lyapunov import VirtualQueues, drift, drift_bound, growth, scaled_backlog

FORMS = [("neely", "corrected"), ("literal", "corrected"), ("neely", "literal"), ("literal", "literal")]


def plain_queue(cfg, penalty, cost, fraction, missed):
    """Rewards, objectives, drifts and backlogs of one device, slot by slot, written out from (13)-(18)."""
    z, rows = 0.0, []
    for c, phi, miss in zip(cost, fraction, missed, strict=True):
        add = cfg.delta - phi if cfg.queue == "neely" else (cfg.delta if phi == 0 else 0.0) - phi
        value = (cfg.v if cfg.sign == "corrected" else -cfg.v) * c + z * add
        after = max(0.0, z + add)
        rows.append((-value - cfg.v * penalty * miss, value, (after**2 - z**2) / 2, after))
        z = after
    return np.array(rows)


@pytest.mark.parametrize(("queue", "sign"), FORMS)
def test_queues_equal_a_plain_loop(queue, sign):
    cfg = Lyapunov(queue=queue, sign=sign, v=0.3, delta=0.6)
    rng = np.random.default_rng(3)
    slots, envs, devices = 60, 2, 3
    cost = rng.uniform(1, 40, (slots, envs, devices))
    fraction = np.where(rng.random(cost.shape) < 0.4, 0.0, rng.random(cost.shape))
    missed = rng.random(cost.shape) < 0.1
    queues = VirtualQueues(cfg, 20.0, envs, devices)
    steps = [queues.advance(cost[t], fraction[t], missed[t]) for t in range(slots)]
    for row in range(envs):
        for device in range(devices):
            pick = np.s_[:, row, device]
            expected = plain_queue(cfg, 20.0, cost[pick], fraction[pick], missed[pick])
            got = np.array([[part[row, device] for part in step] for step in steps])
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_printed_growth_is_an_indicator():
    cfg = Lyapunov(queue="literal", delta=0.7)
    np.testing.assert_allclose(growth(cfg, np.array([0.0, 0.01, 1.0])), [0.7, -0.01, -1.0])


@pytest.mark.parametrize("queue", ["neely", "literal"])
@pytest.mark.parametrize("delta", [0.0, 0.3, 0.7, 1.0])
def test_drift_bound_holds_for_every_fraction(queue, delta):
    """(14)-(15): the drift is at most B + z growth, whatever the fraction and the backlog."""
    cfg = Lyapunov(queue=queue, delta=delta)
    backlog, fraction = np.meshgrid(np.linspace(0, 5, 101), np.linspace(0, 1, 101))
    added = growth(cfg, fraction)
    change = drift(backlog, np.maximum(0, backlog + added))
    assert (change <= drift_bound(cfg) + backlog * added + 1e-12).all()
    assert drift_bound(cfg, 15) == pytest.approx(15 * drift_bound(cfg))


def test_rows_reset_alone_and_past_steps_stay():
    queues = VirtualQueues(Lyapunov(), 0.0, 3, 2)
    step = queues.advance(np.ones((3, 2)), np.zeros((3, 2)), np.zeros((3, 2), bool))
    queues.reset(np.array([True, False, False]))
    assert (queues.backlog[0] == 0).all()
    assert (queues.backlog[1:] > 0).all()
    assert (step.backlog > 0).all()
    queues.reset()
    assert (queues.backlog == 0).all()


def test_state_goes_through_pickle():
    queues = VirtualQueues(Lyapunov(), 0.0, 1, 2)
    queues.advance(np.ones((1, 2)), np.array([[0.0, 0.3]]), np.zeros((1, 2), bool))
    other = VirtualQueues(Lyapunov(), 0.0, 1, 2)
    other.set_state(pickle.loads(pickle.dumps(queues.get_state())))
    np.testing.assert_array_equal(other.backlog, queues.backlog)
    other.advance(np.ones((1, 2)), np.zeros((1, 2)), np.zeros((1, 2), bool))
    assert queues.backlog[0, 0] == pytest.approx(0.7)


def test_scaled_backlog_is_float32_log():
    column = scaled_backlog(Lyapunov(v=2.0), np.array([[0.0, 6.0]]))
    assert column.dtype == np.float32
    np.testing.assert_allclose(column, [[0.0, math.log(4.0)]], rtol=1e-6)
