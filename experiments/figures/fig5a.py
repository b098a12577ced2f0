"""Figure 5a: cost against the transmit power p_max, at which all devices transmit."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.claims import learned_near_exact, ours_best_everywhere
from experiments.figures.data import Claim, Data, between, judge, relative, tell
from experiments.figures.draw import draw_over_settings
from experiments.figures.figure import Figure, Setting
from experiments.figures.methods import HYBRID, METHODS, RANDOM

_FLAT = 0.02
POWERS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
SETTINGS = tuple(
    Setting(f"p_max={power:g}", power, "paper", (f"devices.tx_power=[{power}, {power}]",)) for power in POWERS
)


def draw(data: Data, path: Path) -> None:
    """Cost against the setting."""
    draw_over_settings(data, path, FIGURE.title, "transmit power p_max, W", "log")


def verdict(data: Data) -> list[Claim]:
    """Falls, then flat; least at 0.4 W; flat from 0.8 W on; random does not change."""
    names = {s["x"]: s["name"] for s in data.settings()}
    first, last = min(names), max(names)
    costs = {x: data.estimate(name, HYBRID.name, "exact").value for x, name in names.items()}
    best = min(costs, key=lambda x: costs[x])
    falls = between(data, names[best], names[first])
    rises = relative(data, names[best], names[last])
    number = f"exact: {first:g} W costs {tell(falls, '+.2f')} more than {best:g} W, the best"
    number += f"; {last:g} W {tell(rises, '+.1%')}"
    claims = [judge("The cost falls with p_max, then is flat.", falls.least > 0 and rises.value < _FLAT, number)]
    over = {x: between(data, names[0.4], name) for x, name in names.items() if x != 0.4}
    nearest = min(over, key=lambda x: over[x].value)
    verdict = "holds" if over[nearest].least > 0 else "depends" if over[nearest].greatest > 0 else "does not hold"
    number = f"exact: the next, {nearest:g} W, costs {tell(over[nearest], '+.3f')} more"
    reason = "" if verdict == "holds" else f"{nearest:g} W costs {'as little' if verdict == 'depends' else 'less'}"
    claims.append(Claim("0.4 W is best.", verdict, number, reason))
    change = relative(data, names[0.8], names[1.0])
    claims.append(judge("Flat between 0.8 and 1 W.", abs(change.value) < 0.01, f"exact: {tell(change, '+.2%')}"))
    low, high = (relative(data, names[1.0], names[x], RANDOM.name) for x in (first, 0.2))
    number = f"against 1 W {tell(low, '+.1%')} at {first:g} W, {tell(high, '+.1%')} at 0.2 W"
    is_flat = [abs(part.value) < _FLAT for part in (low, high)]
    verdict = "holds" if all(is_flat) else "depends" if is_flat[1] else "does not hold"
    reason = "" if all(is_flat) else "random transmits too: below 0.2 W its uploads take long"
    claims.append(Claim("Random is not affected by p_max.", verdict, number, reason))
    return [*claims, ours_best_everywhere(data), *learned_near_exact(data)]


FIGURE = Figure(
    "5a", "Fig. 5a: transmit power of all devices", SETTINGS, METHODS, draw, verdict, trained=(0.01, 0.1, 0.4, 1.0)
)
