"""A progress bar for training where someone watches, plain lines where the output is a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console

from meqc_marl.config.quantity import fixed
from meqc_marl.report.plain import plain_console
from meqc_marl.report.progress import Steps, show_work


class Progress(Steps, Protocol):
    """How far one training run is."""

    @property
    def scalars(self) -> dict[str, float]:
        """Of the last iteration, by TensorBoard's names."""


@contextmanager
def show_training(console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """Yield what to call after every iteration.

    Args:
        console: Where it is shown; stderr by default.
    """
    console = console or plain_console(stderr=True)
    with show_work(console) as begin:
        work = begin("training", 0, "env-steps")
        first = True

        def report(progress: Progress) -> None:
            nonlocal first
            is_first, first = first, False
            if is_first:  # a resumed run has not made the steps before its first report in this time
                work.start_from(progress.env_steps)
            work.update(progress.env_steps, progress.total_env_steps, _describe(progress.scalars))
            if not console.is_terminal and (is_first or progress.env_steps >= progress.total_env_steps):
                work.log()

        yield report


def _describe(scalars: dict[str, float]) -> list[str]:
    parts = []
    for tag, label, form in (
        ("system/cost", "cost", ".2f"),
        ("offloading/mean_fraction", "mean phi", ".2f"),
        ("exploration/epsilon", "epsilon", ".2f"),
        ("evaluation/regret", "regret", ".2%"),
    ):
        if tag in scalars:
            parts.append(f"{label} {fixed(scalars[tag], form)}")
    return parts
