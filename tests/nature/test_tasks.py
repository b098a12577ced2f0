from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import meqc_marl
from meqc_marl.config.scenario import Tasks
from meqc_marl.nature.tasks import (
    circuit_depth,
    cycles_per_bit,
    fast_folders,
    logical_qubits,
    uniform_proteins,
)
from meqc_marl.nature.variates import integer_below


def interaction_pairs(residues: int) -> int:
    """By counting: pairs of residues on different sublattices, at least five apart along the chain."""
    return sum(1 for i in range(residues) for j in range(i + 5, residues) if (j - i) % 2 == 1)


@pytest.mark.parametrize(("residues", "qubits"), [(7, 9), (10, 22), (30, 222), (60, 897), (90, 2022)])
def test_qubits_of_published_and_worked_examples(residues: int, qubits: int) -> None:
    assert logical_qubits(np.array([residues]))[0] == qubits


def test_qubits_are_turns_and_counted_pairs_for_every_length() -> None:
    lengths = np.arange(7, 121)
    expected = [2 * (n - 3) - 1 + interaction_pairs(n) for n in range(7, 121)]
    np.testing.assert_array_equal(logical_qubits(lengths), expected)


def test_depth_is_a_chain_of_cx_for_each_repetition() -> None:
    np.testing.assert_array_equal(circuit_depth(Tasks(), np.array([22, 222])), [23, 223])
    np.testing.assert_array_equal(circuit_depth(Tasks(circuit_reps=3), np.array([22, 222])), [67, 667])


def test_cycles_per_bit_by_hand() -> None:
    # 8 (60 / 60) (550 / 550) = 8; 8 (30 / 60) (1100 / 550) = 8; 8 (90 / 60) (275 / 550) = 6
    times = np.array([550e-6, 1100e-6, 275e-6])
    np.testing.assert_allclose(cycles_per_bit(Tasks(), np.array([60, 30, 90]), times), [8.0, 8.0, 6.0], rtol=1e-12)


def test_uniform_proteins_have_the_laws_of_the_paper() -> None:
    rng = np.random.default_rng(3)
    which, time = rng.random((2, 50_000), dtype=np.float32)
    residues, time_s = uniform_proteins(Tasks(), which, time)
    assert (residues.min(), residues.max()) == (30, 90)
    counts = np.bincount(residues)[30:]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(time_s, stats.uniform(1e-4, 9e-4).cdf).pvalue > 1e-3


def test_the_ends_of_the_uniforms_stay_in_range() -> None:
    ends = np.array([0.0, np.nextafter(np.float32(1), np.float32(0))], np.float32)
    residues, _ = uniform_proteins(Tasks(residues=(7, 5000)), ends, ends)
    assert residues.tolist() == [7, 5000]
    assert integer_below(60_000_000, ends)[1] < 60_000_000


def test_fast_folders_are_the_twelve_proteins_of_the_file() -> None:
    path = Path(meqc_marl.__file__).parent / "data" / "fast_folders.csv"
    text = path.read_text()
    assert "10.1126/science.1208351" in text
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    pairs = {(int(row["residues"]), np.float32(float(row["simulated_time_us"]) * 1e-6)) for row in rows}
    assert len(rows) == 12
    rng = np.random.default_rng(4)
    residues, time_s = fast_folders(Tasks(), *rng.random((2, 12_000), dtype=np.float32))
    drawn = set(zip(residues.tolist(), time_s, strict=True))
    assert drawn == pairs
    per_protein = np.unique(time_s, return_counts=True)[1]
    assert stats.chisquare(per_protein).pvalue > 1e-3
