"""Claims that several figures make."""

from __future__ import annotations

import numpy as np

from experiments.figure import (
    CPU_CONTINUOUS,
    CPU_DISCRETE,
    HYBRID,
    METHODS,
    QPU_CONTINUOUS,
    QPU_DISCRETE,
    RANDOM,
    Claim,
    Data,
    best_kind,
    judge,
    method_of,
    paired,
    tell,
)
from meqc_marl.evaluation.statistics import Estimate


def _kind(data: Data, name: str) -> str:
    return best_kind(data) if name != RANDOM.name else "exact"


def ranking(data: Data, setting: str) -> list[Claim]:
    """Ours best, random worst, continuous before discrete: differences in cost, paired by trace."""
    kind = best_kind(data)
    others = [method.name for method in METHODS if method not in (HYBRID, RANDOM)]

    def dearer(name: str, than: str) -> Estimate:
        return paired(data, setting, than, _kind(data, than), name, _kind(data, name))

    over_ours = {name: dearer(name, HYBRID.name) for name in (*others, RANDOM.name)}
    random_over = {name: dearer(RANDOM.name, name) for name in (HYBRID.name, *others)}
    claims = [
        _nearest("Ours costs least.", over_ours, "{name}, the cheapest other, less ours"),
        _nearest("Random costs most.", random_over, "random less {name}, the dearest other"),
    ]
    gains = {
        place: paired(data, setting, continuous.name, kind, discrete.name, kind)
        for place, continuous, discrete in (
            ("CPU", CPU_CONTINUOUS, CPU_DISCRETE),
            ("QPU", QPU_CONTINUOUS, QPU_DISCRETE),
        )
    }
    number = "discrete is dearer by " + ", ".join(f"{tell(gain)} ({place})" for place, gain in gains.items())
    return [*claims, judge("Continuous always beats discrete.", all(e.low > 0 for e in gains.values()), number)]


def _nearest(claim: str, differences: dict[str, Estimate], what: str) -> Claim:
    """That all differences are positive, told by the least."""
    name = min(differences, key=lambda name: differences[name].value)
    number = f"{what.format(name=name)}: {tell(differences[name], '+.2f')}"
    return judge(claim, all(estimate.low > 0 for estimate in differences.values()), number)


def ours_best_everywhere(data: Data) -> Claim:
    """Ours costs least in every setting."""
    kind = best_kind(data)
    least = []
    for setting in data.settings():
        for method in METHODS:
            if method is not HYBRID and method.name in (*data.methods(kind), RANDOM.name):
                here = ((HYBRID.name, kind), (method.name, _kind(data, method.name)))
                if any(data.row(setting["name"], *which) is None for which in here):
                    continue
                estimate = paired(data, setting["name"], HYBRID.name, kind, method.name, _kind(data, method.name))
                least.append((estimate.low, estimate, method.name, setting["name"]))
    low, estimate, name, where = min(least, key=lambda entry: entry[0])
    number = f"{name}, the nearest, less ours at {where}: {tell(estimate, '+.2f')}"
    if low <= 0:
        its, ours = (
            float(data.scores(where, which, _kind(data, which), "fraction").mean()) for which in (name, HYBRID.name)
        )
        number += f"; it offloads {its:.2f} on average, ours, held to Delta by its queue, {ours:.2f}"
    return judge("Ours costs least everywhere.", low > 0, number)


def learned_near_exact(data: Data) -> list[Claim]:
    """How far learned methods are from their exact counterparts, at the farthest setting, and what they violate."""
    claims = []
    for name in data.methods("learned"):
        there = [s["name"] for s in data.settings() if data.row(s["name"], name, "learned") is not None]
        gaps = [
            float(np.mean(data.scores(at, name, "learned")) / np.mean(data.scores(at, name, "exact")) - 1)
            for at in there
        ]
        worst = max(gaps, key=abs)
        number = f"{worst:+.1%} at most"
        learned, exact = (
            max(float(data.scores(at, name, kind, "deadline_missed_feasible").mean()) for at in there)
            for kind in ("learned", "exact")
        )
        number += f"; misses up to {learned:.1%} of the deadlines that can be met (exact {exact:.1%})"
        if worst < -0.01 and learned > exact:
            number += ": what it saves, since a miss costs the learner a penalty and is forbidden to the exact solver"
        if method_of(name).has_queue:
            short = max(float(data.scores(at, name, "learned", "shortfall").max()) for at in there)
            number += f"; falls short of Delta by {short:.3f} at most"
        claim = f"Learned {name} is within 5 % of its exact counterpart."
        claims.append(judge(claim, abs(worst) <= 0.05, number))
    return claims
