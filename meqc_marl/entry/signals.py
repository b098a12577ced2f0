"""SIGTERM stops a command as Ctrl-C does: batch systems, containers, ``timeout`` and ``ray job stop`` send it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does at that time. Only in the main thread: others are sent no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def handlers_as_before(*numbers: signal.Signals) -> Iterator[None]:
    """Whoever is called within leaves the handlers of these signals as they were, where there were any.

    ``ray.init`` sets one of SIGTERM that ends the process, and Tune leaves one of Ctrl-C that says that trials end.
    """
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if callable(handler):
                    signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Tune sees to Ctrl-C itself while trials run; where Ctrl-C is ignored, as behind ``&``, SIGTERM is not."""
    ctrl_c = signal.getsignal(signal.SIGINT)
    if not callable(ctrl_c):
        raise KeyboardInterrupt
    ctrl_c(signal.SIGINT, frame)
