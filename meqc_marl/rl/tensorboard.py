"""From an RLlib result to a bounded number of scalars under clear names."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ray.tune.result import AUTO_RESULT_KEYS, DONE, TRIAL_ID
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams import summary_v2 as hp
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from meqc_marl.dqn_ddpg.options import settable
from meqc_marl.files import replacing

ENV_STEPS = "num_env_steps_sampled_lifetime"
SHOWN = "scalars"
"""Where a trial's results hold the scalars of TensorBoard."""
_OF_TUNE = (DONE, TRIAL_ID, *(name for name in AUTO_RESULT_KEYS if name != "config"))
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
    "sharing/cpu_users": (*_LYAPUNOV, "users_cpu"),
    "sharing/qpu_users": (*_LYAPUNOV, "users_qpu"),
    "sharing/devices_present": (*_LYAPUNOV, "devices_present"),
    "waiting/cpu_wait_s": (*_LYAPUNOV, "cpu_wait_s"),
    "waiting/qpu_wait_s": (*_LYAPUNOV, "qpu_wait_s"),
    "waiting/longest_s": (*_LYAPUNOV, "wait_max_s"),
    "waiting/toll_cpu": (*_LYAPUNOV, "toll_cpu"),
    "waiting/toll_qpu": (*_LYAPUNOV, "toll_qpu"),
    "waiting/held_out_cpu_wait_s": ("evaluation", "cpu_wait_s"),
    "waiting/held_out_qpu_wait_s": ("evaluation", "qpu_wait_s"),
    "sharing/price_of_anarchy": ("evaluation", "price_of_anarchy"),
    "sharing/price_of_ignorance": ("evaluation", "price_of_ignorance"),
    "constraint/deadline_miss_share": (*_LYAPUNOV, "deadline_miss_share"),
    "constraint/overruled_share": (*_LYAPUNOV, "overruled_share"),
    "constraint/qpu_rejected_share": (*_LYAPUNOV, "qpu_rejected_share"),
    "learner/critic_loss": (*_LEARNER, "critic_loss"),
    "learner/actor_loss": (*_LEARNER, "actor_loss"),
    "learner/td_error": (*_LEARNER, "td_error_mean"),
    "learner/q_mean": (*_LEARNER, "q_mean"),
    "learner/critic_learning_rate": (*_LEARNER, "critic_learning_rate"),
    "exploration/epsilon": ("env_runners", "epsilon"),
    "speed/env_steps_per_s": ("env_runners", ENV_STEPS + "_throughput", "throughput_since_last_reduce"),
    "speed/device_steps_per_s": ("replay_buffer", "added_throughput", "throughput_since_last_reduce"),
    "replay/rows": ("replay_buffer", "size"),
    "faults/sample_rounds_lost": ("faults", "sample_rounds_lost"),
    "faults/learner_restarts": ("faults", "learner_restarts"),
    "faults/updates_lost": ("faults", "updates_lost"),
    "evaluation/cost": ("evaluation", "cost"),
    "evaluation/gap_to_oracle": ("evaluation", "gap_to_oracle"),
    "evaluation/regret": ("evaluation", "regret"),
    "evaluation/mean_fraction": ("evaluation", "fraction"),
    "evaluation/worst_device_fraction": ("evaluation", "fraction_worst"),
    "evaluation/deadline_miss_share": ("evaluation", "deadline_missed_feasible"),
}

#: The metrics that the hparams of a sweep stand beside.
OUTCOMES = tuple(tag for tag in SCALARS if tag.startswith("evaluation/"))

HPARAMS_FILE = "events.out.tfevents.0000000000.hparams"
"""In a run's folder; its name comes before those of the other files."""

#: Tag of the picture of where the policy and the oracle compute.
MODE_MAP = "modes/map"

#: Charts of TensorBoard's custom-scalars tab: category -> title -> tags in one chart.
CHARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "cost": {
        "cost of a device in a slot": ("system/cost", "evaluation/cost"),
        "latency (s) and energy (J)": ("system/latency_s", "system/energy_j"),
        "above the exact oracle": ("evaluation/regret", "evaluation/gap_to_oracle"),
    },
    "queues": {
        "virtual queue": ("queue/backlog_mean", "queue/backlog_max"),
        "mean offloading fraction": (
            "offloading/episode_mean_fraction",
            "offloading/episode_worst_device_fraction",
            "evaluation/worst_device_fraction",
        ),
        "drift and penalty": ("queue/drift", "queue/penalty"),
        "waits at the server and the QPU (s)": (
            *("waiting/cpu_wait_s", "waiting/qpu_wait_s", "waiting/longest_s"),
            *("waiting/held_out_cpu_wait_s", "waiting/held_out_qpu_wait_s"),
        ),
    },
    "modes": {
        "share of device-slots": ("mode/local", "mode/cpu", "mode/qpu", "mode/partial_cpu", "mode/partial_qpu"),
        "deadlines missed that can be met": ("constraint/deadline_miss_share", "evaluation/deadline_miss_share"),
        "actions overruled by the deadline": ("constraint/overruled_share",),
    },
    "learning": {
        "losses": ("learner/critic_loss", "learner/actor_loss"),
        "TD error": ("learner/td_error",),
        "learning rate and epsilon": ("learner/critic_learning_rate", "exploration/epsilon"),
    },
}


