"""Values and what they may be, in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of a sentence about an unknown name."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean '{close[0]}'?)." if close else f"; known are {', '.join(sorted(known))}."


def plain(value: Any) -> Any:
    """Tuples as lists, as they are written in YAML."""
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def in_words(schema: Mapping[str, Any]) -> str:
    """What a JSON schema allows."""
    if "allowed" in schema:
        return str(schema["allowed"])
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if "anyOf" in schema:
        return ", or ".join(in_words(part) for part in schema["anyOf"])
    kind = schema["type"]
    low, above, high, below = (
        schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    )
    words = {
        "boolean": "true or false",
        "null": "none",
        "integer": "a whole number",
        "number": "a number",
        "schedule": "a number or a schedule (a list of [env_steps, number], rising from 0)",
    }[kind]
    if low is not None and high is not None:
        return f"{words} within [{low:g}, {high:g}]"
    limits = [
        f"{text} {end:g}"
        for text, end in (("of at least", low), ("above", above), ("of at most", high), ("below", below))
        if end is not None
    ]
    return " ".join([words, " and ".join(limits)]).strip()
