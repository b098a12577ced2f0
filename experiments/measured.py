"""What measurements of policies share: the reference traces, naming learned policies, and keeping the numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meqc_marl.errors import InputError
from meqc_marl.files import replacing
from meqc_marl.policies.learned import LearnedPolicy, load_policy

REFERENCE_SEEDS = range(1000, 1006)
"""Of the traces on which the reference values of pools and queues are measured."""


def first_seeds(count: int) -> range:
    """Of so many traces, the reference ones first."""
    return range(REFERENCE_SEEDS.start, REFERENCE_SEEDS.start + count)


def learned_policies(given: Sequence[str]) -> dict[str, LearnedPolicy]:
    """Policies by the names that NAME=RUN gives them.

    Raises:
        InputError: One is not NAME=RUN, or a run holds no whole policy.
    """
    found = {}
    for one in given:
        name, equals, run = one.partition("=")
        if not equals:
            raise InputError(f"learned is '{one}'; it must be NAME=RUN.")
        found[name] = load_policy(run)
    return found


def made_on(num_slots: int, seeds: Sequence[int]) -> dict[str, Any]:
    """What stored numbers say of the traces they were measured on, and the date."""
    return {"num_slots": num_slots, "seeds": list(seeds), "date": time.strftime("%Y-%m-%d")}


def keep(results: dict[str, Any], path: Path) -> None:
    """Write numbers as JSON, whole or not at all; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write((json.dumps(results, indent=1) + "\n").encode())
