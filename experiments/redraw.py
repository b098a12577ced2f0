"""Draw the stored sweeps again from their numbers, for when pictures are drawn in another way; nothing is trained.

``python -m experiments.redraw``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.measured import kept, of_this_kind
from meqc_marl.entry.running import run_module
from meqc_marl.evaluation.grid import GridPoint, points_of
from meqc_marl.report.grid import save_grid_plot

RESULTS = Path(__file__).parent / "results"


def stored(folder: Path) -> list[GridPoint]:
    """The points of a sweep whose report is in a folder.

    Raises:
        InputError: There is none, or it is damaged.
    """
    path = folder / "sweep-points.json"
    content = kept(path)
    with of_this_kind(f"result '{path}'"):
        return points_of(content["points"])


@dataclass(frozen=True)
class Redraw:
    """Draw sweep.png of the points in sweep-points.json."""

    folders: tyro.conf.Positional[tuple[Path, ...]] = (RESULTS / "sweep", RESULTS / "one_policy")
    """Folders of reports of sweeps."""

    def run(self) -> None:
        """Draw."""
        found = {folder: stored(folder) for folder in self.folders}
        for folder, points in found.items():
            save_grid_plot(points, folder / "sweep.png")
            print(f"picture: {folder / 'sweep.png'}")


if __name__ == "__main__":
    sys.exit(run_module(Redraw))
