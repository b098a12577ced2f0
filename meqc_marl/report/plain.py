"""Text of users as it is: no markup of rich, no emoji, no mathematics of matplotlib."""

from __future__ import annotations

from rich.console import Console


def plain_console(stderr: bool = False) -> Console:
    """A console that prints ``[red]`` and ``:smile:`` as they stand there."""
    return Console(stderr=stderr, markup=False, emoji=False)


def without_math(text: str) -> str:
    """Text for matplotlib, in which a dollar sign is a dollar sign."""
    return text.replace("$", r"\$")
