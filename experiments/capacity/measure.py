"""What a trial needs and what it costs Ray Tune's driver, measured on one node of one machine."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster as LocalCluster
from ray.tune.execution.experiment_state import _ExperimentCheckpointManager

from experiments.capacity.trials import StandIn
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.grid import grid_points
from meqc_marl.evaluation.held_out import HELD_OUT_SEED, NUM_TRACES
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.session import local_ray, quiet, start_ray
from meqc_marl.jobs.study import run_study
from meqc_marl.nature.trace import generate_trace
from meqc_marl.rl.evaluation import (
    EVALUATION,
    EVALUATIONS,
    evaluate_against_oracle,
    mode_map,
    num_iterations,
    policy_of,
)
from meqc_marl.rl.tensorboard import SHOWN

_TINY = {"hidden": [16, 16], "replay_capacity": 5_000}


def trial_costs(learner: dict[str, Any], env_steps: int) -> dict[str, float]:
    """Of a trial on one core, from some iterations of it.

    Returns:
        Iterations, seconds of one (its share of the evaluations included), and megabytes of a checkpoint with a full
        replay buffer.
    """
    config = configuration(Run(scenario=load_scenario("paper"), env_steps=env_steps, learner=learner))
    iterations = num_iterations(config, env_steps)
    config.callbacks(on_train_result=None)
    quiet()
    with local_ray():
        algorithm: Any = config.build_algo()
        try:
            return algorithm_costs(algorithm, iterations)
        finally:
            algorithm.stop()


def algorithm_costs(algorithm: Any, iterations: int) -> dict[str, float]:
    """Of an algorithm that has not begun."""
    evaluate_against_oracle(algorithm)
    sizes, seconds = [], []
    for number in range(8):
        started = time.perf_counter()
        algorithm.train()
        seconds.append(time.perf_counter() - started)
        if number in (3, 7):
            sizes.append((algorithm.replay_buffer.num_added, checkpoint_megabytes(algorithm)))
    started = time.perf_counter()
    evaluate_against_oracle(algorithm)
    evaluation_s = time.perf_counter() - started
    started = time.perf_counter()
    mode_map(policy_of(algorithm))
    map_s = time.perf_counter() - started
    (rows, small), (more_rows, large) = sizes
    full = small + (large - small) / (more_rows - rows) * (algorithm.replay_buffer.capacity - rows)
    besides = EVALUATIONS * evaluation_s + map_s
    return {
        "iterations": iterations,
        "iteration_s": sorted(seconds[3:])[len(seconds[3:]) // 2] + besides / iterations,
        "checkpoint_mb": full,
    }


def checkpoint_megabytes(algorithm: Any) -> float:
    """Of a checkpoint as it is now."""
    with tempfile.TemporaryDirectory() as folder:
        algorithm.save_to_path(folder)
        return megabytes(Path(folder))


def megabytes(folder: Path) -> float:
    """Of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def tiny_study(trials: int, iterations: int) -> dict[str, Run]:
    """Real training of networks that are small, so that what is beside training shows."""
    run = Run(scenario=load_scenario("small", ["horizon=50"]), env_steps=1, learner=_TINY)
    budget = iterations * int(configuration(run).min_sample_timesteps_per_iteration)
    given = [{"env_steps": budget, "seed": seed, "labels": {"seed": seed}} for seed in range(trials)]
    return {f"seed={each['seed']}": run.model_copy(update=each) for each in given}


def tiny_trials() -> dict[str, Any]:
    """Of the trials of :func:`tiny_study`, one after the other: start, iteration, size of a checkpoint, a result."""
    few, many = (3, 10), (3, 60)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder, nodes_of_one_machine(1, 1):
        for trials, iterations in ((1, 10), few, many):  # the first warms the node up
            name = f"{folder}/{iterations}-{trials}"
            started = time.perf_counter()
            records = run_study(tiny_study(trials, iterations), name)
            seconds[trials, iterations] = time.perf_counter() - started
        trial = next(Path(name, "trials").glob("seed=*"))
        row = json.loads((trial / "result.json").read_text().splitlines()[-1])
        checkpoint = megabytes(next(trial.glob("checkpoint_*")))
    iteration = (seconds[many] - seconds[few]) / (many[0] * (many[1] - few[1]))
    return {
        "start_s": seconds[few] / few[0] - few[1] * iteration,
        "iteration_s": iteration,
        "checkpoint_mb": checkpoint,
        "result": {name: row[name] for name in (SHOWN, EVALUATION)},
        "metrics": records[0].metrics,
    }


