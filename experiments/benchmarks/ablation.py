"""What each option of the learner does: one switch at a time, the same budget and seeds.

Run ``meqc-marl benchmark ablation``; finished runs are kept, so it can be interrupted. Options that only
matter with a discount are compared at the paper's 0.913. With a discount or another critic every pass sees all columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.benchmarks.learner_runs import by_setting
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.jobs.run import Run

SEEDS, ENV_STEPS = 3, 24_000
"""A run takes about a minute on one core."""
DEVICES: tuple[int, ...] = ()
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


def runs(seeds: int = SEEDS, env_steps: int = ENV_STEPS) -> dict[str, Run]:
    """By the names of their results; seeds outermost, so that an interrupted grid has all options."""
    return {
        f"{name}-{seed}": Run(
            scenario=load_scenario("paper"),
            seed=seed,
            env_steps=env_steps,
            learner=learner,
            labels={"setting": name, "seed": seed},
        )
        for seed in range(seeds)
        for name, learner in OPTIONS.items()
    }


def table(results_of_runs: Mapping[str, dict[str, Any]]) -> str:
    """Interquartile means over seeds, in per cent of V times cost."""
    lines = [
        "| option | seeds | regret | misses that can be met | training, s |",
        "|---|---|---|---|---|",
    ]
    for name, results in by_setting(results_of_runs).items():
        cells = [f"`{name}`", str(len(results))]
        estimate = interquartile_mean(np.array([100 * result["held_out"]["regret"] for result in results]))
        cells.append(f"{estimate.told('.3f')} %")
        missed = np.array([100 * result["held_out"]["deadline_missed_feasible"] for result in results])
        cells.append(f"{interquartile_mean(missed).value:.2f} %")
        cells.append(f"{np.median([result['training_s'] for result in results]):.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
