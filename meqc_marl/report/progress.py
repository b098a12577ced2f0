"""A progress display with rate and time left, on stderr and only where someone can see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _RateColumn(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} {self._unit}/s")


@contextmanager
def show_progress(unit: str = "slots") -> Iterator[Callable[[str, int], Callable[[], None]]]:
    """Yield a function that takes a label and a number of steps (0: unknown) and returns what to call at each step."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def begin(label: str, total: int) -> Callable[[], None]:
            task = progress.add_task(label, total=total or None)
            return lambda: progress.advance(task)

        yield begin
