"""The data file of a figure: a score for each run and trace, so that all is paired by trace; what is told from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.figures.methods import HYBRID, METHODS
from meqc_marl.evaluation.statistics import (
    Estimate,
    interquartile_mean,
    paired_interquartile_difference,
)


@dataclass(frozen=True)
class Data:
    """The data file of a figure: rows by setting, method and kind (``exact`` or ``learned``)."""

    content: dict[str, Any]

    def settings(self) -> list[dict[str, Any]]:
        """Name, x, C_opt on each trace, and share of the devices that cannot reach Delta, of every setting."""
        return list(self.content["settings"])

    def out_of_reach(self) -> str:
        """Which settings have devices that cannot reach Delta, in words; empty if none has."""
        shares = [(setting["name"], setting["out_of_reach"]) for setting in self.settings()]
        told = ", ".join(f"{share:.0%} at {name}" for name, share in shares if share > 0.005)
        return f"Delta is out of reach of devices: {told}" if told else ""

    def row(self, setting: str, method: str, kind: str) -> dict[str, Any] | None:
        """The row, if there is one."""
        for row in self.content["rows"]:
            if (row["setting"], row["method"], row["kind"]) == (setting, method, kind):
                return dict(row)
        return None

    def methods(self, kind: str) -> list[str]:
        """Names of the methods that have rows of a kind, in the order of METHODS."""
        there = {row["method"] for row in self.content["rows"] if row["kind"] == kind}
        return [method.name for method in METHODS if method.name in there]

    def scores(self, setting: str, method: str, kind: str, metric: str = "cost") -> np.ndarray:
        """Scores [runs, traces]."""
        row = self.row(setting, method, kind)
        if row is None:
            raise KeyError(f"no {kind} {method} at {setting}")
        return np.array(row[metric], dtype=float)

    def sampled(self, setting: str, method: str, kind: str, metric: str = "cost") -> np.ndarray:
        """Scores by what was sampled: training runs [runs, traces], or, of what is not trained, traces [traces]."""
        scores = self.scores(setting, method, kind, metric)
        return scores if kind == "learned" else scores[0]

    def beside(self, values: np.ndarray) -> np.ndarray:
        """What no training changes [traces, ...], as often as the picture has training runs: [runs, traces, ...].

        An interquartile mean cuts whole scores: of 10 two at either end, of 20 five. Exact and learned of one picture
        would differ by that, where they are alike in every trace.
        """
        rows = [row for row in self.content["rows"] if row["kind"] == "learned"]
        runs = max((len(row["cost"]) for row in rows), default=1)
        return np.repeat(values[None], runs, 0)

    def estimate(self, setting: str, method: str, kind: str, metric: str = "cost") -> Estimate:
        """Interquartile mean with a 95 % interval over training runs, or, of what is not trained, over traces."""
        return interquartile_mean(self.sampled(setting, method, kind, metric))


@dataclass(frozen=True)
class Claim:
    """A verdict.

    Attributes:
        claim: What the paper says.
        verdict: ``holds``, ``does not hold`` or ``depends``.
        number: What was measured, in words.
        reason: Why it does not hold, or on what it depends.
    """

    claim: str
    verdict: str
    number: str
    reason: str = ""


def judge(claim: str, holds: bool, number: str, reason: str = "") -> Claim:
    """A claim that holds or does not; the reason is told if it does not."""
    return Claim(claim, "holds" if holds else "does not hold", number, "" if holds else reason)


def paired(
    data: Data, setting: str, method: str, kind: str, other: str, other_kind: str, metric: str = "cost"
) -> Estimate:
    """Difference on the same traces, other minus method."""
    return paired_interquartile_difference(
        data.sampled(setting, other, other_kind, metric), data.sampled(setting, method, kind, metric)
    )


def between(data: Data, setting: str, other: str, method: str = HYBRID.name, metric: str = "cost") -> Estimate:
    """What the exact method's score changes by from a setting to another, paired by trace."""
    after, before = (data.sampled(name, method, "exact", metric) for name in (other, setting))
    return paired_interquartile_difference(after, before)


def relative(data: Data, setting: str, other: str, method: str = HYBRID.name) -> Estimate:
    """The same as a share of the first cost, trace by trace."""
    first, second = (data.sampled(name, method, "exact") for name in (setting, other))
    return interquartile_mean(second / first - 1.0)


def best_kind(data: Data) -> str:
    """``learned`` if there is any training in the data, else ``exact``."""
    return "learned" if data.methods("learned") else "exact"


def tell(estimate: Estimate, form: str = ".2f") -> str:
    """Value and interval, or each run's where too few allow none."""
    return estimate.told(form)
