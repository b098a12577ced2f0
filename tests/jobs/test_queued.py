"""Training where servers queue, over loads, from end to end: what is told, what is kept, and what comes of it."""

import math

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.training import train
from meqc_marl.lyapunov import value
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy
from meqc_marl.policies.learned import load_policy


@pytest.mark.long
def test_one_policy_is_trained_over_loads_and_decides_at_each(tmp_path, ray_session, monkeypatch):
    """It waits less and costs less than chance at both ends of the loads, and is told what the waits cost."""
    monkeypatch.setattr(value, "_REFIT", 50)
    crowded = ["num_devices=4", "horizon=20", "resources.band_hz=4e8"]
    scenario = load_scenario("queued", ["resources.server_hz=1e9", *crowded])
    run = Run(
        scenario=scenario,
        env_steps=1_600,
        seed=1,
        learner={"context": "mean", "hidden": [32, 32], "updates_per_training_step": 4},
        vary=("resources.server_hz=1e9,8e9", "slot_s=2,6"),
    )
    checkpoint, finished = train(run, tmp_path / "run", placement=Placement(checkpoint_every_s=1e9))
    assert finished
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    told = {tag: [point.value for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    for name in ("waiting/cpu_wait_s", "waiting/qpu_wait_s", "waiting/longest_s", "waiting/toll_cpu"):
        assert all(map(math.isfinite, told[name])), name
    assert told["waiting/longest_s"][-1] > 0.0
    assert told["waiting/toll_cpu"][-1] != 0.0

    policy = load_policy(checkpoint)
    for hertz, slot in ((1e9, 2.0), (8e9, 6.0)):
        here = load_scenario(scenario, [f"resources.server_hz={hertz!r}", f"slot_s={slot!r}"])
        assert policy.unseen_in(here) == []
        trace = generate_trace(here, [5, 6, 7, 8], num_slots=40)
        learned, chance = (rollout(one, here, trace) for one in (policy, make_policy("random", here)))
        charged = [float(np.mean(each.cost + 20.0 * each.deadline_missed)) for each in (learned, chance)]
        assert charged[0] < charged[1]
        assert learned.waits.mean() <= chance.waits.mean()
