"""What measurements share: the reference traces, naming learned policies, and keeping the numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meqc_marl.errors import InputError, shown, within
from meqc_marl.files import check_folder, check_output, json_object, make_folder, read_bytes, replacing

if TYPE_CHECKING:
    from meqc_marl.policies.learned import LearnedPolicy

REFERENCE_SEEDS = range(1000, 1006)
"""Of the traces on which the reference values of pools and queues are measured."""
_LARGEST = 100_000_000
"""Bytes of stored numbers."""


def first_seeds(count: int) -> range:
    """Of so many traces, the reference ones first."""
    return range(REFERENCE_SEEDS.start, REFERENCE_SEEDS.start + count)


def check_draws(num_slots: int, num_traces: int = 1) -> None:
    """Refuse numbers of slots and traces that cannot be meant."""
    within("num-traces", num_traces, 1, 10_000)
    within("num-slots", num_slots, 1, 10_000_000)


def learned_policies(given: Sequence[str]) -> dict[str, LearnedPolicy]:
    """Policies by the names that NAME=RUN gives them.

    Raises:
        InputError: One is not NAME=RUN, or a run holds no whole policy.
    """
    from meqc_marl.policies.learned import load_policy  # torch takes a second to import

    return {name: load_policy(run) for name, run in named_runs(given).items()}


def named_runs(given: Sequence[str]) -> dict[str, str]:
    """Runs by the names that NAME=RUN gives them.

    Raises:
        InputError: One is not NAME=RUN, or a name is there twice.
    """
    found: dict[str, str] = {}
    for one in given:
        name, equals, run = one.partition("=")
        if not equals or not name or not run:
            raise InputError(f"learned is {shown(one)}; it must be NAME=RUN.")
        if name in found:
            raise InputError(f"learned: the name {shown(name)} is given twice; each policy needs one of its own.")
        found[name] = run
    return found


def made_on(num_slots: int, seeds: Sequence[int]) -> dict[str, Any]:
    """What stored numbers say of the traces they were measured on, and the date."""
    return {"num_slots": num_slots, "seeds": list(seeds), "date": time.strftime("%Y-%m-%d")}


def check_kept(path: Path) -> None:
    """Refuse a file of numbers that cannot be written, before anything is measured; its folder need not be there."""
    check_folder(path.parent)
    if path.parent.is_dir():
        check_output(path)


def keep(results: dict[str, Any], path: Path) -> None:
    """Write numbers as JSON, whole or not at all; folders are made."""
    make_folder(path.parent)
    with replacing(path) as file:
        file.write((json.dumps(results, indent=1) + "\n").encode())


def kept(path: Path) -> dict[str, Any]:
    """Numbers that were kept.

    Raises:
        InputError: They are not there, cannot be read or are damaged.
    """
    what = f"result '{path}'"
    return json_object(read_bytes(path, what, _LARGEST), what)


@contextmanager
def of_this_kind(what: str) -> Iterator[None]:
    """Tell numbers that are whole and not those that are asked for in one sentence, wherever that shows."""
    try:
        yield
    except InputError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{what} holds other numbers than those that are measured here.") from error
