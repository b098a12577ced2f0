"""How near the learner comes to the exact oracle, over scenarios, V and seeds.

Run ``meqc-marl benchmark quality``; finished runs are kept, so it can be interrupted. The table is printed
from the stored results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.benchmarks.learner_runs import by_setting
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.jobs.run import Run

SEEDS, ENV_STEPS, DEVICES = 5, 40_000, (1_000,)
"""Seeds from 100 on: parameters were chosen on others; the budget is that of ``train``, 90 s of one core."""


def runs(seeds: int = SEEDS, env_steps: int = ENV_STEPS) -> dict[str, Run]:
    """By the names of their results; seeds outermost, so that an interrupted grid has all settings."""
    return {
        f"{scenario}-v{v:g}-{seed}": Run(
            scenario=load_scenario(scenario, [f"lyapunov.v={v:g}"]),
            seed=seed,
            env_steps=env_steps,
            labels={"setting": f"{scenario}-v{v:g}", "seed": seed},
        )
        for seed in range(100, 100 + seeds)
        for scenario in ("paper", "fast-folders")
        for v in (0.1, 1.0, 10.0)
    }


def table(results_of_runs: Mapping[str, dict[str, Any]]) -> str:
    """Interquartile means over seeds in per cent, and the seed farthest from zero."""
    lines = [
        "| scenario | V | env-steps | seeds | regret | worst seed | cost over the oracle's | worst seed "
        "| misses that can be met | largest shortfall | regret at 1,000 devices | training, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, results in by_setting(results_of_runs).items():
        scenario, _, v = name.rpartition("-v")
        cells = [scenario, v, f"{results[0]['run']['env_steps']:,}", str(len(results))]
        for metric, form in (("regret", ".3f"), ("gap_to_oracle", "+.2f")):
            values = np.array([100 * result["held_out"][metric] for result in results])
            estimate = interquartile_mean(values)
            cells += [
                f"{estimate.told(form)} %",
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
