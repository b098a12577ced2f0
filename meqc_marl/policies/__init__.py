"""Decision rules behind one interface. A new rule is one file here and one line in :data:`POLICIES`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError, did_you_mean, shown
from meqc_marl.policies.base import Policy, Situation
from meqc_marl.policies.best_response import Oblivious, selfish, team_best_response
from meqc_marl.policies.greedy import greedy
from meqc_marl.policies.joint_oracle import JointOracle
from meqc_marl.policies.local_only import LocalOnly
from meqc_marl.policies.oracle import OraclePolicy, drift_plus_penalty, exact_oracle
from meqc_marl.policies.priced import priced_joint, priced_selfish, queue_drift, tolled_joint
from meqc_marl.policies.random_mode import RandomMode
from meqc_marl.policies.restricted import (
    cpu_continuous,
    cpu_discrete,
    hybrid_discrete,
    oracle_cpu,
    oracle_cpu_discrete,
    oracle_discrete,
    oracle_qpu,
    oracle_qpu_discrete,
    qpu_continuous,
    qpu_discrete,
)
from meqc_marl.registry import NoSuchPartError, find, is_place

POLICIES: dict[str, Callable[[Scenario], Policy]] = {
    "oracle": exact_oracle,
    "joint-oracle": JointOracle,
    "team-best-response": team_best_response,
    "selfish": selfish,
    "oblivious": Oblivious,
    "greedy": greedy,
    "hybrid-discrete": hybrid_discrete,
    "cpu-continuous": cpu_continuous,
    "cpu-discrete": cpu_discrete,
    "qpu-continuous": qpu_continuous,
    "qpu-discrete": qpu_discrete,
    "local-only": LocalOnly,
    "random": RandomMode,
    "oracle-discrete": oracle_discrete,
    "oracle-cpu": oracle_cpu,
    "oracle-cpu-discrete": oracle_cpu_discrete,
    "oracle-qpu": oracle_qpu,
    "oracle-qpu-discrete": oracle_qpu_discrete,
    "priced-joint": priced_joint,
    "tolled-joint": tolled_joint,
    "queue-drift": queue_drift,
    "priced-selfish": priced_selfish,
}
"""Name to factory, in the order in which reports show them."""

_OF_QUEUES = ("priced-joint", "tolled-joint", "queue-drift", "priced-selfish")
_OF_POOLS = ("joint-oracle", "team-best-response", "selfish", "oblivious")
DEFAULT_POLICIES: tuple[str, ...] = tuple(
    name for name in POLICIES if not name.startswith("oracle-") and name not in _OF_POOLS + _OF_QUEUES
)
"""What a comparison shows unless told otherwise: all but the restricted oracles."""
POOLED_POLICIES: tuple[str, ...] = (*_OF_POOLS, "greedy", "local-only", "random")
"""The same where devices share; ``oracle`` is the joint one there, and ``greedy`` decides as if alone."""
QUEUED_POLICIES: tuple[str, ...] = ("joint-oracle", "selfish", *_OF_QUEUES, "local-only", "random")
"""The same where work waits; the joint oracle knows the waits and does not look ahead."""


def default_policies(scenario: Scenario) -> tuple[str, ...]:
    """What a comparison on a scenario shows unless told otherwise."""
    if scenario.resources.queued:
        return QUEUED_POLICIES
    return POOLED_POLICIES if scenario.resources.pooled else DEFAULT_POLICIES


__all__ = [
    "DEFAULT_POLICIES",
    "POLICIES",
    "POOLED_POLICIES",
    "QUEUED_POLICIES",
    "JointOracle",
    "OraclePolicy",
    "Policy",
    "Situation",
    "default_policies",
    "drift_plus_penalty",
    "make_policy",
]


def make_policy(name: str, scenario: Scenario) -> Policy:
    """Make a policy by name: one of ``POLICIES``, an entry point of ``meqc_marl.policies``, or ``module:Class``."""
    if name in POLICIES:
        return POLICIES[name](scenario)
    if not is_place(name) and name not in entry_points(group="meqc_marl.policies").names:
        raise InputError(f"policy {shown(name)} is not known{did_you_mean(name, POLICIES)}")
    try:
        policy = find("policies", name)(scenario)
    except NoSuchPartError as error:
        raise InputError(f"policy {shown(name)} cannot be used: {error}.") from None
    if not isinstance(policy, Policy) or not isinstance(getattr(policy, "name", None), str):
        raise InputError(f"policy {shown(name)} makes {shown(policy)}; it must make a Policy that has a name.")
    if policy.name in POLICIES:
        raise InputError(f"policy {shown(name)} is called {shown(policy.name)}, as a built-in one is; rename it.")
    return policy
