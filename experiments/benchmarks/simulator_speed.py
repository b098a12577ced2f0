"""Speed of the simulator on one core: device-steps per second in batches, env-steps per second in PettingZoo.

Run ``python -m experiments.benchmarks.simulator_speed``. A device-step is one slot of one device, with the observation
of the next slot. "Nature" is the drawing of an episode at reset: mobility, fading and tasks. Every figure is the best
of a few episodes, in processor time, so that a busy machine tells as little as it can.
"""

# ruff: noqa: E402 (the number of threads is set before numpy is imported)

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import platform
import sys
import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.errors import within


@dataclass(frozen=True)
class Speed:
    """Seconds of an episode."""

    reset_s: float
    step_s: float
    device_steps: int

    @property
    def step_rate(self) -> float:
        """Device-steps per second of ``step`` with the observation."""
        return self.device_steps / self.step_s

    @property
    def whole_rate(self) -> float:
        """Device-steps per second of whole episodes, nature included."""
        return self.device_steps / (self.step_s + self.reset_s)


def batch_speed(scenario: Scenario, num_envs: int, episodes: int) -> Speed:
    """Speed of the batched simulator with random actions."""
    simulator = OffloadingSimulator(scenario, num_envs)
    rng = np.random.default_rng(0)
    shape = (num_envs, scenario.num_devices)
    mode, fraction = rng.integers(0, 3, shape), rng.random(shape)
    simulator.reset(seed=0)
    resets, steps = [], []
    for _ in range(episodes):
        begin = time.process_time()
        simulator.reset()
        middle = time.process_time()
        while not simulator.truncated:
            simulator.step(mode, fraction)
        resets.append(middle - begin)
        steps.append(time.process_time() - middle)
    return Speed(min(resets), min(steps), num_envs * scenario.num_devices * scenario.horizon)


def pettingzoo_speed(scenario: Scenario, episodes: int) -> Speed:
    """Speed of the PettingZoo view with one set of actions, so that only the environment is timed."""
    env = OffloadingParallelEnv(scenario)
    env.reset(seed=0)
    actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    resets, steps = [], []
    for _ in range(episodes):
        begin = time.process_time()
        env.reset()
        middle = time.process_time()
        while env.agents:
            env.step(actions)
        resets.append(middle - begin)
        steps.append(time.process_time() - middle)
    return Speed(min(resets), min(steps), scenario.num_devices * scenario.horizon)


def pools_table(episodes: int) -> Table:
    """Devices that share beside devices that lease, about as many in all whatever their number in a row; one view."""
    table = Table(title="Leased and pooled, observation of the paper")
    for heading in ("resources", "rows", "devices", "ns per device-step", "times pooled at 15"):
        table.add_column(heading, justify="right")
    first = None
    sizes = [("paper", 512, 15), *(("pooled", 7_680 // devices, devices) for devices in (15, 50, 200, 1_000, 10_000))]
    for preset, num_envs, devices in sizes:
        scenario = load_scenario(preset, ["observation=paper", f"num_devices={devices}", "horizon=100"])
        speed = batch_speed(scenario, max(1, num_envs), episodes)
        step_ns = 1e9 / speed.step_rate
        first = step_ns if first is None and preset == "pooled" else first
        times = "" if first is None else f"{step_ns / first:.2f}"
        table.add_row(
            "leased" if preset == "paper" else preset, str(max(1, num_envs)), str(devices), f"{step_ns:.0f}", times
        )
    return table


@dataclass(frozen=True)
class SimulatorSpeed:
    """Measure and print."""

    episodes: int = 5
    """Episodes timed for each figure."""

    def run(self) -> None:
        """Measure."""
        within("episodes", self.episodes, 1, 10_000)
        console = Console()
        processor = platform.processor() or "unknown CPU"
        console.print(f"{platform.machine()}, {processor}, numpy {np.__version__}, one thread")

        table = Table(title="Batched simulator, million device-steps per second")
        for heading in ("rows", "devices", "slots", "step + observation", "with nature", "nature, ns per device-slot"):
            table.add_column(heading, justify="right")
        sizes = [(1, 15, 500), (16, 15, 500), (512, 15, 500), (1, 100, 500), (1, 1000, 200), (1, 10_000, 50)]
        for num_envs, devices, horizon in sizes:
            scenario = load_scenario("paper", [f"num_devices={devices}", f"horizon={horizon}"])
            speed = batch_speed(scenario, num_envs, self.episodes)
            nature_ns = speed.reset_s / speed.device_steps * 1e9
            rates = (f"{speed.step_rate / 1e6:.2f}", f"{speed.whole_rate / 1e6:.2f}", f"{nature_ns:.0f}")
            table.add_row(str(num_envs), str(devices), str(horizon), *rates)
        console.print(table)
        console.print(pools_table(self.episodes))

        table = Table(title="PettingZoo view, env-steps per second")
        for heading in ("devices", "step", "with nature"):
            table.add_column(heading, justify="right")
        for devices in (15, 100, 1000):
            scenario = load_scenario("paper", [f"num_devices={devices}", "horizon=200"])
            speed = pettingzoo_speed(scenario, self.episodes)
            table.add_row(str(devices), f"{speed.step_rate / devices:,.0f}", f"{speed.whole_rate / devices:,.0f}")
        console.print(table)


if __name__ == "__main__":
    sys.exit(run_module(SimulatorSpeed))
