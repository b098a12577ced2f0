"""A bare PyTorch loop with the same networks and updates, and what the machine can do at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from experiments.benchmarks.stock_path import DEFAULT_MODULE
from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.ascent import ascended_value, raw_to_move
from meqc_marl.dqn_ddpg.bounds import Bounds
from meqc_marl.dqn_ddpg.known_reward import KnownReward
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic
from meqc_marl.rl.config import offloading_config


def bare_loop(spec: NetworkSpec, config: DQNDDPGConfig) -> Callable[[dict[str, torch.Tensor]], None]:
    """The same update without RLlib: losses, clipping, Adam."""
    actor, critic = Actor(spec), Critic(spec)
    optimizers = [torch.optim.Adam(part.parameters(), lr=1e-3, fused=True) for part in (critic, actor)]

    def update(batch: dict[str, torch.Tensor]) -> None:
        observation = batch["obs"]
        raw, moved = raw_to_move(spec, actor, observation)
        leaf = raw.detach().clamp(0.0, 1.0).requires_grad_()
        bounds, reward = Bounds(spec, observation), KnownReward(spec, observation)
        (gradient,) = torch.autograd.grad(ascended_value(critic, observation, bounds, reward, leaf, moved), leaf)
        outward = ((raw > 1.0) & (gradient > 0)) | ((raw < 0.0) & (gradient < 0))
        mode, parameters = batch["mode"].long(), batch["parameters"]
        known = reward.value(parameters).gather(-1, mode.unsqueeze(-1))
        taken = (critic.taken(observation, mode, parameters) + known)[:, 0]
        size = critic.units.of_modes(observation).gather(-1, mode.unsqueeze(-1))[:, 0]
        target = batch["rewards"] * config.reward_scale
        loss = torch.nn.functional.huber_loss(taken / size, target / size, delta=config.huber_delta)
        loss = loss - (gradient.masked_fill(outward, 0.0) * raw).sum(-1).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(loss)
        for optimizer, part in zip(optimizers, (critic, actor), strict=True):
            torch.nn.utils.clip_grad_norm_(part.parameters(), config.grad_norm or torch.inf)
            optimizer.step()

    return update


def forward_and_backward_flop(spec: NetworkSpec, batch: int) -> float:
    """Floating-point operations of the matrix products of an update."""
    sizes = spec.hidden
    inner = sum(wide * narrow for wide, narrow in pairwise(sizes))
    critic_in = (spec.observation_size + spec.num_parameters) * sizes[0]
    actor = spec.observation_size * sizes[0] + inner + sizes[-1] * spec.num_parameters
    modes = 1 if spec.turns else spec.parametric_modes.stop - spec.parametric_modes.start
    # Forward, gradient of inputs, gradient of weights: one product each; the actor's pass needs no weights' gradient.
    taken, ascent = 3 * (critic_in + inner + sizes[-1]), 2 * modes * (critic_in + inner + sizes[-1])
    return 2.0 * batch * (taken + ascent + 3 * actor)


def sgemm_flops(size: int = 1024) -> float:
    """The machine's best rate of a single-precision matrix product on one core, FLOP/s."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = np.inf
    for _ in range(20):
        started = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - started)
    return 2.0 * size**3 / best


def bare_ratio(hidden: tuple[int, ...], batch_size: int = 256, updates: int = 16) -> dict[str, float]:
    """Updates a second of the Learner inside its group, and of the bare loop, on the same batches."""
    scenario = load_scenario("small")
    config = offloading_config(scenario).training(
        hidden=hidden, train_batch_size_per_learner=batch_size, updates_per_training_step=updates
    )
    algorithm: Any = config.build_algo()
    while len(algorithm.replay_buffer) < 20_000:
        for fragment in algorithm.env_runner.sample():
            algorithm.store(fragment)
    rows = algorithm.replay_buffer.sample(batch_size * updates, frozenset({"new_obs", "discount"}))
    update = bare_loop(algorithm.get_module().spec, config)

    def ours() -> None:
        batch = MultiAgentBatch({DEFAULT_MODULE: SampleBatch(dict(rows))}, env_steps=batch_size * updates)
        algorithm._update(batch, 0)

    def bare() -> None:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in rows.items()}
        for start in range(0, batch_size * updates, batch_size):
            update({name: column[start : start + batch_size] for name, column in tensors.items()})

    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(12):
        for name, call in (("ours", ours), ("bare", bare)):
            started = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - started) / updates)
    best = {name: min(values[2:]) for name, values in times.items()}
    flop, peak = forward_and_backward_flop(algorithm.get_module().spec, batch_size), sgemm_flops()
    algorithm.stop()
    return {
        "ours_ms": 1e3 * best["ours"],
        "bare_ms": 1e3 * best["bare"],
        "ratio": best["bare"] / best["ours"],
        "sgemm_gflops": peak / 1e9,
        "share_of_sgemm": flop / best["ours"] / peak,
    }


# --- Devices, workers, memory -----------------------------------------------------------------------------------------
