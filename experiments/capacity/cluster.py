"""How long the sweep at paper scale takes on a cluster, and where it stops getting faster.

Run ``python -m experiments.capacity.cluster`` (about 20 minutes on two cores that have nothing else to do; needs
``pip install -e '.[capacity]'``). It measures, on one node, what a trial needs and what it costs Ray Tune's driver;
then the model (:mod:`experiments.capacity.model`) says how long sweeps take. It is held against sweeps on one, two and
three nodes of one machine, with real training and with stand-ins that only let time pass. What is measured already is
kept.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import itertools
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from experiments.capacity.measure import (
    driver_costs,
    nodes_of_one_machine,
    report_seconds,
    storage_speed,
    tiny_study,
    tiny_trials,
    trial_costs,
)
from experiments.capacity.model import Cluster, Driver, Storage, Sweep, check_simpy, ideal_seconds, simulate
from experiments.capacity.trials import StandIn
from experiments.figures.figure import SCALES
from experiments.measured import keep, kept, of_this_kind
from meqc_marl.entry.running import run_module
from meqc_marl.files import make_folder, replacing
from meqc_marl.jobs.study import CHECKPOINTS, run_study

OUT = Path(__file__).parents[1] / "results" / "capacity"
PAPER_GRID = (10, 11, 20)
"""Values of V and of Delta, and seeds, of the sweep at paper scale."""
DEFAULT_ENV_STEPS = 160_000
"""Of a trial of the default learner; twice the default budget."""
CORES_OF_A_NODE = 8
"""As in the launcher files, a trial on each."""
NODES = (1, 3, 10, 30, 100, 300)
#: What a writer gets and what all get together, MB/s. Assumed, not measured: a bucket grows with its writers.
STORAGES = {"a bucket": Storage(50.0, 100_000.0), "one NFS server": Storage(100.0, 500.0)}


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
    Point(3, 8, 24, 200, 0.02),
)


def measure(path: Path) -> dict[str, Any]:
    """Whatever is not in the file yet; the file as it is then."""
    parts: dict[str, Callable[[dict[str, Any]], Any]] = {
        "default": lambda _: trial_costs({}, DEFAULT_ENV_STEPS),
        "paper": lambda _: trial_costs(SCALES["paper"].learner, SCALES["paper"].env_steps),
        "training": lambda _: tiny_trials(),
        "driver": lambda measured: driver_costs(measured["training"]["result"]),
        "report_point_s": lambda measured: report_seconds(measured["training"]["metrics"]),
        "storage_mb_s": lambda _: storage_speed(),
        **{f"point {number}": point_seconds(point) for number, point in enumerate(POINTS)},
    }
    measured = kept(path) if path.exists() else {}
    for number, (name, part) in enumerate(parts.items()):
        if name in measured:
            continue
        started = time.perf_counter()
        measured[name] = part(measured)
        measured["machine"] = {"cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
        keep(measured, path)
        told = f"{number + 1} of {len(parts)}, {name}: {time.perf_counter() - started:.0f} s"
        Console(stderr=True).print(told, highlight=False)
    return measured


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
    paces = dict.fromkeys(point["iteration_s"] for point in points)
    for pace, marker, colour in zip(paces, "s^v", ("#009E73", "#CC79A7", "#E69F00"), strict=True):
        label = "training" if pace is None else f"stand-ins, {pace:g} s an iteration"
        here = [point for point in points if point["iteration_s"] == pace]
        nodes = [point["nodes"] for point in here]
        right.plot(nodes, [point["measured_s"] for point in here], marker, color=colour, label=f"{label}, run")
        modelled = [point["model_s"] for point in here]
        right.plot(nodes, modelled, f"{marker}--", color=colour, markerfacecolor="none", label=f"{label}, model")
    right.set(xlabel="nodes of one machine", ylabel="seconds of the sweep", xticks=[1, 2, 3])
    right.set_ylim(bottom=0)
    right.set_title("sweeps that were run, and the model", fontsize=10)
    right.grid(alpha=0.3)
    right.legend(fontsize=8)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=130)


@dataclass(frozen=True)
class Capacity:
    """What a sweep takes on a cluster."""

    out: Path = OUT
    """Folder of what was measured, the picture and the table."""

    def run(self) -> None:
        """Measure what is missing, simulate, print and draw."""
        check_simpy()
        torch.set_num_threads(1)
        path = make_folder(self.out) / "measured.json"
        measured = measure(path)
        with of_this_kind(f"result '{path}'"):
            points = [
                asdict(point) | {"measured_s": measured[f"point {number}"], "model_s": predict_point(measured, point)}
                for number, point in enumerate(POINTS)
            ]
            rows = predict(measured)
        keep({"points": points, "paper_scale": rows}, self.out / "capacity.json")
        Console().print(points_table(points), predictions_table(rows))
        draw(points, rows, self.out / "capacity.png")


if __name__ == "__main__":
    sys.exit(run_module(Capacity))
