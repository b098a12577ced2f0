"""How near the learner comes to the exact oracle, over scenarios, V and seeds.

Run ``python -m experiments.benchmarks.quality``; finished runs are kept, so it can be interrupted. The table is printed
from the stored results.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from experiments.benchmarks.learner_runs import load_results, perform_all
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.jobs.run import Run

RESULTS = Path(__file__).parents[1] / "results" / "quality"
LONGER = {("paper", 0.1): 2}
"""Settings with so many times the budget: at a small V the backlog, and with it what must be learned, is widest."""


@dataclass(frozen=True)
class Quality:
    """Train for every scenario, V and seed, and print the table."""

    seeds: int = 5
    """Training seeds, from 100 on: parameters were chosen on others."""
    env_steps: int = 120_000
    """Budget of a run: four to five minutes on one core; twice that in the settings of LONGER."""
    out: Path = RESULTS
    """Folder of the results."""
    only_report: bool = False
    """Print what there is, and train nothing."""


def runs(args: Quality) -> list[Run]:
    """Seeds outermost, so that an interrupted grid has all settings."""
    return [
        Run(
            scenario=load_scenario(scenario, [f"lyapunov.v={v:g}"]),
            seed=seed,
            env_steps=args.env_steps * LONGER.get((scenario, v), 1),
            labels={"setting": f"{scenario}-v{v:g}", "seed": seed},
        )
        for seed in range(100, 100 + args.seeds)
        for scenario in ("paper", "fast-folders")
        for v in (0.1, 1.0, 10.0)
    ]


def table(args: Quality) -> str:
    """Interquartile means over seeds in per cent, and the seed farthest from zero."""
    lines = [
        "| scenario | V | env-steps | seeds | regret | worst seed | cost over the oracle's | worst seed "
        "| misses that can be met | largest shortfall | regret at 1,000 devices | training, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, results in load_results(runs(args), args.out).items():
        scenario, _, v = name.rpartition("-v")
        cells = [scenario, v, f"{results[0]['run']['env_steps']:,}", str(len(results))]
        for metric, form in (("regret", ".3f"), ("gap_to_oracle", "+.2f")):
            values = np.array([100 * result["held_out"][metric] for result in results])
            estimate = interquartile_mean(values)
            cells += [
                f"{estimate.value:{form}} % [{estimate.low:{form}}, {estimate.high:{form}}]",
                f"{max(values, key=abs):{form}} %",
            ]
        missed = np.array([result["held_out"]["deadline_missed_feasible"] for result in results])
        shortfall = max(result["held_out"]["shortfall"] for result in results)
        wide = np.array([result["held_out_devices"]["1000"]["regret"] for result in results])
        cells += [
            f"{100 * interquartile_mean(missed).value:.2f} % (worst {100 * missed.max():.2f})",
            f"{shortfall:.3f}",
            f"{100 * interquartile_mean(wide).value:.3f} %",
            f"{np.median([result['training_s'] for result in results]):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(args: Quality) -> None:
    if not args.only_report:
        perform_all(runs(args), args.out, (1_000,))
    print(table(args))


if __name__ == "__main__":
    main(tyro.cli(Quality))
