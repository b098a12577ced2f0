"""Comparisons of more traces than fit in memory: block after block of rows, with the results of one piece.

Rows do not depend on each other, and a policy's own random numbers are drawn for all rows, whichever block they are in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.evaluation.comparison import Comparison, compare, prepare
from meqc_marl.evaluation.optimum import Optimum
from meqc_marl.nature.trace import Trace, check_size, generate_trace
from meqc_marl.policies import Policy
from meqc_marl.policies.base import Progress

BLOCK_DEVICE_SLOTS = 4_000_000
"""Devices times slots times rows rolled at once; about 250 bytes each, a gigabyte in all."""


def compare_seeds(
    policies: Sequence[Policy],
    scenario: Scenario,
    seeds: Sequence[int],
    num_slots: int | None = None,
    policy_seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Compare policies on the traces of ``seeds``, of which no more are drawn at once than fit.

    Args:
        policies: Who is compared.
        scenario: The system.
        seeds: Of the traces, one each.
        num_slots: T; the scenario's horizon if None.
        policy_seed: Seed of the policies' own randomness.
        progress: Shows how far it is.
    """
    slots = scenario.horizon if num_slots is None else num_slots
    check_size(slots, min(len(seeds), 1), scenario.num_devices)
    blocks = list(_blocks(len(seeds), slots * scenario.num_devices))
    prepare(policies, progress)
    drawn = None if progress is None else progress("nature", len(blocks), "blocks of traces")

    def piece(rows: slice) -> tuple[Trace, Sequence[int]]:
        trace = generate_trace(scenario, seeds[rows], num_slots=slots)
        if drawn is not None:
            drawn()
        return trace, seeds[rows]

    return _compare_blocks(policies, scenario, blocks, piece, policy_seed, None, progress)


def compare_trace(
    policies: Sequence[Policy],
    scenario: Scenario,
    trace: Trace,
    policy_seed: int = 0,
    trace_file: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare policies on a given trace; arguments as for :func:`compare_seeds`."""
    blocks = list(_blocks(trace.num_envs, trace.num_slots * trace.num_devices))
    prepare(policies, progress)

    def piece(rows: slice) -> tuple[Trace, Sequence[int]]:
        return trace.rows(rows.start, rows.stop), ()

    return _compare_blocks(policies, scenario, blocks, piece, policy_seed, trace_file, progress)


def _blocks(rows: int, row_size: int) -> Iterator[slice]:
    at_once = max(1, BLOCK_DEVICE_SLOTS // row_size)
    for start in range(0, rows, at_once):
        yield slice(start, min(start + at_once, rows))


def _compare_blocks(
    policies: Sequence[Policy],
    scenario: Scenario,
    blocks: Sequence[slice],
    piece: Callable[[slice], tuple[Trace, Sequence[int]]],
    policy_seed: int,
    trace_file: str | None,
    progress: Progress | None,
) -> Comparison:
    shown = None if progress is None else _of_all_blocks(progress, len(blocks))
    parts = []
    for rows in blocks:
        trace, seeds = piece(rows)
        draws = RowsOf(rows, blocks[-1].stop).generator if len(blocks) > 1 else np.random.default_rng
        parts.append(compare(policies, scenario, trace, seeds, policy_seed, trace_file, shown, draws))
    return parts[0] if len(parts) == 1 else _joined(parts)


def _of_all_blocks(progress: Progress, blocks: int) -> Progress:
    """One line of progress for each label, whatever the number of blocks."""
    begun: dict[str, Callable[[], object]] = {}

    def begin(label: str, total: int, unit: str) -> Callable[[], object]:
        if label not in begun:
            begun[label] = progress(label, total * blocks, unit)
        return begun[label]

    return begin


def _joined(parts: Sequence[Comparison]) -> Comparison:
    rows = np.array([part.num_traces for part in parts])
    present = np.array([1.0 if part.present is None else part.present for part in parts])
    first = parts[0].optimum
    arrays = [field.name for field in fields(Optimum) if isinstance(getattr(first, field.name), np.ndarray)]
    above = [part.optimum_above for part in parts if part.optimum_above is not None]
    optima: dict[str, Any] = {name: np.concatenate([getattr(part.optimum, name) for part in parts]) for name in arrays}
    metrics = {
        policy: {name: np.concatenate([part.metrics[policy][name] for part in parts]) for name in found}
        for policy, found in parts[0].metrics.items()
    }
    return replace(
        parts[0],
        num_traces=int(rows.sum()),
        seeds=tuple(seed for part in parts for seed in part.seeds),
        optimum=replace(first, **optima),
        optimum_above=None if not above else np.concatenate(above),
        qpu_admitted=float(np.average([part.qpu_admitted for part in parts], weights=rows * present)),
        present=None if parts[0].present is None else float(np.average(present, weights=rows)),
        metrics=metrics,
    )


class RowsOf:
    """The rows of a block out of all rows, for drawing.

    Args:
        rows: Of the block.
        total: Rows of all blocks.
    """

    def __init__(self, rows: slice, total: int) -> None:
        self.rows, self.total = rows, total

    def generator(self, seed: int) -> np.random.Generator:
        """A generator that gives to a block what its rows would get if all were drawn together."""
        return _Generator(np.random.PCG64(seed), self)


class _Generator(np.random.Generator):
    """Draws arrays [E, ...] for all rows and gives those of a block. A draw of another shape is drawn as it is."""

    def __init__(self, bits: Any, rows: RowsOf) -> None:
        super().__init__(bits)
        self._rows = rows

    def _draw(self, draw: Callable[..., Any], size: Any, *arguments: Any, **options: Any) -> Any:
        rows = self._rows
        if not isinstance(size, tuple) or not size or size[0] != rows.rows.stop - rows.rows.start:
            return draw(*arguments, size=size, **options)
        return draw(*arguments, size=(rows.total, *size[1:]), **options)[rows.rows]

    def integers(self, low: Any, high: Any = None, size: Any = None, *rest: Any, **options: Any) -> Any:
        """As numpy's."""
        options |= dict(zip(("dtype", "endpoint"), rest, strict=False))
        return self._draw(super().integers, size, low, high, **options)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """As numpy's."""
        return self._draw(super().uniform, size, low, high)

    def random(self, size: Any = None, *rest: Any, **options: Any) -> Any:
        """As numpy's."""
        options |= dict(zip(("dtype", "out"), rest, strict=False))
        return self._draw(super().random, size, **options)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """As numpy's."""
        return self._draw(super().normal, size, loc, scale)

    def standard_normal(self, size: Any = None, *rest: Any, **options: Any) -> Any:
        """As numpy's."""
        options |= dict(zip(("dtype", "out"), rest, strict=False))
        return self._draw(super().standard_normal, size, **options)
