"""Held-out traces: the nature on which trained policies are judged, beside the exact oracle; written once."""

from __future__ import annotations

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.evaluation.metrics import OracleReference, measure
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.nature.library import LibraryFiles, open_library
from meqc_marl.nature.trace import Trace, generate_trace
from meqc_marl.policies import Policy, make_policy

HELD_OUT_SEED = 1_000_000
"""Seeds from here on are kept for evaluation; training draws its own from all 32-bit numbers."""
NUM_TRACES = 4
"""Traces on which a policy is judged while it is trained, and in a sweep."""


def held_out_traces(
    scenario: Scenario, num_traces: int = NUM_TRACES, num_slots: int | None = None, files: LibraryFiles | None = None
) -> Trace:
    """The first held-out traces of a scenario, or of a library.

    Args:
        scenario: The system.
        num_traces: Rows E.
        num_slots: Slots T; the scenario's horizon if None.
        files: Library whose held-out rows they are, as many and as long as there are.
    """
    if files is not None:
        slots = scenario.horizon if num_slots is None else num_slots
        return open_library(files, scenario.num_devices).held_out_trace(num_traces, slots)
    return generate_trace(scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + num_traces), num_slots=num_slots)


def beside_oracle(
    policy: Policy, scenario: Scenario, trace: Trace, reference: OracleReference | None = None
) -> dict[str, np.ndarray]:
    """Measure a policy beside the exact oracle on the same traces.

    Args:
        policy: Who decides.
        scenario: The system.
        trace: Nature [T, E, M].
        reference: The oracle's own costs on these traces, if known already (:func:`oracle_reference`).

    Returns:
        Each of :data:`~meqc_marl.evaluation.METRICS` by trace [E].
    """
    reference = oracle_reference(scenario, trace) if reference is None else reference
    record = rollout(policy, scenario, trace, reference=make_policy("oracle", scenario))
    return measure(record, scenario, oracle=reference)


def oracle_reference(scenario: Scenario, trace: Trace) -> OracleReference:
    """What the oracle reaches on these traces, from which gaps are measured."""
    return OracleReference.of(rollout(make_policy("oracle", scenario), scenario, trace))
