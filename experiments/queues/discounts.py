"""Whom a discount serves: learners that look ahead and that do not, where work waits and where it does not.

``python -m experiments.queues.discounts --runs RUNS --out FOLDER``. Every run is trained in a folder of RUNS; what is
finished is kept, so the command goes on where it was stopped. Where work waits, policies are measured on the reference
traces, last three quarters, beside the exact optimum of every slot; elsewhere by their regret on held-out traces.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.learner_runs import by_setting, evaluate
from experiments.measured import REFERENCE_SEEDS, check_kept, keep, kept, made_on, of_this_kind
from experiments.queues.rules import SLOTS, means, traces
from meqc_marl.config import load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.errors import InputError, shown, within
from meqc_marl.evaluation.statistics import interquartile_mean
from meqc_marl.files import check_folder
from meqc_marl.jobs.run import Run
from meqc_marl.policies import make_policy
from meqc_marl.policies.learned import load_policy

ENV_STEPS, DISCOUNT = 9_600, 0.9
MOST_ENV_STEPS = 10**9
RESULT, MYOPIC = "discounts.json", "joint-oracle"


class Setting(NamedTuple):
    """What is learned; a device sees itself, and the waits where there are any."""

    scenario: str
    reward: str
    discount: float

    @property
    def run(self) -> dict[str, Any]:
        """Fields of the scenario and parameters of the learner."""
        fields = ["horizon=100", f"lyapunov.reward={self.reward}"]
        learner: dict[str, Any] = {"train_batch_size_per_learner": 510}
        if self.scenario == "queued":
            fields.append(f"lyapunov.discount={self.discount!r}")
        else:
            learner["gamma"] = self.discount
        return {"scenario": load_scenario(self.scenario, fields), "learner": learner}


SETTINGS = {
    "queued": Setting("queued", "difference", DISCOUNT),
    "queued-0": Setting("queued", "difference", 0.0),
    "queued-own": Setting("queued", "own", DISCOUNT),
    "queued-team": Setting("queued", "team", DISCOUNT),
    "pooled-0": Setting("pooled", "difference", 0.0),
    "pooled": Setting("pooled", "difference", DISCOUNT),
    "paper-0": Setting("paper", "own", 0.0),
    "paper": Setting("paper", "own", DISCOUNT),
}
"""By name."""


def runs(seeds: int, env_steps: int) -> dict[str, Run]:
    """By the names of their results; seeds outermost, so that what is interrupted has all settings."""
    return {
        f"{name}-{seed}": Run(env_steps=env_steps, seed=seed, labels={"setting": name, "seed": seed}, **setting.run)
        for seed in range(seeds)
        for name, setting in SETTINGS.items()
    }


def measured(policy: str, run: Run, num_slots: int = SLOTS) -> dict[str, Any]:
    """Of a trained policy: means on the reference traces where work waits, else on held-out traces."""
    if not run.scenario.resources.queued:
        return evaluate(policy, run)
    scenario = load_scenario("queued")
    trace = traces(scenario, own_nature=False, slots=num_slots)
    return means(load_policy(policy), scenario, trace)._asdict()


def _middle(values: Iterable[float]) -> float:
    return interquartile_mean(np.array(list(values))).value


def table(results: Mapping[str, Any]) -> str:
    """In Markdown: interquartile means over the seeds, and the worst."""
    heads = ["preset", "reward", "discount", "seeds", "C + penalty", "against the optimum of every slot", "worst seed"]
    heads += ["misses", "mean phi"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    myopic = results["myopic"]["charged"]
    for name, found in by_setting(results["runs"]).items():
        setting = SETTINGS[name]
        waits = setting.scenario == "queued"
        over = [100 * (each["charged"] / myopic - 1 if waits else each["regret"]) for each in found]
        missed = _middle(each["missed" if waits else "deadline_missed"] for each in found)
        share = _middle(each["fraction"] for each in found)
        charged = f"{_middle(each['charged'] for each in found):.2f}" if waits else ""
        cells = [setting.scenario, setting.reward, f"{setting.discount:g}", str(len(found)), charged]
        cells += [f"{_middle(over):+.1f} %", f"{max(over):+.1f} %"]
        lines.append("| " + " | ".join([*cells, f"{100 * missed:.1f} %", f"{share:.3f}"]) + " |")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Discounts:
    """Train what is missing, measure, keep the numbers, print the table."""

    out: Path
    """Folder of discounts.json."""
    runs: Path
    """Folder of the trained runs."""
    seeds: int = 1
    """Of each setting."""
    env_steps: int = ENV_STEPS
    """Of each run."""
    only: tuple[str, ...] = tuple(SETTINGS)
    """Names of settings."""

    def run(self) -> None:
        """Train and measure."""
        from meqc_marl.jobs.run_folder import RUN_FILE
        from meqc_marl.jobs.training import train

        within("seeds", self.seeds, 1, 1_000)
        within("env-steps", self.env_steps, 1, MOST_ENV_STEPS)
        check_folder(self.runs)
        if unknown := sorted(set(self.only) - set(SETTINGS)):
            raise InputError(f"only holds {shown(unknown[0])}; known are {', '.join(SETTINGS)}.")
        path = self.out / RESULT
        check_kept(path)
        results = kept(path) if path.exists() else {"runs": {}}
        if results.get("env_steps", self.env_steps) != self.env_steps:
            raise InputError(f"'{path}' holds runs of {results['env_steps']} env-steps; choose another folder.")
        results |= made_on(SLOTS, REFERENCE_SEEDS) | {"env_steps": self.env_steps}
        if "myopic" not in results:
            scenario = load_scenario("queued")
            reference = traces(scenario, own_nature=False)
            results["myopic"] = means(make_policy(MYOPIC, scenario), scenario, reference)._asdict()
        for name, run in runs(self.seeds, self.env_steps).items():
            if name in results["runs"] or run.labels["setting"] not in self.only:
                continue
            folder = self.runs / name
            checkpoint, whole = train(run, folder, resume=(folder / RUN_FILE).exists())
            if not whole:
                return
            results["runs"][name] = measured(str(checkpoint), run)
            keep(results, path)
            print(name, flush=True)
        with of_this_kind(f"result '{path}'"):
            print(table(results))


if __name__ == "__main__":
    sys.exit(run_module(Discounts))
