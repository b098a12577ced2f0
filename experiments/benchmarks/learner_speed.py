"""Speed of the learner, as ratios measured in one run: stock path, bare PyTorch, sgemm, devices, workers, memory.

Run ``python -m experiments.benchmarks.learner_speed``; about six minutes. One torch thread everywhere. The two sides of
a ratio take turns, so that other load on the machine meets both.
"""

# ruff: noqa: E402 (the number of threads is set before numpy and torch are imported)

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import json
import logging
import platform
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import ray
import torch
from ray.rllib.algorithms.algorithm import Algorithm

from experiments.benchmarks.bare_loop import bare_ratio
from experiments.benchmarks.stock_path import as_stock
from experiments.measured import check_kept, keep, kept
from meqc_marl.config import load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.errors import within
from meqc_marl.jobs.session import start_ray
from meqc_marl.rl.config import offloading_config

RESULTS = Path(__file__).parents[1] / "results" / "speed"


Part = Literal["stock", "bare", "profile", "devices", "workers", "memory"]
"""What can be measured."""


# --- The stock path ---------------------------------------------------------------------------------------------------


def seconds_per_step(algorithm: Algorithm, least_s: float = 3.0) -> float:
    """Mean time of a training step."""
    started, steps = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < least_s or steps < 3:
        algorithm.training_step()
        steps += 1
    return passed / steps


def warm(algorithm: Algorithm, least_rows: int = 5_000) -> None:
    """Sample until there is something to learn from, and learn a little."""
    buffer: Any = getattr(algorithm, "episodes", algorithm.replay_buffer)
    for _ in range(10_000):
        algorithm.training_step()
        rows = len(buffer) if buffer is algorithm.replay_buffer else buffer.get_num_timesteps() * 15
        if rows >= least_rows:
            return


