"""The sweep over V and Delta: a study with a trial for every V, Delta and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.run import Run


def sweep_study(
    scenario: Scenario,
    v: Sequence[float],
    delta: Sequence[float],
    seeds: Sequence[int],
    env_steps: int,
    learner: dict[str, Any] | None = None,
    num_env_runners: int = 0,
) -> dict[str, Run]:
    """The trials of a grid.

    Args:
        scenario: The system; its V and Delta do not count.
        v, delta: Grid.
        seeds: Training seeds.
        env_steps: Budget of a trial.
        learner: Parameters of the learner other than the defaults.
        num_env_runners: Remote samplers of a trial.

    Raises:
        InputError: If a value is not allowed, or one is given twice.
    """
    for name, values in (("v", v), ("delta", delta), ("seeds", seeds)):
        if not values or len(set(values)) < len(values):
            raise InputError(f"{name} is {list(values)}; each of one or more values must be given once.")
    study = {}
    for at_v in v:
        for at_delta in delta:
            here = load_scenario(scenario, [f"lyapunov.v={at_v!r}", f"lyapunov.delta={at_delta!r}"])
            for seed in seeds:
                study[f"v={at_v!r},delta={at_delta!r},seed={seed}"] = Run(
                    scenario=here,
                    env_steps=env_steps,
                    seed=seed,
                    learner=learner or {},
                    labels={"v": at_v, "delta": at_delta, "seed": seed},
                    num_env_runners=num_env_runners,
                )
    return study
