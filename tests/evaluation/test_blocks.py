"""A comparison in blocks is the comparison in one piece."""

from __future__ import annotations

import json
import resource

import numpy as np
import pytest

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation import blocks
from meqc_marl.evaluation.blocks import RowsOf, compare_seeds, compare_trace
from meqc_marl.evaluation.comparison import compare
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy
from meqc_marl.report.tables import comparison_json

NAMES = ("oracle", "random", "cpu-discrete")


@pytest.mark.parametrize("rows", [1, 3])
def test_blocks_give_what_one_piece_gives(monkeypatch, rows):
    scenario = load_scenario("paper", ("num_devices=4",))
    policies = [make_policy(name, scenario) for name in NAMES]
    trace = generate_trace(scenario, range(7), num_slots=25)
    whole = compare(policies, scenario, trace, range(7), policy_seed=3)
    monkeypatch.setattr(blocks, "BLOCK_DEVICE_SLOTS", rows * 25 * 4 + 1)
    told = []

    def progress(label, total, unit):
        steps = [0, total, label]
        told.append(steps)
        return lambda: steps.__setitem__(0, steps[0] + 1)

    drawn = compare_seeds(policies, scenario, range(7), 25, 3, progress)
    given = compare_trace(policies, scenario, trace, 3, "mine.npz")
    assert (given.trace_file, given.seeds, drawn.seeds) == ("mine.npz", (), tuple(range(7)))
    assert [label for _, _, label in told] == ["nature", "C_opt", *NAMES]
    assert told[0][:2] == [-(-7 // rows)] * 2
    assert all(done <= total or label == "C_opt" for done, total, label in told)
    for parts in (drawn, given):
        assert parts.num_traces == 7
        assert parts.qpu_admitted == pytest.approx(whole.qpu_admitted, rel=1e-12)
        np.testing.assert_allclose(parts.optimum.cost, whole.optimum.cost, rtol=1e-5)
        for name, metrics in whole.metrics.items():
            for metric, values in metrics.items():
                tolerance = (
                    {"rtol": 1e-5, "atol": 1e-5} if metric == "gap_to_optimum" else {"rtol": 1e-11, "atol": 1e-13}
                )
                np.testing.assert_allclose(parts.metrics[name][metric], values, **tolerance, err_msg=f"{name} {metric}")
        json.dumps(comparison_json(parts), allow_nan=False)


def test_a_comparison_that_fits_is_in_one_piece_with_the_bits_it_always_had():
    scenario = load_scenario("small")
    policies = [make_policy(name, scenario) for name in NAMES]
    whole = compare(policies, scenario, generate_trace(scenario, range(3)), range(3))
    drawn = compare_seeds(policies, scenario, range(3))
    assert comparison_json(drawn) == comparison_json(whole)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, rows: rng.integers(0, 4, (rows, 3), dtype=np.int8),
        lambda rng, rows: rng.integers(5, size=(rows, 3)),
        lambda rng, rows: rng.integers(2, 9, (rows, 3), np.int16, True),
        lambda rng, rows: rng.uniform(0.2, 1.0, (rows, 3)),
        lambda rng, rows: rng.random((rows, 3)),
        lambda rng, rows: rng.random((rows, 3), np.float32),
        lambda rng, rows: rng.standard_normal((rows, 3, 2)),
        lambda rng, rows: rng.normal(1.0, 2.0, (rows,)),
    ],
)
def test_a_block_draws_what_its_rows_would_get_among_all(draw):
    whole, parts = np.random.default_rng(5), [RowsOf(slice(a, a + 2), 6).generator(5) for a in (0, 2, 4)]
    for _ in range(3):
        expected = draw(whole, 6)
        np.testing.assert_array_equal(np.concatenate([draw(part, 2) for part in parts]), expected)
        assert expected.dtype == draw(parts[0], 2).dtype
        draw(whole, 6), draw(parts[1], 2), draw(parts[2], 2)  # all go on together


def test_a_row_that_does_not_fit_is_refused_before_it_is_drawn():
    scenario = load_scenario("paper", ("num_devices=1000000",))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="GB"):
        compare_seeds([make_policy("oracle", scenario)], scenario, range(10**9))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
