"""A policy from outside is told who is there, and what it asks for the others is ignored."""

import numpy as np
from comings import coming_and_going

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode
from meqc_marl.policies import Policy


class Eager(Policy):
    """Sends everything away, also of who is not there."""

    name = "eager"

    def __init__(self):
        self.told = []

    def act(self, situation):
        self.told.append((situation.present, situation.backlog.copy(), situation.observation.copy()))
        return np.full(situation.backlog.shape, Mode.CPU, np.int8), np.ones(situation.backlog.shape)


def test_it_is_told_who_is_there():
    scenario = load_scenario("small", ["cost.deadline=penalty"])
    trace = coming_and_going(scenario, [1, 2], 12)
    policy = Eager()
    record = rollout(policy, scenario, trace)
    present = np.stack([there for there, _, _ in policy.told])
    np.testing.assert_array_equal(present, trace.present)
    np.testing.assert_array_equal(record.mode, np.where(present, Mode.CPU, Mode.LOCAL))
    np.testing.assert_array_equal(record.fraction, present.astype(float))
    for _, backlog, seen in policy.told:
        assert not seen[backlog == 0.0][..., -1].any()
    for (there, backlog, seen), queue in zip(policy.told, record.backlog, strict=False):
        np.testing.assert_array_equal(backlog, np.where(there, queue, 0.0))
        assert not seen[~there].any()
    everybody = Eager()
    rollout(everybody, scenario, generate_trace(scenario, [1], num_slots=3))
    assert all(there is None for there, _, _ in everybody.told)
