from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from meqc_marl.config.scenario import Devices
from meqc_marl.nature.equipment import NUM_UNIFORMS, dbm_to_w, draw_equipment


def test_laws_of_the_equipment() -> None:
    uniform = np.random.default_rng(8).random((NUM_UNIFORMS, 200, 100))
    equipment = draw_equipment(Devices(), uniform)
    for chosen, values in (
        (equipment.cpu_hz, [1e9, 2e9, 3e9]),
        (equipment.server_cpu_hz, [4e9, 5e9, 6e9]),
    ):
        found, counts = np.unique(chosen, return_counts=True)
        np.testing.assert_array_equal(found, values)
        assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(equipment.tx_power_w.ravel(), stats.uniform(0.01, 0.19).cdf).pvalue > 1e-3
    leased = equipment.leased_qubits
    np.testing.assert_array_equal(leased, np.round(leased))
    assert (leased.min(), leased.max()) == (1000, 5000)
    assert stats.kstest(leased.ravel(), stats.uniform(1000, 4001).cdf).pvalue > 1e-3
    assert (equipment.lambda_t == 0.5).all()
    assert (equipment.lambda_e == 0.5).all()


def test_weights_per_device_and_their_complement() -> None:
    uniform = np.zeros((NUM_UNIFORMS, 2, 3))
    equipment = draw_equipment(Devices(lambda_t=(0.0, 0.3, 1.0)), uniform)
    np.testing.assert_allclose(equipment.lambda_t, [[0.0, 0.3, 1.0]] * 2)
    np.testing.assert_allclose(equipment.lambda_e, [[1.0, 0.7, 0.0]] * 2)
    assert (draw_equipment(Devices(lambda_t=0.2, lambda_e=0.3), uniform).lambda_e == 0.3).all()


def test_power_in_dbm() -> None:
    assert dbm_to_w(np.array([0.0, 20.0, 30.0])) == pytest.approx([0.001, 0.1, 1.0])
    uniform = np.zeros((NUM_UNIFORMS, 1, 1))
    equipment = draw_equipment(Devices(tx_power=(10.0, 23.0), tx_power_unit="dBm"), uniform)
    assert equipment.tx_power_w[0, 0] == pytest.approx(0.01)
