"""How often the 95 % intervals cover the truth, at 4 to 40 runs, skewed or not, with and without traces.

Run ``python -m experiments.benchmarks.coverage`` (some minutes on one core). The table is printed from the stored
results; docs/statistics.md shows it. Beside ours is the percentile bootstrap over whole runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.measured import check_kept, keep, kept, of_this_kind
from meqc_marl.entry.running import run_module
from meqc_marl.errors import InputError, within
from meqc_marl.evaluation.intervals import iqm_intervals, mean_intervals, trimmed

RESULTS = Path(__file__).parents[1] / "results" / "coverage"
LAWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "normal, mean 10 deviations from 0": lambda z: 10.0 + z,
    "normal, mean 2.5 deviations from 0": lambda z: 2.5 + z,
    "normal around 0": lambda z: z,
    "lognormal, sigma 0.5": lambda z: np.exp(0.5 * z),
    "lognormal, sigma 1": np.exp,
    "exponential": lambda z: -np.log1p(-_normal_probability(z)),
    "uniform": lambda z: _normal_probability(z),
    "10 less lognormal, sigma 1": lambda z: 10.0 - np.exp(z),
}
"""Scores as a function of standard normals."""
SHAPES = ((1, 0.0), (10, 0.0), (10, 1.0), (10, 3.0))
"""Traces of a run, and the deviation of the run effect over that of the residual."""
_TRUTH, _RESAMPLES, _BLOCK = 4_000_000, 1_000, 500


@dataclass(frozen=True)
class Coverage:
    """Simulate the coverage of the intervals and print the table."""

    sizes: tuple[int, ...] = (4, 5, 10, 20, 40)
    """Numbers of runs."""
    repetitions: int = 4_000
    """Samples for each row; with traces a quarter of it."""
    out: Path = RESULTS
    """Folder of the results."""
    only_report: bool = False
    """Print what there is, and simulate nothing."""

    def run(self) -> None:
        """Simulate and print."""
        path = self.out / "coverage.json"
        if not self.only_report:
            for size in self.sizes:
                within("sizes", size, 4, 10_000)
            within("repetitions", self.repetitions, 1, 10**7)
            check_kept(path)
            keep({"repetitions": self.repetitions, "rows": [asdict(row) for row in rows(self)]}, path)
        if not path.exists():
            raise InputError(f"folder '{self.out}' holds no results; run without --only-report.")
        with of_this_kind(f"result '{path}'"):
            print(table(kept(path)["rows"]))


@dataclass(frozen=True)
class Row:
    """Shares in % of the intervals that cover the true mean and interquartile mean (IQM)."""

    law: str
    runs: int
    traces: int
    run_effect: float
    mean: float
    iqm: float
    percentile_mean: float
    percentile_iqm: float
    median_width_mean: float
    median_width_iqm: float


def _normal_probability(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    probability: np.ndarray = ndtr(z)
    return probability


def _percentile(scores: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ends [2, S] of percentile bootstraps of the mean and the interquartile mean, whole runs resampled."""
    runs, traces = scores.shape[1:]
    ends: list[list[np.ndarray]] = [[], []]
    for sample in scores:
        drawn = sample[rng.integers(0, runs, (_RESAMPLES, runs))].reshape(_RESAMPLES, runs * traces)
        for found, values in zip(ends, (drawn.mean(1), trimmed(drawn)), strict=True):
            found.append(np.percentile(values, (2.5, 97.5)))
    return np.array(ends[0]).T, np.array(ends[1]).T


def simulate(law: str, runs: int, traces: int, run_effect: float, repetitions: int) -> Row:
    """One row of the table."""
    rng = np.random.default_rng((runs, traces, int(10 * run_effect), list(LAWS).index(law)))

    def draw(count: int, size: int) -> np.ndarray:
        noise = run_effect * rng.standard_normal((count, size, 1)) + rng.standard_normal((count, size, traces))
        return LAWS[law](noise / np.hypot(1.0, run_effect))

    everything = draw(1, _TRUTH // traces).reshape(-1)
    truths = everything.mean(), trimmed(everything)
    covered: list[list[np.ndarray]] = [[], [], [], []]
    widths: list[list[np.ndarray]] = [[], []]
    for begin in range(0, repetitions, _BLOCK):
        scores = draw(min(_BLOCK, repetitions - begin), runs)
        ours = mean_intervals(scores.mean(2)), iqm_intervals(scores)
        for which, (ends, truth) in enumerate(zip((*ours, *_percentile(scores, rng)), truths * 2, strict=True)):
            covered[which].append((ends[0] <= truth) & (truth <= ends[1]))
        for found, ends in zip(widths, ours, strict=True):
            found.append(np.ptp(ends, axis=0))
    shares = [100.0 * float(np.concatenate(part).mean()) for part in covered]
    return Row(law, runs, traces, run_effect, *shares, *(float(np.median(np.concatenate(part))) for part in widths))


def rows(args: Coverage) -> Iterator[Row]:
    """All rows; the laws that neither model describes without traces only."""
    for size in args.sizes:
        for traces, run_effect in SHAPES:
            for law in LAWS:
                if traces == 1 or law.startswith(("lognormal, sigma 1", "normal, mean 10")):
                    repetitions = args.repetitions if traces == 1 else max(1, args.repetitions // 4)
                    yield simulate(law, size, traces, run_effect, repetitions)


def table(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| runs | law of the scores | traces | run effect | mean | IQM | percentile bootstrap: mean | IQM |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        shares = (f"{row[name]:.1f}" for name in ("mean", "iqm", "percentile_mean", "percentile_iqm"))
        effect = f"{row['run_effect']:g}" if row["traces"] > 1 else ""
        lines.append(f"| {row['runs']} | {row['law']} | {row['traces']} | {effect} | {' | '.join(shares)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_module(Coverage))