def driver_costs(result: dict[str, Any]) -> dict[str, float]:
    """Seconds of the driver's own thread for what it does, and of a stand-in to start; one node, stand-ins."""
    runs = []
    with nodes_of_one_machine(1, 16):
        for trials, iterations in ((16, 600), (48, 3)):
            wall = time.perf_counter()
            seconds, snapshots = driver_seconds(trials, iterations, result)
            runs.append((trials, iterations, seconds, snapshots, time.perf_counter() - wall))
        # Most of many trials wait: what a snapshot of them costs.
        _, many = driver_seconds(2_000, 1_000, result, stop_after_s=60.0)
    (a_trials, a_iterations, a, a_snapshots, _), (b_trials, b_iterations, b, b_snapshots, b_wall) = runs
    a -= sum(a_snapshots)
    b -= sum(b_snapshots)
    # a = a_trials launch + a_results result, and the same for b.
    a_results, b_results = a_trials * a_iterations, b_trials * b_iterations
    result_s = (a - b * a_trials / b_trials) / (a_results - b_results * a_trials / b_trials)
    few_s, many_s = (sum(taken) / len(taken) for taken in (a_snapshots, many))
    slope = max(0.0, (many_s - few_s) / (2_000 - a_trials))
    return {
        "result_s": result_s,
        "launch_s": (b - b_results * result_s) / b_trials,
        "snapshot_s": few_s - slope * a_trials,
        "snapshot_trial_s": slope,
        "stand_in_start_s": b_wall * (os.cpu_count() or 1) / b_trials,
    }


def driver_seconds(
    trials: int, iterations: int, result: dict[str, Any], stop_after_s: float | None = None
) -> tuple[float, list[float]]:
    """Seconds that this thread is busy with a study of stand-ins, and those of each snapshot of Tune's state."""
    snapshots: list[float] = []
    original = _ExperimentCheckpointManager.sync_up_experiment_state

    def timed(self: Any, *args: Any, **kwargs: Any) -> None:
        before, started = self._last_save_time, time.perf_counter()
        original(self, *args, **kwargs)
        if self._last_save_time != before:
            snapshots.append(time.perf_counter() - started)

    if stop_after_s is not None:
        timer = threading.Timer(stop_after_s, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()
    _ExperimentCheckpointManager.sync_up_experiment_state = timed
    started = time.thread_time()
    try:
        with tempfile.TemporaryDirectory() as folder:
            run_study(tiny_study(trials, iterations), folder, trainable=StandIn.of(result, iterations, 0.0, 0.0))
    except KeyboardInterrupt:
        if stop_after_s is None:
            raise
    finally:
        _ExperimentCheckpointManager.sync_up_experiment_state = original
    # The last one waits for the storage and for nothing else to do.
    return time.thread_time() - started, snapshots[:-1]


def report_seconds(metrics: dict[str, float]) -> float:
    """Of a V and Delta in the report of a sweep."""
    scenario = load_scenario("paper")
    trace = generate_trace(scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + NUM_TRACES))
    records = [(v, delta, metrics) for v in (0.1, 1.0) for delta in (0.3, 0.5, 0.7)]
    started = time.perf_counter()
    grid_points(scenario, trace, records)
    return (time.perf_counter() - started) / len(records)


def storage_speed() -> float:
    """Megabytes a second at which this machine's disk takes a checkpoint."""
    content = os.urandom(60_000_000)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for number in range(5):
            with Path(folder, str(number)).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        return 5 * len(content) / 1e6 / (time.perf_counter() - started)


@contextmanager
def nodes_of_one_machine(nodes: int, slots: int) -> Iterator[None]:
    """A cluster with a head that does no work, and nodes that may have more slots than there are cores."""
    quiet()
    cluster = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(nodes):
        cluster.add_node(num_cpus=slots)
    start_ray(address=cluster.address)
    try:
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()
