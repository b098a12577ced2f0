"""What each option of the learner does: one switch at a time, the same budget and seeds.

Run ``python -m experiments.benchmarks.ablation``; finished runs are kept, so it can be interrupted. Options that only
matter with a discount are compared at the paper's 0.913.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments.benchmarks.learner_runs import load_results, perform_all
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.jobs.run import Run

RESULTS = Path(__file__).parents[1] / "results" / "ablation"
PAPER_DISCOUNT = 0.913
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "joint": {"critic": "joint"},
    "separate": {"critic": "separate"},
    "inverting": {"bounds": "inverting"},
    "sigmoid": {"bounds": "sigmoid"},
    "prioritised": {"replay_alpha": 0.6},
    "huber-1": {"huber_delta": 1.0},
    "discount": {"gamma": PAPER_DISCOUNT},
    "discount-double-q": {"gamma": PAPER_DISCOUNT, "double_q": True},
    "discount-twin": {"gamma": PAPER_DISCOUNT, "twin_critics": True, "target_noise": 0.05},
    "discount-3-step": {"gamma": PAPER_DISCOUNT, "n_step": 3},
    "discount-separate": {"gamma": PAPER_DISCOUNT, "critic": "separate"},
}


@dataclass(frozen=True)
class Ablation:
    """Train every option with every seed, and print the table."""

    seeds: int = 3
    """Training seeds, from 0 on."""
    env_steps: int = 24_000
    """Budget of a run: about a minute on one core."""
    out: Path = RESULTS
    """Folder of the results."""
    only_report: bool = False
    """Print what there is, and train nothing."""


def runs(args: Ablation) -> list[Run]:
    """Seeds outermost, so that an interrupted grid has all options."""
    return [
        Run(
            scenario=load_scenario("paper"),
            seed=seed,
            env_steps=args.env_steps,
            learner=learner,
            labels={"setting": name, "seed": seed},
        )
        for seed in range(args.seeds)
        for name, learner in OPTIONS.items()
    ]


def table(args: Ablation) -> str:
    """Interquartile means over seeds, in per cent of V times cost."""
    lines = [
        "| option | seeds | regret | misses that can be met | training, s |",
        "|---|---|---|---|---|",
    ]
    for name, results in load_results(runs(args), args.out).items():
        cells = [f"`{name}`", str(len(results))]
        estimate = interquartile_mean(np.array([100 * result["held_out"]["regret"] for result in results]))
        cells.append(f"{estimate.value:.3f} % [{estimate.low:.3f}, {estimate.high:.3f}]")
        missed = np.array([100 * result["held_out"]["deadline_missed_feasible"] for result in results])
        cells.append(f"{interquartile_mean(missed).value:.2f} %")
        cells.append(f"{np.median([result['training_s'] for result in results]):.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(args: Ablation) -> None:
    if not args.only_report:
        perform_all(runs(args), args.out)
    print(table(args))


if __name__ == "__main__":
    main(tyro.cli(Ablation))
