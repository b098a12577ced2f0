"""The command line, ``meqc-marl``. A new command is one module here and one line in :data:`COMMANDS`.

A command is a dataclass: its fields are the options, its docstring is the help, and ``run`` does the work. Its module
imports what is heavy (ray, torch) inside ``run``, so that every other command stays quick.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro

from meqc_marl import __version__
from meqc_marl.entry.parsing import parse
from meqc_marl.entry.running import exit_code

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
_DESCRIPTION = "Task offloading in hybrid mobile edge-quantum computing."

__all__ = ["COMMANDS", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: done, or help. 2: bad input, told in one sentence on stderr. 130: interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]

    def work() -> None:
        if words == ["--version"]:
            print(f"meqc-marl {__version__}")
        else:
            command: Any = parse(_command_type(), words, tuple(COMMANDS), description=_DESCRIPTION)
            command.run()

    return exit_code(work)


def _command_type() -> Any:
    commands = []
    for name, location in COMMANDS.items():
        module, _, attribute = location.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        commands.append(Annotated[command, tyro.conf.subcommand(name)])
    return Union[tuple(commands)]  # noqa: UP007 (their number is not known here)
