"""A picture of a trace: ways, gains and tasks over the slots, equipment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from meqc_marl.files import replacing
from meqc_marl.nature.trace import Trace

_MOST_WAYS = 200
"""Devices whose ways are drawn: more are a smear."""
_OVER_SLOTS: tuple[tuple[str, str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("gain", "gain, dB", lambda values: 10.0 * np.log10(values)),
    ("data_bits", "data, MB", lambda values: values / 8e6),
    ("cycles_per_bit", "cycles per bit", lambda values: values),
    ("deadline_s", "deadline, s", lambda values: values),
    ("qubits", "logical qubits", lambda values: values),
)
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
_OWNED = (("cpu_hz", "CPU, GHz", 1e9), ("tx_power_w", "power, W", 1.0), ("leased_qubits", "leased qubits", 1.0))


def save_trace_plot(trace: Trace, path: str | Path) -> None:
    """Draw a trace of one row; the file is complete or, after a crash, untouched.

    Over the slots there are the median of the devices that are there, the middle half and the range; equipment is as
    many devices have how much of it at most.

    Args:
        trace: E = 1.
        path: Ends in .png, .pdf or .svg.
    """
    from matplotlib.figure import Figure  # takes half a second: only who plots pays for it

    figure = Figure(figsize=(11.0, 8.0), layout="constrained")
    axes = figure.subplots(3, 3)
    panels = iter(axes.flat)
    ways = next(panels)
    present = np.ones(trace.gain[:, 0].shape, bool) if trace.present is None else trace.present[:, 0]
    for device in range(min(trace.num_devices, _MOST_WAYS)):
        there = present[:, device]
        if there.any():
            way = np.where(there[:, None], trace.position_m[:, 0, device], np.nan)
            ways.plot(way[:, 0], way[:, 1], linewidth=0.6, alpha=0.7)
            ways.plot(*way[np.argmax(there)], marker=".", markersize=3, color="black")
    ways.plot(0.0, 0.0, marker="^", color="black", label="access point")
    ways.legend(loc="upper right", fontsize="small")
    ways.set(title="ways, from the dots on", xlabel="x, m", ylabel="y, m", aspect="equal", adjustable="datalim")
    slots = np.arange(trace.num_slots)
    for name, label, scaled in _OVER_SLOTS:
        axis = next(panels)
        least, low, middle, high, most = _quantiles(scaled(getattr(trace, name)[:, 0].astype(float)), present)
        axis.fill_between(slots, least, most, color="#0072B2", alpha=0.15, linewidth=0, label="range")
        axis.fill_between(slots, low, high, color="#0072B2", alpha=0.35, linewidth=0, label="middle half")
        axis.plot(slots, middle, color="black", linewidth=0.8, label="median device")
        axis.set(title=label, xlabel="slot", xlim=(0, max(trace.num_slots - 1, 1)))
    axes.flat[1].legend(loc="best", fontsize="small")
    for name, label, unit in _OWNED:
        axis = next(panels)
        axis.ecdf(getattr(trace.equipment, name)[0] / unit, color="black")
        axis.set(title=label, ylabel="share of devices", ylim=(0, 1.02))
    told = "" if trace.present is None else f", of whom {present.sum(-1).mean():.3g} are there in the mean"
    figure.suptitle(f"{trace.num_devices} devices{told}, {trace.num_slots} slots")
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=130)


def _quantiles(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Least, quarters and largest [5, T] of those who are there; NaN, a gap, where nobody is."""
    if present.all():
        return np.asarray(np.quantile(values, _QUARTERS, -1))
    found = np.full((len(_QUARTERS), len(values)), np.nan)
    for t in np.flatnonzero(present.any(-1)).tolist():
        found[:, t] = np.quantile(values[t, present[t]], _QUARTERS)
    return found
