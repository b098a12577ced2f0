"""From an RLlib result to a bounded number of scalars under clear names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_STEPS = "num_env_steps_sampled_lifetime"
_LYAPUNOV = ("env_runners", "lyapunov")
_THE_MODULE = "*"
_LEARNER = ("learners", _THE_MODULE)

#: TensorBoard tag -> where it stands in RLlib's result; ``*`` is the one module, which has several names.
SCALARS: dict[str, tuple[str, ...]] = {
    "system/cost": (*_LYAPUNOV, "cost"),
    "system/latency_s": (*_LYAPUNOV, "latency_s"),
    "system/energy_j": (*_LYAPUNOV, "energy_j"),
    "offloading/mean_fraction": (*_LYAPUNOV, "fraction_mean"),
    "offloading/episode_mean_fraction": (*_LYAPUNOV, "episode_fraction_mean"),
    "offloading/episode_worst_device_fraction": (*_LYAPUNOV, "episode_fraction_worst"),
    "queue/backlog_mean": (*_LYAPUNOV, "backlog_mean"),
    "queue/backlog_max": (*_LYAPUNOV, "backlog_max"),
    "queue/drift": (*_LYAPUNOV, "drift"),
    "queue/penalty": (*_LYAPUNOV, "penalty"),
    "queue/objective": (*_LYAPUNOV, "objective"),
    "mode/local": (*_LYAPUNOV, "mode_local"),
    "mode/cpu": (*_LYAPUNOV, "mode_cpu"),
    "mode/qpu": (*_LYAPUNOV, "mode_qpu"),
    "mode/partial_cpu": (*_LYAPUNOV, "mode_cpu_partial"),
    "mode/partial_qpu": (*_LYAPUNOV, "mode_qpu_partial"),
    "constraint/deadline_miss_share": (*_LYAPUNOV, "deadline_miss_share"),
    "constraint/qpu_rejected_share": (*_LYAPUNOV, "qpu_rejected_share"),
    "learner/critic_loss": (*_LEARNER, "critic_loss"),
    "learner/actor_loss": (*_LEARNER, "actor_loss"),
    "learner/td_error": (*_LEARNER, "td_error_mean"),
    "learner/q_mean": (*_LEARNER, "q_mean"),
    "learner/critic_learning_rate": (*_LEARNER, "critic_learning_rate"),
    "exploration/epsilon": ("env_runners", "epsilon"),
    "speed/env_steps_per_s": ("env_runners", _STEPS + "_throughput", "throughput_since_last_reduce"),
    "speed/device_steps_per_s": ("replay_buffer", "added_throughput", "throughput_since_last_reduce"),
    "replay/rows": ("replay_buffer", "size"),
    "faults/sample_rounds_lost": ("faults", "sample_rounds_lost"),
    "faults/learner_restarts": ("faults", "learner_restarts"),
    "faults/updates_lost": ("faults", "updates_lost"),
    "evaluation/cost": ("evaluation", "cost"),
    "evaluation/gap_to_oracle": ("evaluation", "gap_to_oracle"),
    "evaluation/objective_regret": ("evaluation", "objective_regret"),
    "evaluation/mean_fraction": ("evaluation", "fraction"),
    "evaluation/worst_device_fraction": ("evaluation", "fraction_worst"),
    "evaluation/deadline_miss_share": ("evaluation", "deadline_missed_feasible"),
}


#: Charts of TensorBoard's custom-scalars tab: category -> title -> tags in one chart.
CHARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "cost": {
        "cost of a device in a slot": ("system/cost", "evaluation/cost"),
        "latency (s) and energy (J)": ("system/latency_s", "system/energy_j"),
        "above the exact oracle": ("evaluation/gap_to_oracle", "evaluation/objective_regret"),
    },
    "queues": {
        "virtual queue": ("queue/backlog_mean", "queue/backlog_max"),
        "mean offloading fraction": (
            "offloading/episode_mean_fraction",
            "offloading/episode_worst_device_fraction",
            "evaluation/worst_device_fraction",
        ),
        "drift and penalty": ("queue/drift", "queue/penalty"),
    },
    "modes": {
        "share of device-slots": ("mode/local", "mode/cpu", "mode/qpu", "mode/partial_cpu", "mode/partial_qpu"),
        "deadlines missed that can be met": ("constraint/deadline_miss_share", "evaluation/deadline_miss_share"),
    },
    "learning": {
        "losses": ("learner/critic_loss", "learner/actor_loss"),
        "TD error": ("learner/td_error",),
        "learning rate and epsilon": ("learner/critic_learning_rate", "exploration/epsilon"),
    },
}


def layout(prefix: str = "") -> dict[str, dict[str, list[Any]]]:
    """:data:`CHARTS` as ``SummaryWriter.add_custom_scalars`` takes them; the tags are regular expressions there.

    Args:
        prefix: Before every tag, such as that of Ray Tune.
    """
    return {
        category: {
            title: ["Multiline", ["^" + re.escape(prefix + tag) + "$" for tag in tags]]
            for title, tags in charts.items()
        }
        for category, charts in CHARTS.items()
    }


def scalars(result: Mapping[str, Any]) -> dict[str, float]:
    """The scalars that a result holds; their number does not grow with the devices."""
    found = {}
    for tag, path in SCALARS.items():
        value: Any = result
        for key in path:
            value = _inner(value, key)
        if value is not None and math.isfinite(float(value)):
            found[tag] = float(value)
    return found


def _inner(value: Any, key: str) -> Any:
    if not isinstance(value, Mapping):
        return None
    if key == _THE_MODULE:
        return next((part for name, part in value.items() if name != "__all_modules__"), None)
    return value.get(key)


def env_steps(result: Mapping[str, Any]) -> int:
    """Environment steps sampled so far: the x axis."""
    return int(result["env_runners"][_STEPS])
