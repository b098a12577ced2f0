"""The ledger: the verdict on every claim of the paper, written into the README from the stored data of the figures.

Run ``python -m experiments.ledger`` after the figures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from experiments.figure import RESULTS
from meqc_marl.errors import InputError
from meqc_marl.files import replacing

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- ledger: python -m experiments.ledger -->", "<!-- end of ledger -->"
FIGURES = ("3a", "3b", "3c", "4", "5a", "5b", "5c", "6")


def ledger(folder: Path, scale: str = "quick") -> str:
    """The table, a row for each claim of each figure that has been run."""
    lines = ["| figure | claim | verdict | measured | command |", "|---|---|---|---|---|"]
    for name in FIGURES:
        path = folder / scale / f"fig{name}.json"
        if not path.exists():
            continue
        content = json.loads(path.read_text())
        exact = "" if content["env_steps"] else " --exact-only"
        run = f"`python -m experiments.fig{name} --scale {scale}{exact}`"
        lines += [f"| {name} | {c['claim']} | **{c['verdict']}** | {c['number']} | {run} |" for c in content["claims"]]
    if len(lines) == 2:
        raise InputError(
            f"folder '{folder / scale}' holds no figures; run python -m experiments.fig3a and so on first."
        )
    return "\n".join(lines)


def put(text: str, table: str) -> str:
    """The text with the table between the two marks.

    Raises:
        InputError: If a mark is missing.
    """
    if BEGIN not in text or END not in text:
        raise InputError(f"README has no lines '{BEGIN}' and '{END}' to put the ledger between.")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> None:
    try:
        text = put(README.read_text(), ledger(RESULTS))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    with replacing(README) as file:
        file.write(text.encode())
    print(f"ledger: {README}")


if __name__ == "__main__":
    main()
