"""The ledger: the verdict on every claim of the paper, written into the README from the stored data of the figures.

Run ``python -m experiments.figures.ledger`` after the figures.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.figures.data import Data
from experiments.figures.figure import AS_PRINTED, EXACT_ONLY, FIGURES, SCALES, Figure, judged
from experiments.measured import kept, of_this_kind
from meqc_marl.entry.running import run_module
from meqc_marl.errors import InputError, shown
from meqc_marl.files import replacing

RESULTS = Path(__file__).parents[1] / "results" / "figures"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- ledger: python -m experiments.figures.ledger -->", "<!-- end of ledger -->"


def ledger(folder: Path, scale: str = "quick") -> str:
    """The table, a row for each claim of each figure that has been run.

    The column "as printed" is what exact solvers give when every formula stands as in the paper (preset
    ``paper-literal``); other variants have rows of their own.
    """
    lines = ["| figure | claim | verdict | measured | reason | as printed | command |", "|---|---|---|---|---|---|---|"]
    for name in FIGURES:
        path = folder / scale / f"fig{name}.json"
        if not path.exists():
            continue
        content = kept(path)
        exact = " --exact-only" if scale.endswith(EXACT_ONLY) else ""
        run = f"`meqc-marl figure {name} --scale {scale.removesuffix(EXACT_ONLY)}{exact}`"
        variants = {variant: _by_claim(part["claims"]) for variant, part in content.get("variants", {}).items()}
        printed = variants.pop(AS_PRINTED, {})
        for claim in content["claims"]:
            lines.append(_row(name, claim, _told(printed.get(claim["claim"]), claim), run))
        for variant, claims in variants.items():
            main = _by_claim(content["claims"])
            for claim in claims.values():
                if claim["number"] != main[claim["claim"]]["number"]:
                    lines.append(_row(f"{name}, {variant}", claim, "", run))
    if len(lines) == 2:
        raise InputError(
            f"folder '{folder / scale}' holds no figures; run meqc-marl figure 3a --out {folder} and so on first."
        )
    return "\n".join(lines)


def _by_claim(claims: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {claim["claim"]: claim for claim in claims}


def _row(figure: str, claim: dict[str, str], printed: str, run: str) -> str:
    cells = (figure, claim["claim"], f"**{claim['verdict']}**", claim["number"], claim["reason"], printed, run)
    return f"| {' | '.join(cells)} |"


def _told(printed: dict[str, str] | None, corrected: dict[str, str]) -> str:
    """Verdict and number of the system as printed, where they differ."""
    if printed is None:
        return ""
    if printed["number"] == corrected["number"]:
        return "the same"
    return f"{printed['verdict']}: {printed['number']}"


def put(text: str, table: str) -> str:
    """The text with the table between the two marks.

    Raises:
        InputError: If a mark is missing.
    """
    if BEGIN not in text or END not in text:
        raise InputError(f"README has no lines '{BEGIN}' and '{END}' to put the ledger between.")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def judge_again(folder: Path, scale: str = "quick") -> None:
    """Make verdicts and pictures anew from the stored scores, for when they are told or drawn in another way."""
    for name in FIGURES:
        path = folder / scale / f"fig{name}.json"
        if not path.exists():
            continue
        content = kept(path)
        figure: Figure = importlib.import_module(f"experiments.figures.fig{name}").FIGURE
        with of_this_kind(f"result '{path}'"):
            for part in (content, *content["variants"].values()):
                part["claims"] = judged(figure, part)
        with replacing(path) as file:
            file.write(json.dumps(content).encode())
        figure.draw(Data(content), path.with_suffix(".png"))


@dataclass(frozen=True)
class Ledger:
    """Judge every claim from the stored scores, draw the figures, and put the table into the README."""

    scale: str = "quick"
    """Which results: quick, paper, or those without training, such as quick-exact."""

    def run(self) -> None:
        """Judge, draw and write."""
        if (found := SCALES.get(self.scale.removesuffix(EXACT_ONLY))) is None or found.settings is not None:
            raise InputError(f"scale is {shown(self.scale)}; it must be one of quick, paper, quick-exact, paper-exact.")
        judge_again(RESULTS, self.scale)
        text = put(README.read_text(), ledger(RESULTS, self.scale))
        with replacing(README) as file:
            file.write(text.encode())
        print(f"ledger: {README}")


if __name__ == "__main__":
    sys.exit(run_module(Ledger))
