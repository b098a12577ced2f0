"""Where every device computes in every slot, as a picture: policies side by side, told apart in grey as well."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from meqc_marl.env.render import MODE_COLOURS
from meqc_marl.evaluation.rollout import Rollout
from meqc_marl.physics.cost import Mode

MAX_SLOTS = 100
MAX_DEVICES = 50
_SHADES = {
    Mode.LOCAL: (MODE_COLOURS[Mode.LOCAL], MODE_COLOURS[Mode.LOCAL]),
    Mode.CPU: (MODE_COLOURS[Mode.CPU], "#62ACD8"),
    Mode.QPU: ("#E0AC00", "#FFF6C4"),
}
"""Colours where all of the task is sent away and where next to nothing is; of the hues of other pictures."""
AWAY = len(Mode)
"""In the place of a mode, where a device is not there: white."""
_LABELS = {Mode.LOCAL: "local", Mode.CPU: "CPU", Mode.QPU: "QPU"}


def mode_cells(record: Rollout, row: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Executed mode and fraction of a row, devices down and slots across [M, T], as many as the map shows.

    The mode of who is not there is :data:`AWAY`.
    """
    shown = np.s_[:MAX_SLOTS, row, :MAX_DEVICES]
    mode = record.mode[shown]
    return (mode if record.present is None else np.where(record.present[shown], mode, AWAY)).T, record.fraction[shown].T


def cell_colours(mode: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Colour of each cell, float [..., 3] from 0 to 1: the mode's, the lighter the less of the task is sent away.

    In grey no shade of one mode is one of another's.
    """
    from matplotlib.colors import to_rgb

    shades = [*(_SHADES[each] for each in Mode), ("#FFFFFF", "#FFFFFF")]
    whole, nothing = (np.array([to_rgb(each[end]) for each in shades])[mode] for end in (0, 1))
    return np.asarray(nothing + (whole - nothing) * np.asarray(fraction)[..., None])


def draw_mode_map(records: Mapping[str, Rollout]) -> np.ndarray:
    """A panel for each policy's first row, one below the other.

    Args:
        records: Rollouts over the same trace, by the policy's name.

    Returns:
        uint8 [H, W, 3].
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    cells = {name: mode_cells(record) for name, record in records.items()}
    devices = len(next(iter(cells.values()))[0])
    figure = Figure(figsize=(6, len(cells) * (0.7 + 0.08 * max(devices, 8)) + 0.6), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(cells), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, (mode, fraction)) in zip(panels, cells.items(), strict=True):
        axis.imshow(cell_colours(mode, fraction), aspect="auto", interpolation="nearest")
        axis.set(ylabel="device", title=name)
        axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[-1].set_xlabel("slot")
    panels[-1].xaxis.set_major_locator(MaxNLocator(10, integer=True))
    keys = [(each, share) for each in Mode for share in ((1.0,) if each == Mode.LOCAL else (1.0, 0.5))]
    figure.legend(
        handles=[
            Patch(
                facecolor=tuple(cell_colours(np.array(each), np.array(share)).tolist()),
                edgecolor="black",
                linewidth=0.6,
                label=_LABELS[each] if share == 1.0 else f"half on {_LABELS[each]}",
            )
            for each, share in keys
        ],
        loc="outside lower center",
        ncols=len(keys),
        frameon=False,
        fontsize="small",
        columnspacing=1.0,
    )
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
