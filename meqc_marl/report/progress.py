"""How far a long piece of work is, on stderr: a line that fits the terminal, or lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import Progress, ProgressColumn, Task, TaskID
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from meqc_marl.report.plain import plain_console

LOG_EVERY_S = 15.0
"""Seconds between two lines where the output is a log."""
_LEAST_BAR, _MOST_BAR = 8, 40
"""Columns of a bar; with fewer it shows nothing and is left out."""
_GAP = 2
"""Columns between two parts of a line."""

Begin = Callable[[str, int, str], Callable[[], None]]
"""Takes a label, a number of steps (0: unknown) and their unit, and returns what to call at each step."""


class Work:
    """One piece of work whose progress is shown.

    Args:
        label: What is done.
        total: Steps; 0 if their number is not known.
        unit: Of the steps.
        console: Where it is shown.
        bar: Where someone watches.
    """

    def __init__(self, label: str, total: int, unit: str, console: Console, bar: Progress) -> None:
        self._label, self._unit, self._total = label, unit, total
        self._expected = total
        self._console, self._bar = console, bar
        self._done = self._first = 0
        self._began = self._logged = time.monotonic()
        self._state: Sequence[str] = ()
        # Last: the display's thread shows it from now on.
        self._task: TaskID = bar.add_task(label, total=total or None, work=self)

    def start_from(self, done: int) -> None:
        """Steps that were done before, and say nothing about the rate."""
        self._done = self._first = done

    def update(self, done: int, total: int | None = None, state: Sequence[str] = ()) -> None:
        """Tell how far the work is, and what else is of interest, the most important first; a log has every so much."""
        self._done, self._state = done, state
        self._total = self._total if total is None else total
        self._bar.update(self._task, completed=done, total=self._shown_total)
        if not self._console.is_terminal and time.monotonic() - self._logged >= LOG_EVERY_S:
            self.log()

    def advance(self) -> None:
        """One step more; the work goes on if it was said to have ended."""
        self.update(self._done + 1, self._expected)

    def end(self) -> None:
        """Something else has begun: an estimate of the steps is put right, unless more of them come later."""
        self._total = self._done
        self._bar.update(self._task, completed=self._done, total=self._done or 1)

    def log(self) -> None:
        """Print the line of a log."""
        rate = [self.rate] if self.rate else []
        left = [f"{self.time_left} left"] if self.time_left else []
        line = f"{self._label}: {', '.join([self.count, *rate, *left, *self._state])}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._logged = time.monotonic()

    @property
    def _shown_total(self) -> int | None:
        return self._total if self._total >= self._done and self._total else None

    @property
    def count(self) -> str:
        """``120 of 500 slots``."""
        total = "" if self._shown_total is None else f" of {self._total:,}"
        return f"{self._done:,}{total} {self._unit}"

    @property
    def rate(self) -> str:
        """Steps a second, a minute or an hour; empty before the first."""
        rate = self._per_s
        for seconds, name in ((1.0, "s"), (60.0, "min"), (3600.0, "h")):
            if rate and (rate * seconds >= 1.0 or name == "h"):
                number = rate * seconds
                return f"{number:,.0f}/{name}" if number >= 10.0 else f"{number:.1f}/{name}"
        return ""

    @property
    def time_left(self) -> str:
        """``0:02:05``, or empty where nothing can be said."""
        if self._shown_total is None or not self._per_s:
            return ""
        seconds = round((self._total - self._done) / self._per_s)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    @property
    def _per_s(self) -> float:
        return (self._done - self._first) / max(time.monotonic() - self._began, 1e-9)

    def _parts(self, width: int) -> list[str]:
        """What the line shows, the most important first; a share instead of the count where that leaves no bar."""
        left = f"{self.time_left} left" if self.time_left else ""
        count = self.count
        if self._shown_total and _length([self._label, count, self.rate, left]) > width - _LEAST_BAR - _GAP:
            count = f"{100 * self._done // self._total} %"
        return [part for part in (self._label, count, self.rate, left) if part]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        shown = self._parts(width)
        for part in self._state:
            if _length([*shown, part]) <= width - _LEAST_BAR - _GAP:
                shown.append(part)
        room = width - _length(shown) - _GAP
        if room < _LEAST_BAR:
            yield Text((" " * _GAP).join(shown), no_wrap=True, overflow="ellipsis")
            return
        bar = ProgressBar(self._shown_total, self._done, width=min(room, _MOST_BAR), pulse=self._shown_total is None)
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(Text(shown[0], no_wrap=True), bar, Text((" " * _GAP).join(shown[1:]), no_wrap=True))
        yield grid


def _length(parts: Sequence[str]) -> int:
    """Columns that the parts take side by side."""
    return len((" " * _GAP).join(part for part in parts if part))


class _Line(ProgressColumn):
    """The whole line of a piece of work: it alone knows what may be left out."""

    def render(self, task: Task) -> Work:  # type: ignore[override]
        work: Work = task.fields["work"]
        return work


@contextmanager
def show_work(console: Console | None = None) -> Iterator[Callable[[str, int, str], Work]]:
    """Yield a function that begins a piece of work: label, steps (0: unknown) and their unit.

    Args:
        console: Where it is shown; stderr by default.
    """
    console = console or plain_console(stderr=True)
    with Progress(_Line(), console=console, transient=True, disable=not console.is_terminal, expand=True) as bar:
        yield lambda label, total, unit: Work(label, total, unit, console, bar)


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[Begin]:
    """Yield what begins a piece of work and returns what to call at each step; one goes on at a time."""
    with show_work(console) as begin:
        before: Work | None = None

        def start(label: str, total: int, unit: str) -> Callable[[], None]:
            nonlocal before
            if before is not None:
                before.end()
            before = begin(label, total, unit)
            return before.advance

        yield start


class Steps(Protocol):
    """How far training is."""

    @property
    def env_steps(self) -> int:
        """Environment steps made, of all runs together."""

    @property
    def total_env_steps(self) -> int:
        """The budget, of all together; 0 if steps are not counted."""


class Trials(Steps, Protocol):
    """How far many trials are."""

    @property
    def finished(self) -> int:
        """Those that have ended well."""

    @property
    def running(self) -> int:
        """Those at work."""

    @property
    def failed(self) -> int:
        """Those that have ended in an error."""

    @property
    def total(self) -> int:
        """All."""


@contextmanager
def show_trials(console: Console | None = None) -> Iterator[Callable[[Trials], None]]:
    """Yield what to call with how far the trials are; a log has every end of a trial, and a line every so much."""
    console = console or plain_console(stderr=True)
    with show_work(console) as begin:
        work: Work | None = None
        last: tuple[int, int] | None = None

        def report(trials: Trials) -> None:
            nonlocal last, work
            ended = trials.finished + trials.failed
            by_steps = trials.total_env_steps > 0
            done, total = (trials.env_steps, trials.total_env_steps) if by_steps else (ended, trials.total)
            if work is None:
                work = begin("trials", total, "env-steps" if by_steps else "trials")
                work.start_from(done)
            state = [f"{trials.running} running", f"{trials.failed} failed"]
            work.update(done, total, [f"{trials.finished} of {trials.total} finished", *state] if by_steps else state)
            if not console.is_terminal and (trials.finished, trials.failed) != last:
                line = ", ".join([f"{trials.finished} of {trials.total} trials finished", *state])
                console.print(line, highlight=False, soft_wrap=True)
            last = (trials.finished, trials.failed)

        yield report
