"""What the devices lease, each for itself, what they share in a slot, and what they queue for."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from meqc_marl.config.quantity import Part, choice, part_name, quantity
from meqc_marl.registry import check_name

Sharing = Literal["leased", "pooled"]
Serving = Literal["leased", "pooled", "queued"]
_FIFTEEN = "for 15 devices, and in proportion for others, unless given"


class Resources(Part):
    """Leases and pools: a pool is divided among the devices that use it in a slot.

    A queued server or QPU is a pool that carries over what it does not finish within ``slot_s``.
    """

    band: Sharing = choice("leased", "III-B2, licensed", "uplink band: one each, or a pool in equal parts")
    server: Serving = choice(
        "leased",
        "III-B2",
        "server CPU: a share each, a pool in equal parts, or one whose work waits for later slots",
    )
    qpu: Serving = choice(
        "leased",
        "III-B2",
        "QPU: as if alone, shared tiles, or tiles whose work waits; admission is per device",
    )
    band_hz: float | None = quantity(
        None, "Hz", f"0.5 GHz {_FIFTEEN}", "pooled band of all devices", (1e3, 1e15, "a narrow channel to a city's")
    )
    server_hz: float | None = quantity(
        None,
        "Hz",
        f"15 GHz {_FIFTEEN}",
        "pooled server CPU of all devices",
        (1e6, 1e18, "a microcontroller to exascale"),
    )
    core_hz: float = quantity(
        *(5e9, "Hz", "mid-range of f0", "frequency of the pooled server's cores, which sets their energy"),
        (1e6, 1e12, "a microcontroller to a hundred fast cores"),
    )
    qpu_tiles: int | None = quantity(
        *(None, "", f"2 {_FIFTEEN}; a whole number", "tasks that the pooled QPU runs at full speed"),
        (1, 1_000_000, "one, or one for each device of a megacity"),
    )
    allocation: Annotated[str, AfterValidator(partial(check_name, "allocation"))] = part_name(
        *("allocation", "equal", "III-B2"), "what each of those who use a pool gets of it"
    )
    fraction: Literal["granted", "literal"] = choice(
        "granted",
        "modes first, then shares",
        "what an action's fraction is where anything is shared: a place between the least and the largest share that "
        "meets the deadline with what was granted, or the share itself",
    )
    broadcast: Literal["nothing", "counts"] = choice(
        "nothing",
        "",
        "what the access point tells all devices before a slot: how many used the server CPU and the QPU in the last "
        "one, in columns of the observation",
    )

    @model_validator(mode="after")
    def _nothing_to_allocate(self) -> Resources:
        if self.allocation != "equal" and not self.pooled:
            raise ValueError(
                f"resources.allocation is {self.allocation!r}; with nothing pooled it must be 'equal': what is leased "
                "is not divided"
            )
        if self.allocation != "equal" and self.queued:
            raise ValueError(
                f"resources.allocation is {self.allocation!r}; with a queued server or QPU it must be 'equal': a queue "
                "is worked off in equal parts"
            )
        return self

    @model_validator(mode="after")
    def _nothing_to_broadcast(self) -> Resources:
        if self.broadcast != "nothing" and not self.pooled:
            raise ValueError(
                f"resources.broadcast is {self.broadcast!r}; with nothing pooled or queued it must be 'nothing': no "
                "device is concerned by how many others there are"
            )
        return self

    @property
    def pooled(self) -> bool:
        """Whether what a device gets depends on what others do."""
        return not {"pooled", "queued"}.isdisjoint((self.band, self.server, self.qpu))

    @property
    def queued(self) -> bool:
        """Whether work is carried over into the next slot."""
        return "queued" in (self.server, self.qpu)
