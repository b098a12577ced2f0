"""Every number of the system model, validated, with its unit, its source and its bounds.

The defaults are the corrected model (preset ``paper``). Where the paper prints a formula that cannot be meant, the
corrected form is the default and the printed one is the option value ``"literal"``.

Source of the equation and section numbers: Ye, Gao, Xiao, Xu, Yu, Niyato, "Cost-Effective Task Offloading Scheduling
for Hybrid Mobile Edge-Quantum Computing", arXiv 2306.14588.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from meqc_marl.config.nature import FORMULA, MEGABYTE_BITS, Channel, Devices, Mobility, Tasks
from meqc_marl.config.pricing import Cost, Local, Lyapunov, Quantum, Server
from meqc_marl.config.qpus import filled
from meqc_marl.config.quantity import Part, choice, quantity
from meqc_marl.config.resources import Resources

__all__ = [
    "FORMULA",
    "MEGABYTE_BITS",
    "Channel",
    "Cost",
    "Devices",
    "Local",
    "Lyapunov",
    "Mobility",
    "Part",
    "Quantum",
    "Resources",
    "Scenario",
    "Server",
    "Tasks",
]


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("it must be of printable characters")
    return name


class Scenario(Part):
    """A complete system: who is there, where tasks can run, what it costs and what is asked in the long run."""

    name: Annotated[str, AfterValidator(_printable)] = choice("paper", "", "name, for reports", max_length=100)
    num_devices: int = quantity(15, "", "VI-A", "mobile devices M", (1, 1_000_000, "a cell of a megacity"))
    horizon: int = quantity(
        500, "slot", "VI-B", "slots of an episode T", (1, 10_000_000, "four months of slots of a second")
    )
    slot_s: float = quantity(
        *(1.0, "s", "VI-A", "duration of a slot: of movement, and of what a queued server or QPU does in it"),
        (1e-3, 3600.0, "a radio frame to an hour"),
    )
    observation: Literal["sufficient", "paper"] = choice(
        "sufficient",
        "",
        "what a device sees: the costs of its choices, in company and beside the paper's columns where devices share, "
        "or the paper's columns of task and equipment alone",
    )
    devices: Devices = Devices()
    mobility: Mobility = Mobility()
    channel: Channel = Channel()
    tasks: Tasks = Tasks()
    local: Local = Local()
    server: Server = Server()
    quantum: Quantum = Quantum()
    resources: Resources = Resources()
    cost: Cost = Cost()
    lyapunov: Lyapunov = Lyapunov()

    @model_validator(mode="after")
    def _one_weight_per_device(self) -> Scenario:
        for field in ("lambda_t", "lambda_e"):
            weight = getattr(self.devices, field)
            if isinstance(weight, tuple) and len(weight) != self.num_devices:
                raise ValueError(
                    f"devices.{field} has {len(weight)} values; it must be one number or one for each of the "
                    f"{self.num_devices} devices"
                )
        return self

    @model_validator(mode="before")
    @classmethod
    def _misses_of_those_who_share_are_penalised(cls, fields: Any) -> Any:
        """Where anything is shared a miss is penalised unless the scenario says otherwise, which is refused below."""
        if isinstance(fields, dict):
            resources, cost = fields.get("resources"), fields.get("cost", {})
            if isinstance(resources, Resources):
                resources = resources.model_dump()
            if isinstance(resources, dict) and isinstance(cost, dict) and _share(resources):
                return fields | {"cost": {"deadline": "penalty"} | cost}
        return fields

    @model_validator(mode="before")
    @classmethod
    def _what_the_qpu_says_of_others(cls, fields: Any) -> Any:
        """A QPU by name also sets what is leased of it and what circuits are transpiled to."""
        if not isinstance(fields, dict):
            return fields
        quantum = fields.get("quantum")
        name = quantum.get("qpu") if isinstance(quantum, dict) else getattr(quantum, "qpu", None)
        parts = {part: filled(fields.get(part, {}), name, part) for part in ("devices", "tasks")}
        return fields | {part: given for part, given in parts.items() if given}

    @model_validator(mode="after")
    def _those_who_share_have_an_optimum(self) -> Scenario:
        if self.resources.pooled and self.lyapunov.sign == "literal":
            raise ValueError(
                "lyapunov.sign is 'literal'; with pooled or queued resources it must be 'corrected': the printed sign "
                "maximises the cost, and devices that share would be best off in each other's way"
            )
        if self.resources.pooled and self.cost.deadline == "kept":
            raise ValueError(
                "cost.deadline is 'kept'; with pooled or queued resources it must be 'penalty': whether a deadline "
                "can be met depends on what the others do"
            )
        return self


def _share(resources: dict[str, Any]) -> bool:
    return any(resources.get(part) in ("pooled", "queued") for part in ("band", "server", "qpu"))
