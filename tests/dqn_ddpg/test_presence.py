"""Agents that come and go: what is learned from, against returns added up by hand; contexts without the absent."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from meqc_marl.dqn_ddpg.batched_env import BatchedStep
from meqc_marl.dqn_ddpg.columns import DISCOUNT, INDEX, IS_RANDOM, MODE, PARAMETERS, PRESENT, WEIGHT
from meqc_marl.dqn_ddpg.encoders import ContextEncoder
from meqc_marl.dqn_ddpg.learner import pop_row_errors
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic, greedy_action
from meqc_marl.dqn_ddpg.replay_buffer import FlatReplayBuffer
from meqc_marl.dqn_ddpg.transitions import Fragment
from tests.dqn_ddpg.test_learner import MODULE, make_batch, make_learner

T, E, M, D = 7, 2, 3, 2


def fragment_of(present, done, rng, is_random=None):
    """Slots whose observation tells slot, row and agent, and whose rewards are random where the agent is there."""
    fragment = Fragment()
    at = np.stack(np.meshgrid(np.arange(T + 1), np.arange(E), np.arange(M), indexing="ij"), -1)
    seen = (at @ [100, 10, 1])[..., None].repeat(D, -1).astype(np.float32)
    reward = np.where(present[:-1], rng.normal(size=(T, E, M)), 0).astype(np.float32)
    for t in range(T):
        step = BatchedStep(reward[t], seen[t + 1], np.zeros(E, bool), done[t])
        chosen = {MODE: np.zeros((E, M), np.int8), PARAMETERS: np.zeros((E, M, 1))}
        chosen |= {} if is_random is None else {IS_RANDOM: is_random[t]}
        fragment.add(seen[t], chosen, step, present[t], present[t + 1])
    return fragment, seen, reward


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans(), st.booleans())
def test_what_is_learned_from_are_the_present_and_their_returns_end_where_they_go(
    seed, num_steps, whole_slots, until_random
):
    rng = np.random.default_rng(seed)
    present = rng.random((T + 1, E, M)) < 0.6
    done = rng.random((T, E)) < 0.15
    is_random = rng.random((T, E, M)) < 0.3
    fragment, seen, reward = fragment_of(present, done, rng, is_random if until_random else None)
    assert fragment.agent_steps() == present[:-1].sum()
    rows = fragment.rows(0.9, num_steps, whole_slots=whole_slots)
    expected = {}
    for t in range(T - num_steps + 1):
        for e in range(E):
            for m in range(M):
                total, factor, k = 0.0, 1.0, t
                while k < t + num_steps:
                    total += 0.9 ** (k - t) * reward[k, e, m]
                    factor = 0.0 if not present[k + 1, e, m] else 0.9 ** (k - t + 1)
                    k += 1
                    if factor == 0.0 or done[k - 1, e] or (until_random and k < T and is_random[k, e, m]):
                        break
                expected[100 * t + 10 * e + m] = (total, factor, seen[k, e, m, 0])
    if not rows:
        assert num_steps > T
        return
    flat = {name: values.reshape(-1, *values.shape[2:]) if whole_slots else values for name, values in rows.items()}
    there = flat.get(PRESENT, np.ones(len(flat[MODE]), bool))
    kept = flat["obs"][there][:, 0]
    at = [(t, e) for t in range(T - num_steps + 1) for e in range(E)]
    assert len(kept) == sum(present[t, e].sum() for t, e in at)
    assert (PRESENT in rows) == whole_slots
    if whole_slots:
        assert len(rows["obs"]) == sum(present[t, e].any() for t, e in at)
    for number, total, factor, following in zip(
        kept, flat["rewards"][there], flat[DISCOUNT][there], flat["new_obs"][there][:, 0], strict=True
    ):
        want = expected[int(number)]
        assert total == pytest.approx(want[0], abs=1e-5)
        assert factor == pytest.approx(want[1], abs=1e-6)
        assert factor == 0.0 or following == want[2]


def test_without_presence_nothing_is_another():
    rng = np.random.default_rng(0)
    everybody, done = np.ones((T + 1, E, M), bool), np.zeros((T, E), bool)
    fragment, *_ = fragment_of(everybody, done, rng)
    told = fragment.rows(0.9, 2)
    fragment.present, fragment.next_present = [], []
    for name, values in fragment.rows(0.9, 2).items():
        np.testing.assert_array_equal(told[name], values)


def spec_of(context, num_modes=3):
    # Columns 0 to 2 say which modes are allowed.
    return NetworkSpec.of(
        {
            "hidden": (16, 16),
            "context": context,
            "context_width": 8,
            "mask_columns": tuple((mode, mode) for mode in range(num_modes)),
            "observation_size": 5,
            "parameter_slots": ((0, 0), (0, 1), (1, 2)),
        }
    )


def observations(rng, batch, devices, present):
    seen = rng.normal(size=(batch, devices, 5)).astype(np.float32)
    seen[..., :3] = np.maximum(rng.random((batch, devices, 3)) < 0.5, [1, 0, 0])
    return torch.from_numpy(np.where(present[..., None], seen, 0).astype(np.float32))


@pytest.mark.parametrize("context", ["mean", "attention"])
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_context_of_those_who_are_there_is_that_of_them_alone(context, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    present = np.zeros((1, 6), bool)
    present[0, rng.permutation(6)[: rng.integers(1, 7)]] = True
    seen = observations(rng, 1, 6, present)
    spec = spec_of(context)
    actor, critic = Actor(spec), Critic(spec)
    with torch.inference_mode():
        mode, parameters, q = greedy_action(spec, actor, critic, seen)
        alone = greedy_action(spec, actor, critic, seen[:, present[0]])
        for whole, part in zip((mode, parameters, q), alone, strict=True):
            torch.testing.assert_close(whole[torch.from_numpy(present[0])], part, rtol=1e-4, atol=1e-5)
        nobody = ContextEncoder(spec)(torch.zeros(2, 4, 5))
    assert nobody.isfinite().all()


def test_masks_that_leave_a_mode_open_tell_nobody_away():
    torch.manual_seed(0)
    encoder = ContextEncoder(spec_of("mean", 2))
    with torch.inference_mode():
        some = torch.zeros(1, 4, 5)
        torch.testing.assert_close(encoder.context(some), encoder.embed(some).mean(-2, True).expand(1, 4, 8))


def whole_slots_of(rows, count, agents):
    """Slots of so many agents, some of them away with numbers that must not matter, of the rows of those there."""
    rng = np.random.default_rng(5)
    present = np.zeros((count, agents), bool)
    present[0], present[1:, 0] = True, True
    present.ravel()[rng.permutation(np.flatnonzero(~present.ravel()))[: len(rows["obs"]) - present.sum()]] = True
    assert present.sum() == len(rows["obs"])
    slots = {}
    for name, values in rows.items():
        filled = rng.random((count, agents, *values.shape[1:])) * (1 if name == "mode" else 9)
        filled[present] = values
        slots[name] = filled.astype(values.dtype)
    return slots | {PRESENT: present}


@pytest.mark.parametrize("gamma", [0.0, 0.9])
@pytest.mark.parametrize("prioritised", [False, True])
def test_an_update_on_whole_slots_is_that_on_the_rows_of_those_who_are_there(gamma, prioritised):
    rows = make_batch(24)
    one, other = make_learner(gamma), make_learner(gamma, whole_slots=True)
    slots = whole_slots_of(rows, 10, 5)
    if prioritised:
        weight = np.linspace(0.2, 1.0, 10).astype(np.float32)
        of_row = np.repeat(np.arange(10), slots[PRESENT].sum(-1))
        slots |= {INDEX: np.arange(10), WEIGHT: weight}
        rows |= {INDEX: np.arange(24), WEIGHT: weight[of_row]}
    errors = []
    for learner, batch in ((one, rows), (other, slots)):
        together = MultiAgentBatch({MODULE: SampleBatch(batch)}, env_steps=10)
        results = learner.update(batch=together, timesteps={"num_env_steps_sampled_lifetime": 0})
        errors.append(pop_row_errors([results]).get(MODULE))
    for a, b in zip(one.module[MODULE].parameters(), other.module[MODULE].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    if prioritised:
        mine, theirs = (each[1][np.argsort(each[0])] for each in errors)
        np.testing.assert_allclose(theirs, [mine[of_row == slot].mean() for slot in range(10)], rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_a_fragment_in_which_nobody_is_there_leaves_replay_as_it_is(alpha):
    rng = np.random.default_rng(0)
    present = np.ones((T + 1, E, M), bool)
    nobody = fragment_of(np.zeros_like(present), np.zeros((T, E), bool), rng)[0].rows(0.9)
    some = fragment_of(present, np.zeros((T, E), bool), rng)[0].rows(0.9)
    buffer = FlatReplayBuffer(50, 0, alpha)
    for rows, size in ((nobody, 0), (some, 42), (nobody, 42)):
        buffer.add(rows)
        assert len(buffer) == size
    again = FlatReplayBuffer(50, 0, alpha)
    again.set_state(buffer.get_state())
    np.testing.assert_array_equal(again.sample(9)["obs"], buffer.sample(9)["obs"])
