"""How long the sweep at paper scale takes on a cluster, and where it stops getting faster.

Run ``python -m experiments.cluster_capacity`` (about 20 minutes on two cores that have nothing else to do; needs
``pip install -e '.[capacity]'``). It measures, on one node, what a trial needs and what it costs Ray Tune's driver;
then the model (:mod:`experiments.capacity_model`) says how long sweeps take. It is held against sweeps on one, two and
three nodes of one machine, with real training and with stand-ins that only let time pass. What is measured already is
kept.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import itertools
import json
import logging
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch
import tyro
from ray.cluster_utils import Cluster as LocalCluster
from ray.tune.execution.experiment_state import _ExperimentCheckpointManager
from rich.console import Console
from rich.progress import track
from rich.table import Table

from experiments.capacity_model import Cluster, Driver, Storage, Sweep, ideal_seconds, simulate
from experiments.capacity_trials import StandIn
from experiments.figure import SCALES
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.sweep_report import grid_points
from meqc_marl.files import make_folder, replacing
from meqc_marl.rl.config import default_env_steps, register_envs
from meqc_marl.rl.evaluation import HELD_OUT_SEED, NUM_TRACES, evaluate_against_oracle, mode_map, policy_of
from meqc_marl.rl.study import CHECKPOINTS, EVALUATION, EVALUATIONS, TrialSpec, run_study
from meqc_marl.rl.tensorboard import SHOWN
from meqc_marl.rl.training import local_ray, quiet
from meqc_marl.trace import generate_trace

OUT = Path(__file__).parent / "results" / "capacity"
PAPER_GRID = (10, 11, 20)
"""Values of V and of Delta, and seeds, of the sweep at paper scale."""
CORES_OF_A_NODE = 8
"""As in the launcher files, a trial on each."""
NODES = (1, 3, 10, 30, 100, 300)
#: What a writer gets and what all get together, MB/s. Assumed, not measured: a bucket grows with its writers.
STORAGES = {"a bucket": Storage(50.0, 100_000.0), "one NFS server": Storage(100.0, 500.0)}
_TINY = {"hidden": [16, 16], "replay_capacity": 5_000}


@dataclass(frozen=True)
class Capacity:
    """What a sweep takes on a cluster."""

    out: Path = OUT
    """Folder of what was measured, the picture and the table."""


@dataclass(frozen=True)
class Point:
    """A sweep that was run, to hold the model against it.

    Attributes:
        nodes, slots: Nodes of one machine, and trials at once on each.
        trials, iterations: Of the sweep.
        iteration_s: Of a stand-in; None for real training.
        checkpoint_mb: Of a stand-in.
    """

    nodes: int
    slots: int
    trials: int
    iterations: int
    iteration_s: float | None = None
    checkpoint_mb: float = 0.0


POINTS = (
    *(Point(nodes, 1, 6, 60) for nodes in (1, 2, 3)),
    *(Point(nodes, 8, 24, 30, 1.0, 20.0) for nodes in (1, 2, 3)),
    *(Point(nodes, 8, 24, 200, 0.02) for nodes in (1, 2, 3)),
)


def measure(path: Path) -> dict[str, Any]:
    """Whatever is not in the file yet; the file as it is then."""
    parts: dict[str, Callable[[dict[str, Any]], Any]] = {
        "default": lambda _: trial_costs({}, default_env_steps(load_scenario("paper"))),
        "paper": lambda _: trial_costs(SCALES["paper"].learner, SCALES["paper"].env_steps),
        "training": lambda _: tiny_trials(),
        "driver": lambda measured: driver_costs(measured["training"]["result"]),
        "report_point_s": lambda measured: report_seconds(measured["training"]["metrics"]),
        "storage_mb_s": lambda _: storage_speed(),
        **{f"point {number}": point_seconds(point) for number, point in enumerate(POINTS)},
    }
    measured = json.loads(path.read_text()) if path.exists() else {}
    for number, (name, part) in enumerate(parts.items()):
        if name in measured:
            continue
        started = time.perf_counter()
        measured[name] = part(measured)
        measured["machine"] = {"cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
        with replacing(path) as file:
            file.write(json.dumps(measured, indent=1).encode())
        told = f"{number + 1} of {len(parts)}, {name}: {time.perf_counter() - started:.0f} s"
        Console(stderr=True).print(told, highlight=False)
    return measured


def trial_costs(learner: dict[str, Any], env_steps: int) -> dict[str, float]:
    """Of a trial on one core, from some iterations of it.

    Returns:
        Iterations, seconds of one (its share of the evaluations included), and megabytes of a checkpoint with a full
        replay buffer.
    """
    spec = TrialSpec(load_scenario("paper").model_dump(mode="json"), env_steps, 0, learner)
    config = spec.config()
    iterations = spec.iterations(config)
    config.callbacks(on_train_result=None)
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
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


def tiny_study(trials: int, iterations: int) -> dict[str, TrialSpec]:
    """Real training of networks that are small, so that what is beside training shows."""
    scenario = load_scenario("small", ["horizon=50"]).model_dump(mode="json")
    spec = TrialSpec(scenario, 1, 0, _TINY)
    budget = iterations * int(spec.config().min_sample_timesteps_per_iteration)
    names = [f"seed={seed}" for seed in range(trials)]
    return {name: replace(spec, env_steps=budget, seed=seed, labels={"seed": seed}) for seed, name in enumerate(names)}


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
        checkpoint = sum(path.stat().st_size for path in trial.glob("checkpoint_*/**/*") if path.is_file()) / 1e6
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
        for trials, iterations in ((16, 300), (48, 3)):
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
    few_s, many_s = min(a_snapshots), sum(many) / len(many)
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

    timer = threading.Timer(stop_after_s or math.inf, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    if stop_after_s is not None:
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


def point_seconds(point: Point) -> Callable[[dict[str, Any]], float]:
    """Run a sweep on nodes of this machine."""

    def run(measured: dict[str, Any]) -> float:
        trainable = None
        if point.iteration_s is not None:
            result = measured["training"]["result"]
            trainable = StandIn.of(result, point.iterations, point.iteration_s, point.checkpoint_mb)
        study = tiny_study(point.trials, point.iterations)
        with tempfile.TemporaryDirectory() as folder, nodes_of_one_machine(point.nodes, point.slots):
            started = time.perf_counter()
            run_study(study, folder, trainable=trainable)
            return time.perf_counter() - started

    return run


@contextmanager
def nodes_of_one_machine(nodes: int, slots: int) -> Iterator[None]:
    """A cluster with a head that does no work, and nodes that may have more slots than there are cores."""
    quiet()
    cluster = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(nodes):
        cluster.add_node(num_cpus=slots)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def driver_of(measured: dict[str, Any], report_points: int) -> Driver:
    """The driver as measured."""
    costs = measured["driver"]
    names = ("launch_s", "result_s", "snapshot_s", "snapshot_trial_s")
    return Driver(**{name: costs[name] for name in names}, report_s=report_points * measured["report_point_s"])


def predict_point(measured: dict[str, Any], point: Point) -> float:
    """What the model says of a sweep that was run."""
    cores = measured["machine"]["cores"]
    real = measured["training"]
    trains = point.iteration_s is None
    sweep = Sweep(
        trials=point.trials,
        iterations=point.iterations,
        iteration_s=real["iteration_s"] if point.iteration_s is None else point.iteration_s,
        start_s=real["start_s"] if trains else measured["driver"]["stand_in_start_s"],
        checkpoints=CHECKPOINTS,
        checkpoint_mb=real["checkpoint_mb"] if trains else point.checkpoint_mb,
    )
    disk = Storage(measured["storage_mb_s"], measured["storage_mb_s"])
    cluster = Cluster(slots=point.nodes * point.slots, cores=cores, trains=trains)
    return simulate(sweep, driver_of(measured, 0), disk, cluster).seconds


def paper_sweep(measured: dict[str, Any], learner: str) -> Sweep:
    """The whole grid, with trials of a learner."""
    return Sweep(
        trials=math.prod(PAPER_GRID),
        start_s=measured["training"]["start_s"],
        checkpoints=CHECKPOINTS,
        **measured[learner],
    )


def predict(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The sweep at paper scale on clusters of every size."""
    rows = []
    driver = driver_of(measured, math.prod(PAPER_GRID[:2]))
    cases = list(itertools.product(("paper", "default"), STORAGES.items(), NODES))
    for learner, (where, storage), nodes in track(cases, "simulating", console=Console(stderr=True)):
        sweep, slots = paper_sweep(measured, learner), nodes * CORES_OF_A_NODE
        row = {"learner": learner, "storage": where, "nodes": nodes, "ideal_s": ideal_seconds(sweep, slots)}
        rows.append(row | asdict(simulate(sweep, driver, storage, Cluster(slots))))
    return rows


