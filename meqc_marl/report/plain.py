"""Text of users as it is: no markup of rich, no emoji, no mathematics of matplotlib."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text


class _PlainConsole(Console):
    """Breaks lines of text at a terminal's width alone: in a pipe a line stays a line, however long a path in it is."""

    def print(self, *objects: Any, soft_wrap: bool | None = None, **options: Any) -> None:
        if soft_wrap is None and not self.is_terminal and all(isinstance(each, str | Text) for each in objects):
            soft_wrap = True
        super().print(*objects, soft_wrap=soft_wrap, **options)


def plain_console(stderr: bool = False) -> Console:
    """A console that prints ``[red]`` and ``:smile:`` as they stand there."""
    return _PlainConsole(stderr=stderr, markup=False, emoji=False)


def without_math(text: str) -> str:
    """Text for matplotlib, in which a dollar sign is a dollar sign."""
    return text.replace("$", r"\$")
