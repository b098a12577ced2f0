"""Rewards of devices that share, against recomputing the slot device by device."""

from __future__ import annotations

import numpy as np
import pytest
from joint_brute_force import objective_with_penalty
from pettingzoo.test import parallel_api_test

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.rl.callbacks import LyapunovCallback
from meqc_marl.rl.offloading_env import OffloadingBatchedEnv

SLOTS, DEVICES = 12, 7


def system(*changes: str) -> tuple[Scenario, Trace]:
    scenario = load_scenario("pooled", [f"num_devices={DEVICES}", f"horizon={SLOTS}", *changes])
    return scenario, generate_trace(scenario, [4])


def actions(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, (SLOTS, 1, DEVICES)), rng.random((SLOTS, 1, DEVICES)).astype(np.float32)


def expected(scenario: Scenario, trace: Trace, kind: str) -> np.ndarray:
    """Rewards [T, M]: each device is set to LOCAL in turn, and the whole slot is carried out again."""
    simulator = OffloadingSimulator(scenario, trace=trace)
    simulator.reset()
    backlog, rewards = np.zeros((1, DEVICES)), []
    for mode, fraction in zip(*actions(), strict=True):
        own = -objective_with_penalty(scenario, simulator.preview(mode, fraction), backlog)[0]
        if kind == "team":
            rewards.append(np.full(DEVICES, own.mean()))
        elif kind == "own":
            rewards.append(own)
        else:
            without = []
            for device in range(DEVICES):
                changed = mode.copy()
                changed[0, device] = 0
                without.append(-objective_with_penalty(scenario, simulator.preview(changed, fraction), backlog).sum())
            rewards.append(own.sum() - np.array(without))
        outcome = simulator.step(mode, fraction)
        backlog = np.maximum(0.0, backlog + scenario.lyapunov.delta - outcome.fraction)
    return np.stack(rewards)


def by_wrapper(scenario: Scenario, trace: Trace) -> np.ndarray:
    env = LyapunovParallelEnv(OffloadingParallelEnv(scenario, trace))
    env.reset(seed=0)
    rewards = []
    for mode, fraction in zip(*actions(), strict=True):
        action = {
            agent: {"mode": int(mode[0, m]), "fraction": fraction[0, m : m + 1]} for m, agent in enumerate(env.agents)
        }
        rewards.append(list(env.step(action)[1].values()))
    return np.array(rewards)


def by_callback(scenario: Scenario, trace: Trace) -> np.ndarray:
    env = OffloadingBatchedEnv(scenario, trace=trace)
    callback = LyapunovCallback()
    callback.on_environment_created(env=env)
    env.reset([0])
    callback.on_episode_start(env_index=0)
    rewards = []
    for mode, fraction in zip(*actions(), strict=True):
        step = env.step({"mode": mode, "fraction": fraction[..., None]})
        callback.on_episode_step(episode=step, env=env, env_index=0)
        rewards.append(step.reward[0])
    return np.array(rewards)


@pytest.mark.parametrize("kind", ["own", "team", "difference"])
@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["resources.fraction=literal", "cost.latency=sequential"],
        ["resources.band=leased", "cost.latency=literal", "resources.qpu_tiles=1"],
        ["resources.server=leased", "resources.qpu=leased", "lyapunov.v=3"],
        ["resources.server=queued", "resources.qpu=queued", "resources.server_hz=2e9", "resources.qpu_tiles=1"],
    ],
)
def test_rewards_device_by_device(kind: str, changes: list[str]) -> None:
    scenario, trace = system(f"lyapunov.reward={kind}", *changes)
    reference = expected(scenario, trace, kind)
    assert np.abs(reference).max() > 1.0
    np.testing.assert_allclose(by_wrapper(scenario, trace), reference, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(by_callback(scenario, trace), reference, rtol=1e-5, atol=1e-3)


def test_without_pools_the_difference_is_what_a_device_gains_over_local() -> None:
    scenario = load_scenario(
        "paper", [f"num_devices={DEVICES}", f"horizon={SLOTS}", "lyapunov.reward=difference", "cost.deadline=penalty"]
    )
    trace = generate_trace(scenario, [4])
    reference = expected(scenario, trace, "difference")
    np.testing.assert_allclose(by_wrapper(scenario, trace), reference, rtol=1e-9, atol=1e-8)


def test_the_environment_for_others() -> None:
    """PettingZoo's own test; the state is everybody's observation; infos tell the executed share and what if."""
    scenario, trace = system("lyapunov.reward=difference")
    parallel_api_test(LyapunovParallelEnv(OffloadingParallelEnv(scenario, trace)), num_cycles=30)
    env = LyapunovParallelEnv(OffloadingParallelEnv(scenario, trace))
    observations, infos = env.reset(seed=0)
    assert all((info["fraction_low"] == 0).all() and (info["fraction_high"] <= 1).all() for info in infos.values())
    for mode, fraction in zip(*actions(), strict=True):
        assert env.state_space.contains(env.state())
        np.testing.assert_array_equal(env.state(), np.concatenate(list(observations.values())))
        action = {
            agent: {"mode": int(mode[0, m]), "fraction": fraction[0, m : m + 1]} for m, agent in enumerate(env.agents)
        }
        observations, _, _, _, infos = env.step(action)
        assert all(info["what_if"].shape == (3, 3) for info in infos.values())
    assert any(0 < info["fraction"] < 1 for info in infos.values())
