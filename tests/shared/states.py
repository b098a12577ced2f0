"""Whole states of runs, compared bit by bit; runs that are interrupted and go on."""

import copy

import numpy as np
import pytest

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.jobs.run import Placement
from meqc_marl.jobs.training import train
from meqc_marl.policies.folders import list_checkpoints


def state_of(algorithm):
    """All that the next iteration depends on."""
    learner = dict(algorithm.learner_group.get_state()["learner"])
    learner.pop("metrics_logger", None)  # it holds the times that updates took
    return copy.deepcopy(
        {
            "learner": learner,
            "runner": algorithm.env_runner.get_state(not_components=["rl_module"]),
            "replay": {name: buffer.get_state() for name, buffer in algorithm.replay.named()},
            "iteration": algorithm.iteration,
        }
    )


def last_state(folder):
    """The state in the newest checkpoint of a run."""
    algorithm = DQNDDPG.from_checkpoint(str(list_checkpoints(folder)[-1]))
    state = state_of(algorithm)
    algorithm.stop()
    return state


def stop_at_once(progress):
    """What a run is told to tell, so that it is interrupted after its first iteration."""
    raise KeyboardInterrupt


def train_with_a_break(run, folder):
    """Train, interrupted after the first iteration, and go on."""
    with pytest.raises(KeyboardInterrupt):
        train(run, folder, stop_at_once, placement=Placement(checkpoint_every_s=0.0))
    train(run, folder, resume=True)


def differences(a, b, path=""):
    """Paths at which two nested states are not bit-equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{path}: keys {a.keys() ^ b.keys()}"]
        return [d for key in a for d in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list | tuple):
        assert len(a) == len(b)
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{path}/{i}")]
    if isinstance(a, np.ndarray):
        return [] if a.dtype == b.dtype and np.array_equal(a, b) else [path]
    return [] if a == b else [f"{path}: {a!r} != {b!r}"]