def main(args: Capacity) -> None:
    torch.set_num_threads(1)
    register_envs()
    measured = measure(make_folder(args.out) / "measured.json")
    points = [
        asdict(point) | {"measured_s": measured[f"point {number}"], "model_s": predict_point(measured, point)}
        for number, point in enumerate(POINTS)
    ]
    rows = predict(measured)
    with replacing(args.out / "capacity.json") as file:
        file.write(json.dumps({"points": points, "paper_scale": rows}, indent=1).encode())
    console = Console()
    console.print(points_table(points), predictions_table(rows))
    draw(points, rows, args.out / "capacity.png")


def points_table(points: list[dict[str, Any]]) -> Table:
    """The model against what was run."""
    table = Table(title="sweeps that were run on one machine, and the model")
    for column in ("trials", "nodes x slots", "run", "model", "difference"):
        table.add_column(column, justify="right")
    for point in points:
        pace = "training" if point["iteration_s"] is None else f"stand-ins, {point['iteration_s']:g} s an iteration"
        table.add_row(
            f"{point['trials']} x {point['iterations']} {pace}",
            f"{point['nodes']} x {point['slots']}",
            f"{point['measured_s']:.0f} s",
            f"{point['model_s']:.0f} s",
            f"{100 * (point['model_s'] / point['measured_s'] - 1):+.0f} %",
        )
    return table


