"""Several policies on the same traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError, shown
from meqc_marl.evaluation.joint_bounds import joint_bounds
from meqc_marl.evaluation.metrics import OracleReference, measure
from meqc_marl.evaluation.optimum import Optimum, constrained_optimum, expected_passes
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.presence import mean_of_present
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.places import Work
from meqc_marl.policies import Policy, make_policy
from meqc_marl.policies.base import Progress


@dataclass(frozen=True)
class Comparison:
    """Metrics of every policy on the same traces.

    Attributes:
        scenario: The scenario.
        num_slots, num_traces: T and E.
        seeds: Seeds of the traces; empty for a trace from a file.
        policy_seed: Seed of the policies' own randomness.
        optimum: C_opt(Delta) of every device and row.
        qpu_admitted: Share of device-slots in which the QPU admits the task; of those in which a device is there.
        present: Share of device-slots in which the device is there; None if all are.
        metrics: By policy and metric (:data:`~meqc_marl.evaluation.metrics.METRICS`), arrays [E].
        trace_file: Where the trace came from, if not from seeds.
    """

    scenario: Scenario
    num_slots: int
    num_traces: int
    seeds: tuple[int, ...]
    policy_seed: int
    optimum: Optimum
    qpu_admitted: float
    metrics: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    trace_file: str | None = None
    optimum_above: np.ndarray | None = None
    """A bound of C_opt from above [E], where ``optimum`` has only one from below: of devices that share in a slot."""
    present: float | None = None


def charged(scenario: Scenario, metrics: dict[str, np.ndarray]) -> np.ndarray:
    """Mean cost with the penalty of misses, of a policy's metrics [E]."""
    return np.asarray(metrics["cost"] + scenario.cost.miss_penalty * metrics["deadline_missed"])


def prices_of_sharing(result: Comparison) -> dict[str, float]:
    """What it costs not to decide jointly, cost and penalty of misses as a multiple of the joint optimum's.

    ``anarchy``: each device for itself, given what the others do (``selfish``); ``ignorance``: not knowing what they do
    (``oblivious``). Empty where nothing is pooled, and without the policies that it takes.
    """
    found: dict[str, float] = {}
    best = next((result.metrics[name] for name in ("joint-oracle", "oracle") if name in result.metrics), None)
    if best is not None and result.scenario.resources.pooled:
        for price, policy in (("anarchy", "selfish"), ("ignorance", "oblivious")):
            if policy in result.metrics:
                cost = charged(result.scenario, result.metrics[policy]).mean()
                found[price] = float(cost / charged(result.scenario, best).mean())
    return found


def _joint_optimum(scenario: Scenario, trace: Trace, alone: Optimum) -> tuple[Optimum, np.ndarray | None]:
    """Bounds of C_opt of devices that share; what each could reach alone bounds what it can reach.

    Where anything is queued the bound from below is that of the same system without waiting, and there is none from
    above.
    """
    bounds = joint_bounds(scenario, trace)
    lower = np.broadcast_to(bounds.lower[:, None], alone.cost.shape)
    return replace(alone, cost=lower), None if scenario.resources.queued else bounds.upper


def prepare(policies: Sequence[Policy], progress: Progress | None = None) -> None:
    """See that these are policies of different names, and let each search or learn what it needs.

    Raises:
        InputError: If they are not.
    """
    for policy in policies:
        if not isinstance(policy, Policy):
            raise InputError(f"policies holds {shown(policy)}; each must be a Policy, as make_policy gives it.")
    names = [policy.name for policy in policies]
    if len(set(names)) < len(names):
        raise InputError(f"policies: each may be given once, and {', '.join(names)} holds one twice.")
    for policy in policies:
        policy.prepare(progress)


def compare(
    policies: Sequence[Policy],
    scenario: Scenario,
    trace: Trace,
    seeds: Sequence[int] = (),
    policy_seed: int = 0,
    trace_file: str | None = None,
    progress: Progress | None = None,
    draws: Callable[[int], np.random.Generator] = np.random.default_rng,
) -> Comparison:
    """Roll every policy over ``trace`` and measure it against the oracle and C_opt.

    More traces than fit in memory are for :mod:`meqc_marl.evaluation.blocks`.

    Args:
        policies: Who is compared.
        scenario: The system.
        trace: Nature [T, E, M].
        seeds: That it was drawn from, for the record.
        policy_seed: Seed of the policies' own randomness.
        trace_file: Where the trace was read, for the record.
        progress: Shows how far it is.
        draws: Makes a policy's generator of the seed.
    """
    prepare(policies, progress)
    names = [policy.name for policy in policies]

    def step(label: str, total: int, unit: str = "slots") -> Callable[[], object] | None:
        return progress(label, total, unit) if progress else None

    optimum = constrained_optimum(scenario, trace, on_step=step("C_opt", expected_passes(trace), "passes"))
    above = None
    if scenario.resources.pooled:
        optimum, above = _joint_optimum(scenario, trace, optimum)
    # The oracle is the reference of every gap; it comes first, and does not depend on who else is compared.
    exact = ("oracle", "joint-oracle") if scenario.resources.pooled else ("oracle",)
    oracle = next((policy for policy in policies if policy.name in exact), make_policy("oracle", scenario))
    record = rollout(oracle, scenario, trace, draws(policy_seed), step("oracle", trace.num_slots), oracle)
    reference = OracleReference.of(record)
    metrics = {oracle.name: measure(record, scenario, optimum, reference)}
    for policy in policies:
        if policy.name != oracle.name:
            record = rollout(policy, scenario, trace, draws(policy_seed), step(policy.name, trace.num_slots), oracle)
            metrics[policy.name] = measure(record, scenario, optimum, reference)
    return Comparison(
        scenario=scenario,
        num_slots=trace.num_slots,
        num_traces=trace.num_envs,
        seeds=tuple(int(seed) for seed in seeds),
        policy_seed=policy_seed,
        optimum=optimum,
        qpu_admitted=_qpu_admitted(scenario, trace),
        metrics={name: metrics[name] for name in names},
        trace_file=trace_file,
        optimum_above=above,
        present=None if trace.present is None else float(trace.present.mean()),
    )


def _qpu_admitted(scenario: Scenario, trace: Trace) -> float:
    return float(mean_of_present(Work.of(scenario, trace.slots()).qpu_admitted, trace.present, (0, 1, 2)))
