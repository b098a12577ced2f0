"""From words to a command: what tyro prints about a mistake becomes one sentence, its help fits the terminal."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import tyro

from meqc_marl.errors import InputError

CONFIG = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)
"""How options are named, for every use of tyro."""
_FRAME = "╭╮╰╯│─"
_RULE = re.compile(r"[-─╰╯]{5,}")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MISPLACED = re.compile(r"Unrecognized or misplaced options: (\S+) \(applied to ([^)]*)\)")
_NUMBERS = {"FLOAT": "number", "INT": "whole number"}
_NO_NUMBER = (
    (r"invalid literal for int\(\) with base 10: '?(.*?)'?", "a whole number"),
    (r"could not convert string to float: '?(.*?)'?", "a number"),
    (r"no type matching \{None\}\|FLOAT could be instantiated from \['?(.*?)'?\].*", "a number"),
    (r"no type matching \{None\}\|INT could be instantiated from \['?(.*?)'?\].*", "a whole number"),
)


class _Captured(io.StringIO):
    """What is printed, printed as for the real output."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(sys.__stdout__, "encoding", "utf-8")


def parse(
    command_type: Any,
    arguments: Sequence[str],
    commands: Sequence[str] = (),
    prog: str = "meqc-marl",
    description: str | None = None,
) -> Any:
    """Read the words of a command line.

    Args:
        command_type: What tyro makes of them.
        arguments: The words.
        commands: Names of the commands, where it is one of several.
        prog: What stands before the words.
        description: For the help; by default the docstring of ``command_type``.

    Raises:
        InputError: If they cannot be understood.
        SystemExit: After the help.
    """
    complaint, helped = io.StringIO(), _Captured()
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(helped):
            return tyro.cli(
                command_type,
                prog=prog,
                description=description,
                args=arguments,
                config=CONFIG,
            )
    except SystemExit as stop:
        if stop.code:
            raise InputError(_sentence(complaint.getvalue(), arguments, commands, prog)) from None
        print(_wrapped(helped.getvalue()), end="")
        raise


def _choices(told: str) -> str:
    """Tyro's list of choices in a lasting order, without the None of an option that may be left out."""
    return ", ".join(sorted(choice for choice in told.split(", ") if choice != "'None'"))


def _sentence(complaint: str, arguments: Sequence[str], commands: Sequence[str], prog: str) -> str:
    """One sentence of what tyro prints in a frame: the text above its first rule, and an option that is meant."""
    parts: list[list[str]] = [[]]
    for line in _COLOUR.sub("", complaint).strip().splitlines()[1:]:
        inner = line.strip(" │")
        if _RULE.fullmatch(inner):
            parts.append([])
        elif inner:
            parts[-1].append(inner)
    texts = [" ".join(part) for part in parts if part] or ["the command line is not understood"]
    said = re.sub(r"\. Expected 1 values?$", "", texts[0].removeprefix("Error parsing ").rstrip("."))
    several = re.search(r"(FLOAT|INT) \[\1 \.\.\.\]", " ".join(texts[1:]))  # what tyro says of the option
    each = f"; each must be a {_NUMBERS[several[1]]}" if several else ""
    said = re.sub(
        r"^(\S+?): Could not find valid parse for arguments: \[(.*?)\]$", rf"\1: \2 cannot be read{each}", said
    )
    for pattern, kind in _NO_NUMBER:
        said = re.sub(rf"^(\S+?): {pattern}$", rf"\1: '\2' is not allowed; it must be {kind}", said, flags=re.DOTALL)
    said = re.sub(r"\. Expected one of \((.*)\)$", lambda found: f"; it must be one of {_choices(found[1])}", said)
    said = re.sub(r"^Missing from [^:]*: (\S+) .*$", r"\1 is missing", said)
    if commands and arguments and arguments[0] not in commands and not arguments[0].startswith("-"):
        close = difflib.get_close_matches(arguments[0], commands, n=1)
        hint = f" (did you mean '{close[0]}'?)" if close else f"; known are {', '.join(commands)}"
        return f"command '{arguments[0]}' is not known{hint}."
    if said.startswith("Unrecognized options: "):
        word = said.split()[2].rstrip(",")
        offered = re.findall(r"--[a-z][a-z-]*", " ".join(texts[1:]))
        offered = [option for option in offered if option != "--help"]
        hint = f" (did you mean {offered[0]}?)" if offered and word.startswith("-") else ""
        said = f"option '{word}' is not known{hint}" if word.startswith("-") else f"'{word}' is one word too many"
        for text in texts[1:]:
            if text.startswith("Available subcommands: ") and not word.startswith("-"):
                said = f"'{word}' is not known; known are {text.split(': ', 1)[1]}"
    elif misplaced := _MISPLACED.match(said):  # one that another command has
        said = f"'{misplaced[1]}' is no option of '{misplaced[2]}'"
    about = " ".join([*arguments[:1], "--help"]) if arguments and arguments[0] in commands else "--help"
    said = said[0].lower() + said[1:] if said[1:2].islower() else said
    said = re.sub(r"\.\s+", "; ", said)  # one sentence, whatever a later tyro says
    return f"{said}; see {prog} {about}."


def _wrapped(text: str) -> str:
    """Lines outside frames broken at the width of the terminal, which tyro does only within them."""
    width = shutil.get_terminal_size().columns
    lines = []
    for line in text.splitlines():
        too_long = len(_COLOUR.sub("", line)) > width and line[0] not in _FRAME
        lines.append(textwrap.fill(line, width, break_on_hyphens=False) if too_long else line)
    return "\n".join(lines) + "\n"
