"""Microseconds of a decision of a trained policy, for one device and for many, in PyTorch and in ONNX Runtime.

Run ``python -m experiments.benchmarks.policy_speed results/first``; needs ``pip install -e '.[export]'``. One thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from meqc_marl.policies.learned import load_policy
from meqc_marl.policies.onnx import export_onnx


@dataclass(frozen=True)
class PolicySpeed:
    """Measure and print."""

    policy: tyro.conf.Positional[Path]
    """Run, checkpoint or policy folder."""
    devices: tuple[int, ...] = (1, 1_000)
    """Devices decided for at once."""


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


def main(args: PolicySpeed) -> None:
    import onnxruntime

    torch.set_num_threads(1)
    started = time.perf_counter()
    policy = load_policy(args.policy)
    print(f"loaded in {1e3 * (time.perf_counter() - started):.0f} ms; hidden layers {policy.spec.hidden}")
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(policy, Path(folder) / "policy.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(Path(folder) / "policy.onnx"), options)
    for count in args.devices:
        observation = np.random.default_rng(0).uniform(-1, 1, (count, policy.spec.observation_size)).astype(np.float32)
        in_torch = microseconds(lambda rows=observation: policy.decide(rows))  # type: ignore[misc]
        in_onnx = microseconds(lambda rows=observation: session.run(None, {"observation": rows}))  # type: ignore[misc]
        print(f"{count:,} devices: PyTorch {in_torch:,.0f} us, ONNX Runtime {in_onnx:,.0f} us")


if __name__ == "__main__":
    main(tyro.cli(PolicySpeed))
