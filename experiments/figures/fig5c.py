"""Figure 5c: cost against the number of qubits leased."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.claims import learned_near_exact, ours_best_everywhere
from experiments.figures.data import Claim, Data, between, judge, relative, tell
from experiments.figures.draw import draw_over_settings
from experiments.figures.figure import Figure, Setting
from experiments.figures.methods import HYBRID, METHODS

QUBITS = (1000, 2000, 3000, 4000, 5000)
SETTINGS = tuple(
    Setting(f"qubits={count}", count, "paper", (f"devices.leased_qubits=[{count}, {count}]",)) for count in QUBITS
)


def draw(data: Data, path: Path) -> None:
    """Cost against the setting."""
    draw_over_settings(data, path, FIGURE.title, "qubits leased by every device")


def verdict(data: Data) -> list[Claim]:
    """Not much changed; more qubits, more QPU, lower cost."""
    first, last = data.settings()[0]["name"], data.settings()[-1]["name"]
    cost = relative(data, first, last)
    number = f"exact: {tell(cost, '+.1%')} from 1000 to 5000 qubits"
    shares = [float(data.scores(name, HYBRID.name, "exact", "qpu_share").mean()) for name in (first, last)]
    reason = "at 1000 qubits hardly any task fits on the QPU" if shares[0] < 0.05 else ""
    claims = [judge("The cost is not much changed by the qubits.", abs(cost.value) < 0.05, number, reason)]
    more = between(data, first, last, metric="qpu_share")
    number = f"exact: share of device-slots on the QPU {shares[0]:.3f} at 1000, {shares[1]:.3f} at 5000: "
    number += tell(more, "+.3f")
    claims.append(judge("With more qubits more goes to the QPU.", more.least > 0, number))
    claims.append(judge("The cost falls with the qubits.", cost.greatest < 0, f"exact: {tell(cost, '+.1%')}"))
    return [*claims, ours_best_everywhere(data), *learned_near_exact(data)]


FIGURE = Figure(
    "5c",
    "Fig. 5c: qubits leased",
    SETTINGS,
    METHODS,
    draw,
    verdict,
    trained=(1000, 3000, 5000),
    variants={"7 physical qubits counted": ("quantum.qubits_counted=7",)},
)
