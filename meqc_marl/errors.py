"""The one exception that stands for a user's mistake."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input, told in one sentence that ends with a full stop: the field, its value and what is allowed.

    The command line prints the sentence and exits with code 2; a library user sees a ``ValueError``.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of a sentence about an unknown name: ``" (did you mean 'x'?)."``, or all known names if none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean '{close[0]}'?)." if close else f"; known are {', '.join(known)}."
