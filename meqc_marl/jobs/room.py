"""Whether a cluster has room for a run at all: Ray would wait for ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ray

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.errors import InputError


def check_size(configs: Iterable[Any]) -> None:
    """Refuse a trial that the cluster has no room for: Tune would wait for ever."""
    if not ray.is_initialized():
        return
    there = ray.cluster_resources()
    needed: dict[str, float] = {}
    for config in configs:
        for name, amount in DQNDDPG.default_resource_request(config).required_resources.items():
            needed[name] = max(amount, needed.get(name, 0.0))
    if needed["CPU"] > there.get("CPU", 0.0):
        raise InputError(
            f"a trial needs {needed['CPU']:g} CPUs and the cluster has {there.get('CPU', 0.0):g}; give it fewer "
            "EnvRunners (--num-env-runners), or say that the cluster grows (--autoscaling)."
        )
    if needed.get("GPU", 0.0) > there.get("GPU", 0.0):
        raise InputError(
            f"a trial needs {needed['GPU']:g} GPUs and the cluster has {there.get('GPU', 0.0):g}; give it fewer "
            "(--gpus), or say that the cluster grows (--autoscaling)."
        )
    for name, amount in needed.items():
        if amount > there.get(name, 0.0):
            raise InputError(
                f"a trial needs a machine with the resource '{name}' and the cluster has none; name another "
                "(--learner-resource), or say that the cluster grows (--autoscaling)."
            )