def stock_ratio(hidden: tuple[int, ...], env_steps: int, updates: int, rows: int) -> dict[str, float]:
    """Agent-steps a second of both paths, with the same networks, batch, and updates for each environment step."""
    scenario = load_scenario("paper")
    common = {
        "hidden": hidden,
        "updates_per_training_step": updates,
        "num_steps_before_learning": 0,
        "replay_capacity": 300_000,
    }
    ours_config = offloading_config(scenario).training(**common)
    ours_config.env_runners(num_envs_per_env_runner=rows, rollout_fragment_length=env_steps // rows)
    stock_config = as_stock(offloading_config(scenario, env_runner="stock").training(**common))
    stock_config.env_runners(rollout_fragment_length=env_steps)
    ours, stock = ours_config.build_algo(), stock_config.build_algo()
    warm(ours)
    warm(stock)
    times = [(seconds_per_step(ours), seconds_per_step(stock)) for _ in range(3)]
    ours.stop()
    stock.stop()
    best = [min(side) for side in zip(*times, strict=True)]
    agent_steps = env_steps * scenario.num_devices
    return {"ours": agent_steps / best[0], "stock": agent_steps / best[1], "ratio": best[1] / best[0]}


# --- Bare PyTorch -----------------------------------------------------------------------------------------------------


def cost_per_agent_step(num_devices: int, agent_steps: int = 40_000) -> float:
    """Microseconds of a training step with 8 updates for every 40,000 agent-steps, whatever the devices in a row."""
    scenario = load_scenario("paper", [f"num_devices={num_devices}", "horizon=100"])
    rows = min(max(1, agent_steps // (4 * num_devices)), 666)
    slots = max(1, round(agent_steps / (rows * num_devices)))
    config = offloading_config(scenario).training(updates_per_training_step=8, num_steps_before_learning=0)
    config.env_runners(num_envs_per_env_runner=rows, rollout_fragment_length=slots)
    algorithm = config.build_algo()
    algorithm.training_step()
    seconds = min(seconds_per_step(algorithm, 4.0) for _ in range(2))
    algorithm.stop()
    return 1e6 * seconds / (rows * slots * num_devices)


def worker_rates() -> list[dict[str, Any]]:
    """Agent-steps a second of the defaults for numbers of EnvRunners and Learners."""
    table = []
    for runners, learners, asynchronous in (
        *((0, 0, False), (1, 0, False), (2, 0, False), (1, 0, True), (2, 0, True)),
        *((0, 1, False), (0, 2, False), (1, 1, False), (2, 2, False), (2, 2, True)),
    ):
        scenario = load_scenario("paper")
        config = offloading_config(scenario, num_env_runners=runners, learner={"num_steps_before_learning": 0})
        config.training(asynchronous=asynchronous)
        config.env_runners(num_cpus_per_env_runner=0.1)
        config.learners(num_learners=learners, num_cpus_per_learner=0.1)
        algorithm: Any = config.build_algo()
        for _ in range(5):
            algorithm.training_step()
        added, started = algorithm.replay_buffer.num_added, time.perf_counter()
        while time.perf_counter() - started < 8.0:
            algorithm.training_step()
        rate = (algorithm.replay_buffer.num_added - added) / (time.perf_counter() - started)
        algorithm.stop()
        table.append({"runners": runners, "learners": learners, "asynchronous": asynchronous, "rate": rate})
        print(table[-1], flush=True)
    return table


def where_time_goes() -> dict[str, float]:
    """Share of a default training step in each of its parts."""
    algorithm: Any = offloading_config(load_scenario("paper"), learner={"num_steps_before_learning": 0}).build_algo()
    for _ in range(6):
        timers = algorithm.train()["timers"]
    algorithm.stop()
    whole = float(timers["training_step"])
    parts = {
        "sampling": "env_runner_sampling_timer",
        "drawing of batches": "replay_buffer_sampling_timer",
        "updates": "learner_update_timer",
        "weights to the EnvRunner": "synch_weights",
    }
    return {name: float(timers[timer]) / whole for name, timer in parts.items()} | {"ms_per_step": 1e3 * whole}


def memory_over_time(seconds: float) -> dict[str, float]:
    """Resident memory of the process, MiB, at a quarter and at the end of a run whose replay buffer is full early."""
    config = offloading_config(load_scenario("paper"), learner={"replay_capacity": 50_000})
    algorithm: Any = config.build_algo()
    started, marks = time.perf_counter(), {}
    while (passed := time.perf_counter() - started) < seconds:
        algorithm.train()
        if passed > seconds / 4 and "quarter_mib" not in marks:
            marks["quarter_mib"] = resident_mib()
    marks["end_mib"] = resident_mib()
    marks["env_steps"] = float(algorithm.replay_buffer.num_added / 15)
    algorithm.stop()
    return marks


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    if pages:
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def measured(parts: tuple[Part, ...], memory_s: float) -> dict[str, Any]:
    """Each of the parts, printed as it comes."""
    out: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    if "stock" in parts:
        out["stock"] = {
            # One update of 256 rows for 480 agent-steps, small networks, 64 rows; and for 960, the default networks.
            "2x64, an update for 32 env-steps": stock_ratio((64, 64), 256, 8, 64),
            "3x128, an update for 64 env-steps": stock_ratio((128, 128, 128), 256, 4, 64),
            "3x128, the default update for 4 env-steps": stock_ratio((128, 128, 128), 64, 16, 16),
        }
        print(json.dumps(out["stock"], indent=1), flush=True)
    if "bare" in parts:
        out["bare"] = {"3x128": bare_ratio((128, 128, 128)), "3x512": bare_ratio((512, 512, 512))}
        print(json.dumps(out["bare"], indent=1), flush=True)
    if "profile" in parts:
        out["profile"] = where_time_goes()
        print(json.dumps(out["profile"], indent=1), flush=True)
    if "devices" in parts:
        out["us_per_agent_step"] = {str(m): cost_per_agent_step(m) for m in (15, 100, 1_000, 10_000)}
        print(json.dumps(out["us_per_agent_step"], indent=1), flush=True)
    if "workers" in parts:
        out["workers"] = worker_rates()
    if "memory" in parts:
        out["memory"] = memory_over_time(memory_s)
        print(json.dumps(out["memory"], indent=1), flush=True)
    return out


@dataclass(frozen=True)
class LearnerSpeed:
    """Measure, print and store; what is not measured now stays as it was."""

    parts: tuple[Part, ...] = get_args(Part)
    """What to measure."""
    memory_s: float = 120.0
    """How long the run is whose memory is watched."""
    out: Path = RESULTS / "speed.json"
    """Where the numbers go."""

    def run(self) -> None:
        """Measure."""
        within("memory-s", self.memory_s, 0, 10**7)
        check_kept(self.out)
        before = kept(self.out) if self.out.exists() else {}
        logging.getLogger("ray").setLevel(logging.ERROR)
        torch.set_num_threads(1)
        start_ray(address="local", include_dashboard=False)
        out = measured(self.parts, self.memory_s)
        ray.shutdown()
        keep(before | out, self.out)


if __name__ == "__main__":
    sys.exit(run_module(LearnerSpeed))
