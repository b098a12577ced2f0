"""The joint optimum by trying everything: all 3^M assignments, with thousands of shares for each device."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.lyapunov import growth, objective
from meqc_marl.physics.cost import Mode, settle
from meqc_marl.physics.load import Load
from meqc_marl.physics.places import Work, price


def by_brute_force(
    scenario: Scenario, work: Work, backlog: np.ndarray, shares: int = 2001, toll: np.ndarray | None = None
) -> float:
    """Least total objective with penalty of one row, to the resolution of the shares."""
    devices = backlog.shape[-1]
    admitted = work.qpu_admitted[0]
    least: dict[tuple[int, int], np.ndarray] = {}
    best = np.inf
    for choice in itertools.product(range(3), repeat=devices):
        mode = np.array(choice)
        if (mode == Mode.QPU)[~admitted].any():
            continue
        counts = int((mode == Mode.CPU).sum()), int((mode == Mode.QPU).sum())
        if counts not in least:
            least[counts] = by_grid(scenario, work, backlog, counts, shares, toll)
        best = min(best, float(least[counts][mode, np.arange(devices)].sum()))
    return best


def by_grid(
    scenario: Scenario,
    work: Work,
    backlog: np.ndarray,
    counts: tuple[int, int],
    shares: int = 2001,
    toll: np.ndarray | None = None,
) -> np.ndarray:
    """Least objective with penalty of every device at every place [3, M], were all tasks admitted to the QPU."""
    places = price(scenario, work, Load.of_counts(*map(float, counts)))
    places = replace(places, qpu_admitted=np.ones_like(places.qpu_admitted))
    shape = (shares, *backlog.shape)
    share = np.broadcast_to(np.linspace(scenario.cost.min_fraction, 1.0, shares)[:, None, None], shape)
    least = []
    for mode in Mode:
        outcome = settle(scenario.cost, places, np.full(shape, mode), share)
        charged = 0.0 if toll is None else toll[mode] * outcome.fraction
        least.append((objective_with_penalty(scenario, outcome, backlog) + charged).min(0)[0])
    return np.stack(least)


def objective_with_penalty(scenario: Scenario, outcome: object, backlog: np.ndarray) -> np.ndarray:
    """V C + z growth + V penalty [missed]."""
    config = scenario.lyapunov
    cost, fraction, missed = (getattr(outcome, name) for name in ("cost", "fraction", "deadline_missed"))
    penalty = config.v * scenario.cost.miss_penalty
    return objective(config, cost, backlog, growth(config, fraction)) + penalty * missed
