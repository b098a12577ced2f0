"""Learners in the preset ``pooled``: who sees what, what is paid, and how many devices.

Run ``meqc-marl benchmark cooperation``; finished runs are kept, so it can be interrupted. Every minibatch holds 510
devices, of 34 slots where they are seen together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.learner_runs import by_setting
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.jobs.run import Run

SEEDS, ENV_STEPS, DEVICES = 5, 9_600, (5, 50, 200, 1_000)
"""A run takes one and a half to two minutes on one core."""


class Setting(NamedTuple):
    """What is learned."""

    sees: str
    """What a device sees, in words."""
    reward: str
    learner: dict[str, Any]
    fields: tuple[str, ...] = ()
    """Of the scenario, beside the reward."""
    most_seeds: int = SEEDS


_ALONE = {"train_batch_size_per_learner": 510}
_TOLD = ("resources.broadcast=counts",)
_PAPER = ("observation=paper",)
_FEW = 2
"""Seeds of what is not the headline."""
SETTINGS: dict[str, Setting] = {
    "itself-costs": Setting("itself and costs in company", "difference", _ALONE),
    "broadcast-costs": Setting("the same and counts of the last slot", "difference", _ALONE, _TOLD),
    "mean-costs": Setting("all and costs in company, mean embedding", "difference", {"context": "mean"}),
    "itself": Setting("itself", "difference", _ALONE, _PAPER),
    "broadcast": Setting("itself, counts of the last slot", "difference", _ALONE, (*_TOLD, *_PAPER)),
    "mean": Setting("all, mean embedding", "difference", {"context": "mean"}, _PAPER),
    "attention": Setting("all, attention", "difference", {"context": "attention"}, _PAPER, _FEW),
    "itself-own": Setting("itself", "own", _ALONE, _PAPER, _FEW),
    "broadcast-own": Setting("itself, counts of the last slot", "own", _ALONE, (*_TOLD, *_PAPER), _FEW),
    "mean-own": Setting("all, mean embedding", "own", {"context": "mean"}, _PAPER, _FEW),
    "itself-team": Setting("itself", "team", _ALONE, _PAPER, _FEW),
    "broadcast-team": Setting("itself, counts of the last slot", "team", _ALONE, (*_TOLD, *_PAPER), _FEW),
    "mean-team": Setting("all, mean embedding", "team", {"context": "mean"}, _PAPER, _FEW),
}
"""By name."""


def runs(seeds: int = SEEDS, env_steps: int = ENV_STEPS) -> dict[str, Run]:
    """By the names of their results; seeds outermost, so that an interrupted grid has all settings."""
    return {
        f"{name}-{seed}": Run(
            scenario=load_scenario("pooled", ["horizon=100", f"lyapunov.reward={setting.reward}", *setting.fields]),
            seed=seed,
            env_steps=env_steps,
            learner=setting.learner,
            labels={"setting": name, "seed": seed},
        )
        for seed in range(seeds)
        for name, setting in SETTINGS.items()
        if seed < setting.most_seeds
    }


def table(results_of_runs: Mapping[str, dict[str, Any]]) -> str:
    """Interquartile means over seeds, in per cent of V times cost, over the joint optimum in the states visited."""
    counts = sorted({int(count) for result in results_of_runs.values() for count in result["held_out_devices"]})
    heads = ["a device sees", "reward", "seeds", "regret", "worst seed", "misses"]
    heads += [f"regret at {count:,} devices (seeds)" for count in counts] + ["training, s"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    found = by_setting(results_of_runs)
    for name in (name for name in SETTINGS if name in found):
        results, setting = found[name], SETTINGS[name]
        regret = np.array([100 * result["held_out"]["regret"] for result in results])
        missed = np.array([100 * result["held_out"]["deadline_missed"] for result in results])
        cells = [
            setting.sees,
            setting.reward,
            str(len(results)),
            f"{interquartile_mean(regret).told('.2f')} %",
            f"{regret.max():.2f} %",
        ]
        cells.append(f"{interquartile_mean(missed).value:.1f} %")
        for count in counts:
            devices = [result["held_out_devices"] for result in results]
            there = [100 * each[str(count)]["regret"] for each in devices if str(count) in each]
            cells.append(f"{interquartile_mean(np.array(there)).value:.2f} % ({len(there)})" if there else "")
        cells.append(f"{np.median([result['training_s'] for result in results]):.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
