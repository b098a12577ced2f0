"""The last slot of a row for people: a table, or a map of the disc."""

from __future__ import annotations

import numpy as np

from meqc_marl.nature.slot import Slot
from meqc_marl.physics.cost import Mode, Outcome

MODE_COLOURS = {Mode.LOCAL: "#333333", Mode.CPU: "#0072B2", Mode.QPU: "#F5C710"}
"""Of every picture that shows modes; from dark to light, so that they differ in grey."""


def slot_table(index: int, slot: Slot, outcome: Outcome | None) -> str:
    """Text table of row 0, a line for each device."""
    head = f"{'device':>6} {'data MB':>8} {'deadline s':>10} {'qubits':>6}"
    if outcome is not None:
        head += f" {'mode':>5} {'fraction':>8} {'latency s':>9} {'energy J':>9} {'cost':>8}  notes"
    lines = [f"slot {index}", head]
    for m in range(slot.data_bits.shape[-1]):
        line = f"{m:>6} {slot.data_bits[0, m] / 8e6:>8.1f} {slot.deadline_s[0, m]:>10.2f} {slot.qubits[0, m]:>6.0f}"
        if outcome is not None:
            notes = "missed" if outcome.deadline_missed[0, m] else ""
            notes += " rejected by QPU" if outcome.qpu_rejected[0, m] else ""
            line += (
                f" {Mode(outcome.mode[0, m]).name:>5} {outcome.fraction[0, m]:>8.3f} {outcome.latency_s[0, m]:>9.3f}"
                f" {outcome.energy_j[0, m]:>9.3f} {outcome.cost[0, m]:>8.3f}  {notes.strip()}"
            )
        lines.append(line.rstrip())
    return "\n".join(lines)


def draw_disc(radius_m: float, index: int, slot: Slot, outcome: Outcome | None) -> np.ndarray:
    """Map of row 0: devices coloured by executed mode, larger the more they send away; uint8 [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    figure = Figure(figsize=(5, 5), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(aspect="equal")
    axes.add_patch(Circle((0, 0), radius_m, fill=False, color="black"))
    axes.plot(0, 0, "^", color="black", label="access point")
    position, devices = slot.position_m[0], np.arange(slot.data_bits.shape[-1])
    if outcome is None:
        axes.scatter(position[:, 0], position[:, 1], color="black", label="device")
    else:
        for mode in Mode:
            chosen = devices[outcome.mode[0] == mode]
            share = outcome.fraction[0, chosen]
            axes.scatter(
                position[chosen, 0],
                position[chosen, 1],
                s=30 + 90 * share,
                color=MODE_COLOURS[mode],
                edgecolors="black",
                linewidths=0.6,
                label=mode.name,
            )
    axes.set(
        xlim=(-1.1 * radius_m, 1.1 * radius_m),
        ylim=(-1.1 * radius_m, 1.1 * radius_m),
        xlabel="x in m",
        ylabel="y in m",
        title=f"slot {index}",
    )
    legend = axes.legend(loc="upper right", fontsize="small")
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):  # else as large as its first device, or as none
            handle.set_sizes([40.0])
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
