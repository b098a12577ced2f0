"""The command line, ``meqc-marl``. A new command is one module here and one line in :data:`COMMANDS`.

A command is a dataclass: its fields are the options, its docstring is the help, and ``run`` does the work. Its module
imports what is heavy (ray, torch) inside ``run``, so that every other command stays quick.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Union

import tyro

from meqc_marl import __version__
from meqc_marl.cli.parsing import parse
from meqc_marl.errors import InputError

COMMANDS: dict[str, str] = {
    "train": "meqc_marl.cli.train:Train",
    "sweep": "meqc_marl.cli.sweep:SweepCommand",
    "search": "meqc_marl.cli.search:SearchCommand",
    "figure": "meqc_marl.cli.figure:FigureCommand",
    "benchmark": "meqc_marl.cli.benchmark:BenchmarkCommand",
    "submit": "meqc_marl.cli.submit:SubmitCommand",
    "evaluate": "meqc_marl.cli.evaluate:Evaluate",
    "export": "meqc_marl.cli.export:Export",
    "compare": "meqc_marl.cli.compare:Compare",
    "vary": "meqc_marl.cli.vary:Vary",
    "prices": "meqc_marl.cli.prices:PricesCommand",
    "replay": "meqc_marl.cli.replay:Replay",
    "scenario": "meqc_marl.cli.scenario:ScenarioCommand",
    "circuits": "meqc_marl.cli.circuits:CircuitsCommand",
    "trace": "meqc_marl.cli.trace:TraceCommand",
}
"""Name to ``module:class``."""

__all__ = ["COMMANDS", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: done, or help. 2: bad input, told in one sentence on stderr. 130: interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name of bytes that are no text, or a terminal without Unicode
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        if words == ["--version"]:
            print(f"meqc-marl {__version__}")
        else:
            command: Any = parse(_command_type(), words, tuple(COMMANDS))
            command.run()
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


def _drop_output() -> None:
    """Python writes what is left of the output at exit, and would complain again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _command_type() -> Any:
    commands = []
    for name, location in COMMANDS.items():
        module, _, attribute = location.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        commands.append(Annotated[command, tyro.conf.subcommand(name)])
    return Union[tuple(commands)]  # noqa: UP007 (their number is not known here)
