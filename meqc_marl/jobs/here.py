"""Show what a job says to whoever watches: bars and lines on stderr, texts on stdout; carry one out here that way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from meqc_marl.files import check_folder, make_folder, replacing
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.protocol import Failure, Report, Said, StepsProgress, Tell, TrialsProgress, WorkProgress
from meqc_marl.jobs.run_folder import RUN_FILE, SCENARIO_FILE
from meqc_marl.report.plain import plain_console
from meqc_marl.report.progress import Work, show_trials, show_work
from meqc_marl.report.training_progress import show_training
from meqc_marl.storage import Storage

_WHAT = {".png": "picture", ".pdf": "picture", ".json": "numbers", ".yaml": "parameters", ".md": "table"}


@contextmanager
def showing() -> Iterator[Tell]:
    """Yield what shows the messages of a job; reports and failures are for who gave the command."""
    with ExitStack() as bars:
        shown = _Shown(bars)
        yield shown.tell


class _Shown:
    """The one bar that is shown, and what is told meanwhile."""

    def __init__(self, bars: ExitStack) -> None:
        self._bars, self._what, self._show = bars, "", _nothing

    def tell(self, message: Any) -> None:
        if isinstance(message, Said):
            self._drop("work")  # what was worked out is told; the bar of what goes on stays
            plain_console().print(message.text, highlight=False, soft_wrap=True, markup=False, emoji=False)
        elif isinstance(message, TrialsProgress):
            self._begin("trials", show_trials)
            self._show(message)
            if message.finished + message.failed >= message.total and not message.running:
                self._drop("trials")
        elif isinstance(message, StepsProgress):
            self._begin("steps", show_training)
            self._show(message)
            if message.env_steps >= message.total_env_steps:
                self._drop("steps")
        elif isinstance(message, WorkProgress):
            self._begin("work", _show_named_work)
            self._show(message)

    def _begin(self, what: str, show: Callable[[], Any]) -> None:
        if self._what != what:
            self._drop(self._what)
            self._what, self._show = what, self._bars.enter_context(show())

    def _drop(self, what: str) -> None:
        if self._what == what:
            self._bars.close()
            self._what, self._show = "", _nothing


def _nothing(message: Any) -> None:
    raise AssertionError("no bar is shown")


@contextmanager
def _show_named_work() -> Iterator[Callable[[WorkProgress], None]]:
    """Yield what shows pieces of work, each after the one before has ended."""
    with show_work() as begin:
        work: Work | None = None
        named: tuple[str, str] | None = None

        def report(message: WorkProgress) -> None:
            nonlocal work, named
            if work is None or named != (message.label, message.unit) or not message.done:
                if work is not None:
                    work.end()
                work, named = begin(message.label, message.total, message.unit), (message.label, message.unit)
                work.start_from(message.done)  # of what was told before, the rate is not known
            work.update(message.done)

        yield report


def carry_out(description: Description, *, resume: bool = True, out: Path | None = None) -> None:
    """Carry a job out on this machine, or the cluster that it belongs to, and say where its report is.

    Args:
        description: The job.
        resume: Go on with what is in the storage; otherwise it is refused.
        out: Folder for the report, if that is not the storage.

    Raises:
        InputError: If it cannot be done, or not all of it.
        Interrupted: If it was interrupted.
    """
    if out is not None:
        check_folder(out)
    from meqc_marl.jobs.perform import perform  # Ray takes seconds to import; bad input has been told by now

    console = plain_console()
    with showing() as show:

        def tell(message: Any) -> None:
            show(message)
            if isinstance(message, Report):
                _say_where(console, Storage.reading(description.where), message, out)
            assert not isinstance(message, Failure)

        perform(description, tell, resume=resume)


def _say_where(console: Any, storage: Storage, report: Report, out: Path | None) -> None:
    for name in report.files:
        where = storage.uri_of(name)
        if out is not None:
            make_folder((out / name).parent)
            with replacing(out / name) as file:
                file.write(storage.read_named(name) or b"")
            where = str(out / name)
        if (what := _WHAT.get(Path(name).suffix)) and "/" not in name and name not in (RUN_FILE, SCENARIO_FILE):
            console.print(f"{what}: {where}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"curves: tensorboard --logdir {storage.uri}", highlight=False, soft_wrap=True, markup=False)
