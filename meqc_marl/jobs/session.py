"""The Ray that a job runs on: the one that is there, or one of our own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray


def quiet() -> None:
    """Leave stderr to our progress; RLlib warns about every run."""
    for name in ("ray", "ray.rllib", "ray.tune", "ray._common", "ray._private"):  # some set a level of their own
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def local_ray(num_env_runners: int = 0) -> Iterator[None]:
    """The Ray that this process or cluster has, or one of our own."""
    if ray.is_initialized():
        yield
        return
    quiet()
    # A job on a cluster finds its address here, and must not say how large the cluster is.
    own: dict[str, Any] = {
        "address": "local",
        "num_cpus": max(os.cpu_count() or 1, num_env_runners + 1),
        "include_dashboard": False,
    }
    ray.init(**({} if os.environ.get("RAY_ADDRESS") else own), log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()
