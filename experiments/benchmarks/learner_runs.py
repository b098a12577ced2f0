"""Trained policies beside the exact oracle, for the benchmarks of the learner."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.held_out import beside_oracle, held_out_traces
from meqc_marl.jobs.job import Place
from meqc_marl.jobs.run import Run
from meqc_marl.policies.learned import load_policy

NUM_TRACES = 10


def evaluate(policy: str, run: Run, num_devices: int | None = None) -> dict[str, float]:
    """Means over held-out traces of all metrics, of the trained policy beside the oracle."""
    more = () if num_devices is None else (f"num_devices={num_devices}",)
    scenario = load_scenario(run.scenario, more)
    # About as many devices in all, whatever their number in a row.
    rows = NUM_TRACES if num_devices is None else max(1, NUM_TRACES * 15 // num_devices)
    metrics = beside_oracle(load_policy(policy), scenario, held_out_traces(scenario, rows))
    return {name: float(value.mean()) for name, value in metrics.items()}


def result_of(
    policy: str, run: Run, devices: Sequence[int], curve: Sequence[tuple[int, dict[str, float]]], training_s: float
) -> dict[str, Any]:
    """The result of a run that has been trained.

    Args:
        policy: Folder or URI of the trained policy.
        run: That was trained.
        devices: Other numbers of devices than the scenario's own that it is evaluated on.
        curve: Evaluations during training.
        training_s: Seconds of training.
    """
    return {
        "run": run.model_dump(mode="json"),
        "training_s": training_s,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
        "curve_regret": [[steps, metrics["regret"]] for steps, metrics in curve if steps],
        "held_out": evaluate(policy, run),
        "held_out_devices": {str(count): evaluate(policy, run, count) for count in devices},
    }


def evaluations(
    study: Mapping[str, Run], devices: Sequence[int], place: Place
) -> dict[str, Callable[[], dict[str, Any]]]:
    """The evaluation of every run that has been trained in a storage."""
    from ray.tune.result import TIME_TOTAL_S

    from meqc_marl.jobs.stored_study import how_far
    from meqc_marl.jobs.study import finished_records

    there, records = how_far(place.storage, study), finished_records(place.storage, study)
    work: dict[str, Callable[[], dict[str, Any]]] = {}
    for record in records:
        sealed = there[record.name]
        assert sealed is not None
        assert record.policy is not None
        seconds = float(sealed.metrics[TIME_TOTAL_S])
        work[record.name] = partial(result_of, record.policy, study[record.name], devices, record.curve, seconds)
    return work


def by_setting(results: Mapping[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Results by the name of their setting, in the order of the seeds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, result in results.items():
        found.setdefault(name.rpartition("-")[0], []).append(result)
    return found
