"""Do what a command line asks for: a user's mistake is one sentence on stderr and an exit code, never a traceback."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from meqc_marl.entry.parsing import parse
from meqc_marl.entry.signals import sigterm_interrupts
from meqc_marl.errors import InputError


def run_module(command: Any, arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run a module of one command; returns the exit code (:func:`exit_code`).

    Args:
        command: A dataclass: its fields are the options, its docstring is the help, its ``run`` does the work.
        arguments: By default those of this process.
        prog: How the module is called, for sentences and help; by default ``python -m`` and its name.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: parse(command, words, prog=prog or f"python -m {_module_of(command)}").run())


def exit_code(work: Callable[[], None]) -> int:
    """Do it; 0: done, or help. 2: bad input, told in one sentence on stderr. 130: stopped by Ctrl-C or SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name of bytes that are no text, or a terminal without Unicode
            stream.reconfigure(errors="backslashreplace")
    try:
        with sigterm_interrupts():
            work()
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop}" if str(stop) else "interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) went away: no fault of ours. Python would complain again at exit: give it a sink.
        _drop_output()
        return 141
    except OSError as error:
        # What a command reads and writes has sentences of its own; this is its output, or a disk that fails meanwhile.
        where = "standard output" if error.filename is None else f"'{error.filename}'"
        print(InputError(f"error: {where} cannot be used: {error.strerror or error}."), file=sys.stderr)
        _drop_output()
        return 2
    except MemoryError:
        print("error: there is not enough memory; take fewer devices, slots or traces.", file=sys.stderr)
        return 2
    return 0


def _module_of(command: Any) -> str:
    """Name of the module of a command, also where that is the one that Python was started with."""
    name: str = command.__module__
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return str(spec.name) if name == "__main__" and spec is not None else name


def _drop_output() -> None:
    """Python writes what is left of the output at exit, and would complain again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
