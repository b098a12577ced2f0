"""The fields of what no action changes: devices, mobility, channel and tasks."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from meqc_marl.circuits import BASIS, target
from meqc_marl.config.circuits import PROTEINS, Circuit, built, check_basis
from meqc_marl.config.quantity import Choices, Pair, Part, PerDevice, choice, part_name, quantity
from meqc_marl.registry import check_name

MEGABYTE_BITS = 8e6
FORMULA = Literal["corrected", "literal"]

_CLOCK = (1e6, 1e12, "from a microcontroller to a hundred fast cores taken as one")
_SHARE = (0.0, 1.0, "a share")
_TIME_SIMULATED = (1e-9, 1.0, "from a nanosecond, less than any folding, to a second, beyond any simulation")
_RESIDUES = (7, 5000, "7 residues are the least with an interaction qubit; few proteins pass 5,000")
_LEAST_POWER_W, _MOST_POWER_W = 1e-6, 100.0


class Devices(Part):
    """Equipment of the mobile devices, drawn at every reset and fixed for the episode."""

    cpu_hz: Choices = quantity((1e9, 2e9, 3e9), "Hz", "VI-A", "device CPU frequency f, one of", _CLOCK)
    tx_power: Pair[float] = quantity(
        (0.01, 0.2),
        "tx_power_unit",
        "VI-A",
        "transmit power p, uniform in",
        (-30.0, 100.0, "from a sensor to a base station"),
        allowed="1e-6 to 100 W, or -30 to 50 dBm",
    )
    tx_power_unit: Literal["W", "dBm"] = choice("W", "VI-A prints dBm, W is meant", "unit of tx_power")
    server_cpu_hz: Choices = quantity(
        (4e9, 5e9, 6e9),
        *("Hz", "III-B2", "leased server CPU frequency f0, one of"),
        (1e6, 1e13, "from a microcontroller to a thousand fast cores taken as one"),
    )
    leased_qubits: Pair[int] = quantity(
        (1000, 5000),
        *("qubit", "VI-A", "leased qubits o^C, uniform integer in"),
        (1, 1_000_000_000, "a thousand times the largest machines that are planned"),
    )
    lambda_t: PerDevice = quantity(
        0.5, "", "(11)", "weight of latency in the cost, one number or one per device", _SHARE
    )
    lambda_e: PerDevice | None = quantity(None, "", "(11)", "weight of energy; 1 - lambda_t if not given", _SHARE)

    @model_validator(mode="after")
    def _something_costs(self) -> Devices:
        if not np.any(self.lambda_t) and self.lambda_e is not None and not np.any(self.lambda_e):
            raise ValueError("devices.lambda_t and devices.lambda_e are 0 for all devices; one must be above 0")
        return self

    @model_validator(mode="after")
    def _power_in_its_unit(self) -> Devices:
        low, high = self.tx_power
        least, most = (_LEAST_POWER_W, _MOST_POWER_W) if self.tx_power_unit == "W" else (-30.0, 50.0)
        if low < least or high > most:
            raise ValueError(
                f"devices.tx_power is {list(self.tx_power)} {self.tx_power_unit}; "
                f"it must be from {least:g} to {most:g} {self.tx_power_unit}"
            )
        return self


class Mobility(Part):
    """Gauss-Markov mobility (20)-(21) in a disc round the access point."""

    kind: Annotated[str, AfterValidator(partial(check_name, "mobility"))] = part_name(
        "mobility", "gauss-markov", "VI-A", "how devices move"
    )
    radius_m: float = quantity(
        50.0, "m", "VI-A", "radius of the disc", (1.0, 1e5, "from a desk to the largest rural cells")
    )
    memory: float = quantity(0.8, "", "(20), Camp et al. 2002", "memory delta of speed and direction", _SHARE)
    mean_speed_m_s: Pair[float] = quantity(
        (3.0, 5.0), "m/s", "VI-A footnote 1", "mean speed, uniform in", (0.0, 1000.0, "up to a fast aeroplane")
    )
    speed_std_m_s: float = quantity(
        1.0, "m/s", "(20)", "stationary standard deviation of the speed", (0.0, 100.0, "a tenth of the largest speed")
    )
    direction_std_rad: float = quantity(
        1.0,
        *("rad", "(20)", "stationary standard deviation of the direction"),
        (0.0, 2.0 * math.pi, "beyond a full turn all directions are alike"),
    )
    turn_rad: float = quantity(
        0.7853981633974483,
        *("rad", "Camp et al. 2002", "at the edge: towards the centre within +- this angle"),
        (0.0, math.pi, "half a turn to either side is every direction"),
    )
    edge: Literal["clip", "reflect"] = choice(
        "clip",
        "Camp et al. 2002",
        "who would leave: waits on the edge for the next slot (clip), or turns there and walks the rest (reflect)",
    )
    innovation: FORMULA = choice(
        "corrected", "(20)", "factor of the innovation: sqrt(1 - memory^2), or 1 - memory^2 as printed"
    )


class Channel(Part):
    """Sub-terahertz uplink with path loss, shadowing and Rician fading; rate (2); acknowledgement (3)."""

    carrier_hz: float = quantity(
        140e9, "Hz", "VI-A refs [35], [36]", "carrier frequency", (1e8, 1e13, "from broadcast radio to 10 THz")
    )
    path_loss_exponent: float = quantity(
        2.0,
        *("", "free space", "gain falls as distance to this power"),
        (1.0, 6.0, "1.6 in corridors, 2 in free space, up to 6 in obstructed buildings"),
    )
    min_distance_m: float = quantity(
        1.0, "m", "reference distance", "least distance to the access point", (0.1, 1e5, "an arm's length or more")
    )
    shadowing_db: float = quantity(
        3.0,
        *("dB", "III-B2", "standard deviation of log-normal shadowing"),
        (0.0, 20.0, "measured values are 3 to 12 dB"),
    )
    fading: Annotated[str, AfterValidator(partial(check_name, "fading"))] = part_name(
        "fading", "rician", "III-B2", "how the power of a slot varies about its mean"
    )
    rician_k: float = quantity(
        5.0,
        *("", "III-B2", "Rician factor, linear"),
        (0.0, 1e6, "0 is Rayleigh fading; at 60 dB nothing is scattered any more"),
    )
    noise_dbm_hz: float = quantity(
        -174.0,
        *("dBm/Hz", "thermal noise at 290 K", "noise density"),
        (-210.0, -80.0, "from far below the noise of 1 K (-199) to strong interference"),
    )
    noise_figure_db: float = quantity(
        0.0,
        *("dB", "ideal receiver", "noise figure of the access point"),
        (0.0, 40.0, "sub-terahertz receivers have 5 to 20 dB"),
    )
    bandwidth_hz: float = quantity(
        1e8, "Hz", "VI-A", "licensed band B of a device", (1e3, 1e12, "from a narrow-band sensor to a terahertz")
    )
    ack_bits: float = quantity(
        1e6, "bit", "III-B2", "size of the result sent back", (0.0, 1e12, "up to 125 GB, a whole trajectory")
    )
    ack_rate_bit_s: float = quantity(
        1e8, "bit/s", "III-B2, constant rate", "downlink rate of the result", (1e3, 1e13, "from a sensor to 10 Tb/s")
    )
    rx_power_w: float = quantity(
        0.05, "W", "typical receiver", "receive power of a device", (0.0, 100.0, "no more than the largest transmitter")
    )
    ack: FORMULA = choice("corrected", "(3)-(6)", "literal: at the uplink rate, device pays transmit power")


class Tasks(Part):
    """Protein-folding tasks (Section V-D); qubits and depth after Robert et al., npj Quantum Inf. 7, 38 (2021)."""

    source: Annotated[str, AfterValidator(partial(check_name, "tasks"))] = part_name(
        "tasks",
        *("uniform", "V-D; Lindorff-Larsen et al., Science 334, 517 (2011)", "where residues and times come from"),
    )
    residues: Pair[int] = quantity(
        (30, 90), "amino acid", "V-D", "length N of the protein, uniform integer in", _RESIDUES
    )
    simulated_time_s: Pair[float] = quantity((1e-4, 1e-3), "s", "V-D", "simulated time, uniform in", _TIME_SIMULATED)
    data_bits: Pair[float] = quantity(
        (160 * MEGABYTE_BITS, 320 * MEGABYTE_BITS),
        *("bit", "VI-A, 160-320 MB", "task data d, uniform in"),
        (1.0, 1e15, "from a bit to 125 TB, the largest trajectories"),
    )
    deadline_s: Pair[float] = quantity(
        (8.0, 40.0), "s", "(12b)", "deadline t_max, uniform in", (1e-3, 1e6, "from a millisecond to 12 days")
    )
    cycles_per_bit: float = quantity(
        8.0,
        *("cycle/bit", "V-D", "CPU cycles per bit q of the reference task"),
        (1e-3, 1e6, "from copying by whole cache lines to exhaustive search"),
    )
    reference_residues: float = quantity(
        60.0, "amino acid", "V-D, mid-range", "length of the reference task", _RESIDUES
    )
    reference_time_s: float = quantity(
        550e-6, "s", "V-D, mid-range", "simulated time of the reference task", _TIME_SIMULATED
    )
    circuit_reps: int = quantity(
        1,
        *("", "Robert et al., RealAmplitudes", "repetitions of the ansatz"),
        (1, 100, "published circuits repeat it 1 to 10 times"),
    )
    circuit_basis: Annotated[tuple[str, ...], Field(min_length=1, max_length=50), AfterValidator(check_basis)] = choice(
        BASIS,
        *("Qiskit's names", "gates that circuits are transpiled to; with sx or rxx in it, rz takes no time"),
        allowed="names of gates",
    )
    circuit_map: Literal["all", "line", "ring", "grid", "heavy-hex"] = choice(
        "all", "", "qubits that are neighbours, of the smallest such map that holds the circuit"
    )
    circuit_level: int = quantity(1, "", "Qiskit", "how hard the transpiler tries", (0, 3, "the levels it has"))
    circuits: Annotated[tuple[Circuit, ...], Field(min_length=1, max_length=1000)] = choice(
        PROTEINS,
        "docs/circuits.md",
        "circuits of the tasks with source = circuits, each as likely (qubits, depth, gates on one + on two qubits)",
        allowed="their numbers, or FILE.qasm, family:size",
    )

    @field_validator("circuits", mode="before")
    @classmethod
    def _built(cls, value: Any, info: ValidationInfo) -> Any:
        seen = info.data
        if {"circuit_basis", "circuit_map", "circuit_level"} <= set(seen):  # else one of them is refused
            return built(value, seen["circuit_basis"], seen["circuit_map"], seen["circuit_level"])
        return PROTEINS

    @model_validator(mode="after")
    def _counted_for_what_it_says(self) -> Tasks:
        wanted = target(self.circuit_basis, self.circuit_map, self.circuit_level)
        for one in self.circuits if self.source == "circuits" else ():
            if one.target and one.target != wanted:
                raise ValueError(
                    f"tasks.circuits holds {one.built!r} as counted for '{one.target}', and tasks.circuit_basis, "
                    f"circuit_map and circuit_level are '{wanted}'; tasks.circuits must be given as texts to count anew"
                )
        return self