def predictions_table(rows: list[dict[str, Any]]) -> Table:
    """What the model says of the sweep at paper scale."""
    table = Table(title=f"{' x '.join(map(str, PAPER_GRID))} trials on nodes of {CORES_OF_A_NODE} cores")
    for column in ("learner", "storage", "nodes", "hours", "of the ideal", "driver busy", "storage busy", "waiting"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(row["learner"], row["storage"], str(row["nodes"]), f"{row['seconds'] / 3600:.2f}"),
            *(f"{100 * share:.0f} %" for share in (row["ideal_s"] / row["seconds"], row["driver_busy"])),
            *(f"{100 * row[name]:.0f} %" for name in ("storage_busy", "waited")),
        )
    return table


def draw(points: list[dict[str, Any]], rows: list[dict[str, Any]], path: Path) -> None:
    """Hours against nodes, and the model against what was run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = {"paper": "#0072B2", "default": "#D55E00"}
    for learner, colour in colours.items():
        for where, line in zip(STORAGES, ("o-", "x--"), strict=True):
            here = [row for row in rows if (row["learner"], row["storage"]) == (learner, where)]
            hours = [row["seconds"] / 3600 for row in here]
            left.plot(NODES, hours, line, color=colour, label=f"{learner} learner, {where}")
        left.plot(
            NODES, [row["ideal_s"] / 3600 for row in here], ":", color=colour, label=f"{learner} learner, no waiting"
        )
    left.set(xscale="log", yscale="log", xlabel=f"nodes of {CORES_OF_A_NODE} cores", ylabel="hours")
    left.set_title(f"the sweep of {math.prod(PAPER_GRID):,} trials (simulated)", fontsize=10)
    left.grid(alpha=0.3, which="both")
    left.legend(fontsize=8)
    kinds = {None: ("training", "s", "#009E73"), 1.0: ("stand-ins, 1 s an iteration", "^", "#CC79A7")}
    for pace in dict.fromkeys(point["iteration_s"] for point in points):
        label, marker, colour = kinds.get(pace, (f"stand-ins, {pace:g} s an iteration", "v", "#E69F00"))
        here = [point for point in points if point["iteration_s"] == pace]
        nodes = [point["nodes"] for point in here]
        right.plot(nodes, [point["measured_s"] for point in here], marker, color=colour, label=f"{label}, run")
        right.plot(nodes, [point["model_s"] for point in here], "--", color=colour, label=f"{label}, model")
    right.set(xlabel="nodes of one machine", ylabel="seconds of the sweep", xticks=[1, 2, 3])
    right.set_ylim(bottom=0)
    right.set_title("sweeps that were run, and the model", fontsize=10)
    right.grid(alpha=0.3)
    right.legend(fontsize=8)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=130)


if __name__ == "__main__":
    main(tyro.cli(Capacity))