def layout() -> dict[str, dict[str, list[Any]]]:
    """:data:`CHARTS` as ``SummaryWriter.add_custom_scalars`` takes them; the tags are regular expressions there."""
    return {
        category: {title: ["Multiline", ["^" + re.escape(tag) + "$" for tag in tags]] for title, tags in charts.items()}
        for category, charts in CHARTS.items()
    }


HPARAMS: tuple[str, ...] = (
    *("job", "scenario", "num_devices", "v", "delta", "seed", "env_steps", "num_env_runners"),
    *settable(),
)
"""Columns of the hparams tab: every run has all of them, for TensorBoard shows those of the first run it finds."""


def hparams(config: Any, env_steps: int, job: str, labels: Mapping[str, float | str] | None = None) -> dict[str, Any]:
    """A run's values of :data:`HPARAMS`.

    Args:
        config: What the run's algorithm is built from.
        env_steps: Budget.
        job: What kind of job the run is of.
        labels: What else tells the run from others of its job; what is no column of its own is told beside the job.
    """
    scenario = config.env_config["scenario"]
    values = {
        "scenario": scenario["name"],
        "num_devices": scenario["num_devices"],
        "v": scenario["lyapunov"]["v"],
        "delta": scenario["lyapunov"]["delta"],
        "seed": config.seed,
        "env_steps": env_steps,
        "num_env_runners": config.num_env_runners,
        **{name: getattr(config, name) for name in settable()},
    }
    others = [f"{name}={value}" for name, value in (labels or {}).items() if name not in HPARAMS]
    values["job"] = " ".join([job, *others])
    return {name: _cell(values[name]) for name in HPARAMS}


def _cell(value: Any) -> bool | float | str:
    """A value as the hparams tab takes it; a schedule ``[[step, value], ...]`` by the value that it starts with."""
    if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        value = value[0][1]
    if isinstance(value, bool | int | float | str):
        return value
    return (", ".join(map(str, value)) or "-") if isinstance(value, list | tuple) else str(value)


def write_hparams(folder: Path, values: Mapping[str, Any]) -> None:
    """Begin a session of TensorBoard's hparams tab, or change what it was begun with: the columns and a run's values.

    They stand in a file of their own, which is read first and replaced as a whole: of what a run says of itself
    TensorBoard believes the first.
    """
    # Short names: the axes of the parallel coordinates stand close to each other.
    shown = [hp.Metric(tag, display_name=tag.split("/")[1].replace("_", " ")) for tag in OUTCOMES]
    columns = hp.hparams_config_pb([hp.HParam(name) for name in HPARAMS], shown)
    # A session without an id is named after its run's folder; runs of two jobs are never taken for one.
    begin = hp.hparams_pb(dict(values), trial_id="")
    events = [Event(file_version="brain.Event:2"), Event(summary=columns), Event(summary=begin)]
    with replacing(folder / HPARAMS_FILE) as file:
        writer = RecordWriter(file)
        for event in events:
            event.wall_time = time.time()
            writer.write(event.SerializeToString())


def hparams_end() -> Summary:
    """The summary that ends the session well."""
    end = SessionEndInfo(status=Status.STATUS_SUCCESS, end_time_secs=time.time())
    data = metadata.create_summary_metadata(HParamsPluginData(session_end_info=end))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=data, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


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


def keep_what_is_shown(result: dict[str, Any], names: Iterable[str]) -> None:
    """Replace what RLlib tells in a result of Tune's by the scalars shown; all goes through one driver, and to disk.

    Args:
        result: Changed in place; the scalars are under :data:`SHOWN`, Tune's own entries stay.
        names: Other entries that stay.
    """
    kept = {name: result[name] for name in (*_OF_TUNE, *names) if name in result}
    shown = scalars(result)
    result.clear()
    result.update(kept | {SHOWN: shown})


def _inner(value: Any, key: str) -> Any:
    if not isinstance(value, Mapping):
        return None
    if key == _THE_MODULE:
        return next((part for name, part in value.items() if name != "__all_modules__"), None)
    return value.get(key)


def env_steps(result: Mapping[str, Any]) -> int:
    """Environment steps sampled so far: the x axis."""
    return int(result["env_runners"][ENV_STEPS])
