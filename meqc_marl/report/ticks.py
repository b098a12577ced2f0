"""Axes whose ticks are the values that were asked for, and never run into each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

PANEL_CHARACTERS = 34
"""Characters of tick labels that stand side by side in a panel of three inches."""
_LOG_FROM = 5.0
"""Ratio of the largest to the smallest value from which a scale is logarithmic."""


def label_values(axes: Any, values: Sequence[float], labels: Sequence[str], may_be_log: bool = True) -> None:
    """Ticks at the values, on a scale on which they can be told apart; crowded labels are turned, or left out.

    Args:
        axes: Of which the x axis is labelled.
        values: Where the data are.
        labels: Their names.
        may_be_log: Whether positive values that differ much are put on a logarithmic scale.
    """
    order = np.argsort(values)
    places = ticks = np.asarray(values, np.float64)[order]
    names = [labels[place] for place in order]
    if may_be_log and ticks[0] > 0.0 and ticks[-1] >= _LOG_FROM * ticks[0]:
        axes.set_xscale("log")
        places = np.log(ticks)
    if len(ticks) > 1:
        room = PANEL_CHARACTERS * np.diff(places) / (places[-1] - places[0])
        longest = max(map(len, names))
        if room.min() < longest + 2:
            axes.tick_params(axis="x", labelrotation=90 if room.min() < 4 else 45)
            # Turned, a label is as wide as two characters; what has less room than that has none of its own.
            shown = [0]
            for place in range(1, len(ticks)):
                if room[shown[-1] : place].sum() >= 2.0:
                    shown.append(place)
            ticks, names = ticks[shown], [names[place] for place in shown]
    axes.set_xticks(ticks, names)
    axes.minorticks_off()
