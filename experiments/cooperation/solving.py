"""How long the joint oracle takes for a slot, by the number of devices, beside a fixed product of matrices.

``python -m experiments.cooperation.solving --out FOLDER``. One core; times are those of the processor, in the states
that the oracle visits. The ratio to the product says what a machine that is busy or another would take.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.measured import check_draws, check_kept, first_seeds, keep, made_on
from meqc_marl.config import load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import Policy, Situation
from meqc_marl.policies.joint_oracle import JointOracle

DEVICES = (15, 50, 100, 200, 1_000)
RESULT = "solving.json"
_SIDE = 512


class _Timed(Policy):
    """The joint oracle with a clock: each slot beside a product, so that both find the machine as busy."""

    name = "joint-oracle"

    def __init__(self, oracle: JointOracle) -> None:
        self._oracle = oracle
        self._matrix = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
        self.seconds: list[float] = []
        self.product_s: list[float] = []
        self.gap: list[float] = []

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Decide."""
        begun = time.process_time()
        action = self._oracle.act(situation)
        decided = time.process_time()
        self.seconds.append(decided - begun)
        self._matrix @ self._matrix
        self.product_s.append(time.process_time() - decided)
        self.gap.append(float(self._oracle.gap.max()))
        return action


def measured(devices: int, slots: int) -> dict[str, float]:
    """Medians over slots: milliseconds of a slot and of the product, their ratio; and the largest gap in per cent."""
    scenario = load_scenario("pooled", [f"num_devices={devices}"])
    timed = _Timed(JointOracle(scenario))
    rollout(timed, scenario, generate_trace(scenario, first_seeds(1), num_slots=slots))
    taken, product = 1e3 * np.median(timed.seconds), 1e3 * np.median(timed.product_s)
    return {"ms": taken, "product_ms": product, "products": taken / product, "gap": 100 * max(timed.gap)}


def table(results: dict[str, Any]) -> str:
    """In Markdown."""
    side = f"{_SIDE} x {_SIDE}"
    lines = [f"| devices | ms a slot | {side} product, ms | products a slot | bound below |", "|---" * 5 + "|"]
    for devices, found in results["devices"].items():
        gap = "proven" if found["gap"] == 0.0 else f"at most {found['gap']:.1f} %"
        times = f"{found['ms']:.1f} | {found['product_ms']:.2f} | {found['products']:.1f}"
        lines.append(f"| {int(devices):,} | {times} | {gap} |")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Solving:
    """Measure, keep the numbers, print the table."""

    out: Path
    """Folder of solving.json."""
    devices: tuple[int, ...] = DEVICES
    """Numbers of devices."""
    num_slots: int = 100
    """Slots of the trace."""

    def run(self) -> None:
        """Measure."""
        check_draws(self.num_slots)
        check_kept(self.out / RESULT)
        for devices in self.devices:
            load_scenario("pooled", [f"num_devices={devices}"])
        results = made_on(self.num_slots, first_seeds(1))
        results["devices"] = {str(devices): measured(devices, self.num_slots) for devices in self.devices}
        keep(results, self.out / RESULT)
        print(table(results))


if __name__ == "__main__":
    sys.exit(run_module(Solving))
