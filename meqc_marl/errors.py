"""The one exception that stands for a user's mistake, and how a sentence shows what the user wrote."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

MAX_SENTENCE = 600
"""Characters of a sentence; what is longer loses its middle."""
_MAX_SHOWN = 80


class InputError(ValueError):
    """Bad input, told in one sentence that ends with a full stop: the field, its value and what is allowed.

    The command line prints the sentence and exits with code 2; a library user sees a ``ValueError``. Whatever the
    user's text holds, the sentence has no control characters and is not endless.
    """

    def __init__(self, sentence: str = "") -> None:
        super().__init__(_shortened(_printable(str(sentence)), MAX_SENTENCE))


def shown(value: object) -> str:
    """A value as a sentence shows it: like ``repr``, but short, on one line, and whatever the value is."""
    try:
        text = _REPR.repr(value)
    except Exception:  # a stranger's repr may do anything; Python refuses to print integers of 4,300 digits
        text = f"a very long {type(value).__name__}" if isinstance(value, int) else f"a {type(value).__name__}"
    return _shortened(_printable(" ".join(text.split())), _MAX_SHOWN)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of a sentence about an unknown name: ``" (did you mean 'x'?)."``, or all known names if none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(name[:_MAX_SHOWN], known, n=1)
    return f" (did you mean '{close[0]}'?)." if close else f"; known are {', '.join(known)}."


def how_to_install(extra: str) -> str:
    """Middle or end of a sentence about a package that is missing."""
    return f"install it with: pip install 'meqc-marl[{extra}]'"


def at_least(option: str, value: float, least: int) -> None:
    """Refuse a number of an option that is less than it may be, or none."""
    if not value >= least:  # NaN is not
        raise InputError(f"{option}: {shown(value)} is not allowed; it must be at least {least}.")


def within(option: str, value: float, least: int, most: int) -> None:
    """Refuse a number of an option that is too small or too large, before memory is taken for it."""
    at_least(option, value, least)
    if value > most:
        raise InputError(f"{option}: {shown(value)} is not allowed; it must be at most {most:,}.")


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = _REPR.maxset = 6
_REPR.maxlevel = 3


def _printable(text: str) -> str:
    """Control characters, other line ends and halves of characters as their escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[-most // 4 :]}"
