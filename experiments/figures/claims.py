"""Claims that several figures make."""

from __future__ import annotations

from experiments.figures.data import Claim, Data, best_kind, judge, paired, tell
from experiments.figures.methods import (
    CPU_CONTINUOUS,
    CPU_DISCRETE,
    HYBRID,
    METHODS,
    QPU_CONTINUOUS,
    QPU_DISCRETE,
    RANDOM,
    method_of,
)
from meqc_marl.evaluation.statistics import (
    Estimate,
    interquartile_mean,
    paired_interquartile_difference,
    probability_of_improvement,
)


def _kind(name: str, kind: str) -> str:
    return kind if name != RANDOM.name else "exact"


def ranking(data: Data, setting: str) -> list[Claim]:
    """Ours best, random worst, continuous before discrete: differences in cost, paired by trace."""
    kind = best_kind(data)
    over_ours = _over_ours(data, setting, kind)
    random_over = {
        method.name: paired(data, setting, method.name, kind, RANDOM.name, "exact")
        for method in METHODS
        if method is not RANDOM
    }
    best = _nearest("Ours costs least.", over_ours, kind + ": {name}, the cheapest other, less ours")
    ours, *rest = (data.scores(setting, name, _kind(name, kind)) for name in (HYBRID.name, *over_ours))
    chance = min(probability_of_improvement(ours, scores) for scores in rest)
    best = judge(best.claim, best.verdict == "holds", f"{best.number}; ours is cheaper with probability {chance:.2f}")
    worst = _nearest("Random costs most.", random_over, kind + ": random less {name}, the dearest other")
    gains = {
        place: paired(data, setting, continuous.name, kind, discrete.name, kind)
        for place, continuous, discrete in (
            ("CPU", CPU_CONTINUOUS, CPU_DISCRETE),
            ("QPU", QPU_CONTINUOUS, QPU_DISCRETE),
        )
    }
    number = f"{kind}: discrete less continuous: "
    number += ", ".join(f"{tell(gain, '+.2f')} ({place})" for place, gain in gains.items())
    claim = judge("Continuous always beats discrete.", all(e.least > 0 for e in gains.values()), number)
    return [best, worst, claim]


def _over_ours(data: Data, setting: str, kind: str) -> dict[str, Estimate]:
    """What each other method costs more than ours."""
    return {
        method.name: paired(data, setting, HYBRID.name, kind, method.name, _kind(method.name, kind))
        for method in METHODS
        if method is not HYBRID
    }


def _nearest(claim: str, differences: dict[str, Estimate], what: str) -> Claim:
    """That all differences are positive, told by the least."""
    name = min(differences, key=lambda name: differences[name].value)
    number = f"{what.format(name=name)}: {tell(differences[name], '+.2f')}"
    return judge(claim, all(estimate.least > 0 for estimate in differences.values()), number)


def ours_best_everywhere(data: Data) -> Claim:
    """Ours costs least in every setting: where it is trained, and with exact solvers in all of them."""
    told, fails, judged = [], [], 0
    for kind in ("learned", "exact"):
        least = {s["name"]: _cheapest_other(data, s["name"], kind) for s in data.settings() if _has_all(data, s, kind)}
        if not least:
            continue
        where = min(least, key=lambda name: least[name][1].least)
        name, estimate = least[where]
        settings = "1 setting" if len(least) == 1 else f"{len(least)} settings"
        nearest = f"{name}, the nearest, less ours at {where}: {tell(estimate, '+.2f')}"
        told.append(f"{kind}, {settings}: {nearest}")
        fails += [(kind, setting) for setting, (_, difference) in least.items() if difference.least <= 0]
        judged += len(least)
    verdict = "holds" if not fails else "does not hold" if len(fails) == judged else "depends"
    return Claim("Ours costs least everywhere.", verdict, "; ".join(told), _why_not_best(data, fails))


def _has_all(data: Data, setting: dict[str, float | str], kind: str) -> bool:
    return all(data.row(str(setting["name"]), m.name, _kind(m.name, kind)) is not None for m in METHODS)


def _cheapest_other(data: Data, setting: str, kind: str) -> tuple[str, Estimate]:
    differences = _over_ours(data, setting, kind)
    name = min(differences, key=lambda name: differences[name].least)
    return name, differences[name]


def _why_not_best(data: Data, fails: list[tuple[str, str]]) -> str:
    """Where, and what the cheaper method offloads there."""
    if not fails:
        return ""
    kind, setting = fails[0]
    name, _ = _cheapest_other(data, setting, kind)
    its, ours = (
        float(data.scores(setting, which, _kind(which, kind), "fraction").mean()) for which in (name, HYBRID.name)
    )
    where = ", ".join(f"{setting} ({kind})" for kind, setting in fails)
    why = f"at {setting} {name} offloads {its:.2f} on average, ours, held to Delta by its queue, {ours:.2f}"
    return "; ".join(filter(None, (f"not at {where}", why, data.out_of_reach())))


def learned_near_exact(data: Data) -> list[Claim]:
    """How far learned methods are from their exact counterparts, at the farthest setting, and what they violate."""
    claims = []
    for name in data.methods("learned"):
        there = [s["name"] for s in data.settings() if data.row(s["name"], name, "learned") is not None]
        worst = max((_gap(data, at, name) for at in there), key=lambda gap: abs(gap.value))
        number = f"{tell(worst, '+.1%')} at most"
        learned, exact = (
            max(float(data.scores(at, name, kind, "deadline_missed_feasible").mean()) for at in there)
            for kind in ("learned", "exact")
        )
        number += f"; misses up to {learned:.1%} of the deadlines that can be met (exact {exact:.1%})"
        if method_of(name).has_queue:
            short = max(float(data.scores(at, name, "learned", "shortfall").max()) for at in there)
            number += f"; falls short of Delta by {short:.3f} at most, of devices whose exact solver reaches it"
        reason = ""
        if worst.value < 0 and learned > exact:
            reason = "it saves what it misses: a miss costs the learner a penalty and is forbidden to the exact solver"
        claim = f"Learned {name} is within 5 % of its exact counterpart."
        claims.append(judge(claim, abs(worst.value) <= 0.05, number, reason))
    return claims


def _gap(data: Data, setting: str, name: str) -> Estimate:
    """Learned less exact cost on the same traces, as a share of the exact one."""
    learned, exact = (data.sampled(setting, name, kind) for kind in ("learned", "exact"))
    return paired_interquartile_difference(learned, exact).times(1.0 / interquartile_mean(exact).value)
