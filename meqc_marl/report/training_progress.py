"""A progress bar for training where someone watches, plain lines where the output is a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from meqc_marl.jobs.training import Progress

_LOG_EVERY_S = 15.0


@contextmanager
def show_training() -> Iterator[Callable[[Progress], None]]:
    """Yield what to call after every iteration."""
    console = Console(stderr=True)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, state="starting")
        started, first, logged = time.monotonic(), None, 0.0

        def report(progress: Progress) -> None:
            nonlocal first, logged
            now = time.monotonic()
            # A resumed run has not made the steps before its first report in this time.
            first = progress if first is None else first
            done = progress.env_steps - first.env_steps
            rate = done / max(now - started, 1e-9) if done else 0.0
            state = (f"{rate:,.0f} env-steps/s, " if rate else "") + _describe(progress.scalars)
            bar.update(task, total=progress.total_env_steps, completed=progress.env_steps, state=state)
            if not console.is_terminal and (
                now - logged > _LOG_EVERY_S or progress.env_steps >= progress.total_env_steps
            ):
                left = max(0, progress.total_env_steps - progress.env_steps) / rate if rate else float("nan")
                time_left = f", {left:.0f} s left" if left == left else ""
                console.print(
                    f"{progress.env_steps:,} of {progress.total_env_steps:,} env-steps, {state}{time_left}",
                    highlight=False,
                    soft_wrap=True,
                )
                logged = now

        yield report


def _describe(scalars: dict[str, float]) -> str:
    parts = []
    for tag, label, form in (
        ("system/cost", "cost", "{:.2f}"),
        ("offloading/mean_fraction", "mean phi", "{:.2f}"),
        ("exploration/epsilon", "epsilon", "{:.2f}"),
        ("evaluation/gap_to_oracle", "gap to oracle", "{:+.1%}"),
    ):
        if tag in scalars:
            parts.append(f"{label} {form.format(scalars[tag])}")
    return ", ".join(parts)
