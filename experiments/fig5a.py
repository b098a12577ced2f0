"""Figure 5a: cost against the transmit power p_max, at which all devices transmit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.claims import learned_near_exact, ours_best_everywhere
from experiments.figure import (
    HYBRID,
    METHODS,
    RANDOM,
    Claim,
    Data,
    Figure,
    Setting,
    command,
    draw_over_settings,
    judge,
    tell,
)

POWERS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
SETTINGS = tuple(
    Setting(f"p_max={power:g}", power, "paper", (f"devices.tx_power=[{power}, {power}]",)) for power in POWERS
)


def draw(data: Data, path: Path) -> None:
    """Cost against the setting."""
    draw_over_settings(data, path, FIGURE.title, "transmit power p_max, W")


def verdict(data: Data) -> list[Claim]:
    """Falls, then flat; least at 0.4 W; flat from 0.8 W on; random does not change."""
    costs = {s["x"]: data.estimate(s["name"], HYBRID.name, "exact") for s in data.settings()}
    values = {x: float(data.scores(f"p_max={x:g}", HYBRID.name, "exact").mean()) for x in costs}
    best = min(values, key=lambda x: values[x])
    first = min(values)
    number = f"exact cost {tell(costs[first])} at {first:g} W, {tell(costs[best])} at {best:g} W"
    claims = [judge("The cost falls with p_max, then is flat.", values[first] > values[best], number)]
    near = [x for x in values if values[x] <= 1.002 * values[best]]
    verdict = "holds" if best == 0.4 else "depends" if 0.4 in near else "does not hold"
    number = f"least at {best:g} W; within 0.2 % of it: " + ", ".join(f"{x:g}" for x in near) + " W"
    claims.append(Claim("0.4 W is best.", verdict, number))
    change = values[1.0] / values[0.8] - 1.0
    claims.append(judge("Flat between 0.8 and 1 W.", abs(change) < 0.01, f"{change:+.2%}"))
    random = {x: float(np.median(data.scores(f"p_max={x:g}", RANDOM.name, "exact"))) for x in values}
    low, high = random[first] / random[1.0] - 1.0, random[0.2] / random[1.0] - 1.0
    number = f"median over traces against 1 W: {low:+.0%} at {first:g} W, {high:+.1%} at 0.2 W"
    verdict = "holds" if abs(low) < 0.02 else "depends"
    claims.append(Claim("Random is not affected by p_max.", verdict, number))
    return [*claims, ours_best_everywhere(data), *learned_near_exact(data)]


FIGURE = Figure(
    "5a", "Fig. 5a: transmit power of all devices", SETTINGS, METHODS, draw, verdict, trained=(0.01, 0.1, 0.4, 1.0)
)

if __name__ == "__main__":
    command(FIGURE)
