"""Microseconds of a decision of a trained policy, for one device and for many, in PyTorch and in ONNX Runtime.

Run ``python -m experiments.benchmarks.policy_speed results/first``; needs ``pip install -e '.[export]'``. One thread.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from meqc_marl.entry.running import run_module
from meqc_marl.errors import within
from meqc_marl.policies.learned import LearnedPolicy, load_policy
from meqc_marl.policies.onnx import export_onnx


@dataclass(frozen=True)
class PolicySpeed:
    """Measure and print."""

    policy: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Run, checkpoint or policy folder."""
    devices: tuple[int, ...] = (1, 1_000)
    """Devices decided for at once."""

    def run(self) -> None:
        """Measure."""
        for count in self.devices:
            within("devices", count, 1, 1_000_000)
        torch.set_num_threads(1)
        started = time.perf_counter()
        policy = load_policy(self.policy)
        print(f"loaded in {1e3 * (time.perf_counter() - started):.0f} ms; hidden layers {policy.spec.hidden}")
        decide = in_onnx_runtime(policy)
        for count in self.devices:
            observation = np.random.default_rng(0).uniform(-1, 1, (count, policy.spec.observation_size))
            rows = observation.astype(np.float32)
            in_torch, in_onnx = microseconds(lambda: policy.decide(rows)), microseconds(lambda: decide(rows))  # noqa: B023
            print(f"{count:,} devices: PyTorch {in_torch:,.0f} us, ONNX Runtime {in_onnx:,.0f} us")


def in_onnx_runtime(policy: LearnedPolicy) -> Callable[[np.ndarray], object]:
    """What decides as the policy does, in ONNX Runtime on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        export_onnx(policy, path)
        import onnxruntime  # the exporter has told by now if it is not there

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options)
    return lambda rows: session.run(None, {"observation": rows})


def microseconds(call: Callable[[], object]) -> float:
    """The best mean of ten rounds of at least 50 ms."""
    best = np.inf
    for _ in range(10):
        started, calls = time.perf_counter(), 0
        while time.perf_counter() - started < 0.05:
            call()
            calls += 1
        best = min(best, (time.perf_counter() - started) / calls)
    return 1e6 * best


if __name__ == "__main__":
    sys.exit(run_module(PolicySpeed))
