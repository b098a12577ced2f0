"""A part of a system on which something is found out before a policy decides anything."""

from __future__ import annotations

from meqc_marl.config import Scenario
from meqc_marl.physics.load import Pools

CALIBRATION_DEVICES = 30
"""A larger system is looked at on so many of its devices, with their part of the pools."""


def part_of(whole: Scenario, most: int = CALIBRATION_DEVICES) -> tuple[Scenario, float]:
    """The first devices of a scenario with their part of the pools, and how large that part is."""
    devices = min(whole.num_devices, most)
    share, pools = devices / whole.num_devices, Pools.of(whole)
    fields = whole.model_dump(mode="json")
    fields["num_devices"] = devices
    fields["resources"] |= {
        "band_hz": pools.band_hz * share,
        "server_hz": pools.server_hz * share,
        "qpu_tiles": max(1, round(pools.tiles * share)),
    }
    for weight in ("lambda_t", "lambda_e"):
        if isinstance(fields["devices"][weight], list):
            fields["devices"][weight] = fields["devices"][weight][:devices]
    return Scenario.model_validate(fields), share
