"""Speed of the simulator on one core: device-steps per second in batches, env-steps per second in PettingZoo.

Run ``python -m experiments.benchmarks.simulator_speed``. A device-step is one slot of one device, with the observation
of the next slot. "Nature" is the drawing of an episode at reset: mobility, fading and tasks. Every figure is the best
of a few episodes, so that a busy machine tells as little as it can.
"""

# ruff: noqa: E402 (the number of threads is set before numpy is imported)

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import platform
import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.env.simulator import OffloadingSimulator


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
        begin = time.perf_counter()
        simulator.reset()
        middle = time.perf_counter()
        while not simulator.truncated:
            simulator.step(mode, fraction)
        resets.append(middle - begin)
        steps.append(time.perf_counter() - middle)
    return Speed(min(resets), min(steps), num_envs * scenario.num_devices * scenario.horizon)


def pettingzoo_speed(scenario: Scenario, episodes: int) -> Speed:
    """Speed of the PettingZoo view with one set of actions, so that only the environment is timed."""
    env = OffloadingParallelEnv(scenario)
    env.reset(seed=0)
    actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    resets, steps = [], []
    for _ in range(episodes):
        begin = time.perf_counter()
        env.reset()
        middle = time.perf_counter()
        while env.agents:
            env.step(actions)
        resets.append(middle - begin)
        steps.append(time.perf_counter() - middle)
    return Speed(min(resets), min(steps), scenario.num_devices * scenario.horizon)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=5, help="episodes timed for each figure")
    episodes = parser.parse_args().episodes
    console = Console()
    console.print(f"{platform.machine()}, {platform.processor() or 'unknown CPU'}, numpy {np.__version__}, one thread")

    table = Table(title="Batched simulator, million device-steps per second")
    for heading in ("rows", "devices", "slots", "step + observation", "with nature", "nature, ns per device-slot"):
        table.add_column(heading, justify="right")
    sizes = [(1, 15, 500), (16, 15, 500), (512, 15, 500), (1, 100, 500), (1, 1000, 200), (1, 10_000, 50)]
    for num_envs, devices, horizon in sizes:
        scenario = load_scenario("paper", [f"num_devices={devices}", f"horizon={horizon}"])
        speed = batch_speed(scenario, num_envs, episodes)
        nature_ns = speed.reset_s / speed.device_steps * 1e9
        rates = (f"{speed.step_rate / 1e6:.2f}", f"{speed.whole_rate / 1e6:.2f}", f"{nature_ns:.0f}")
        table.add_row(str(num_envs), str(devices), str(horizon), *rates)
    console.print(table)

    table = Table(title="PettingZoo view, env-steps per second")
    for heading in ("devices", "step", "with nature"):
        table.add_column(heading, justify="right")
    for devices in (15, 100, 1000):
        scenario = load_scenario("paper", [f"num_devices={devices}", "horizon=200"])
        speed = pettingzoo_speed(scenario, episodes)
        table.add_row(str(devices), f"{speed.step_rate / devices:,.0f}", f"{speed.whole_rate / devices:,.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
