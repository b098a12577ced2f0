"""The fields of what actions cost: the device, the server's CPU and QPU, the cost of a slot and the virtual queues."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from meqc_marl.config.nature import FORMULA
from meqc_marl.config.qpus import filled
from meqc_marl.config.quantity import Part, choice, quantity

_CAPACITANCE = (1e-45, 1e-15, "with zeta from 2 to 4, milliwatts to kilowatts at clocks of GHz")
_POWER_LAW = (2.0, 4.0, "2 is power at a fixed voltage, 3 where the voltage follows the clock, measured up to 4")
_GATE_TIME = (1e-12, 1.0, "from a picosecond to the slowest atomic measurements")
_STEPS = (0.0, 1e6, "0 leaves the kind of step out; a million is far beyond any decomposition of a layer")
_GATE_POWER = (0.0, 1e3, "up to a kilowatt, a whole refrigerator for each")
_ERROR = (0.0, 0.5, "at a half a gate is a coin")
_REFERENCE = (1e-6, 1e6, "a unit; a million times finer or coarser than the usual")


class Local(Part):
    """Computing on the device (1)."""

    rho: float = quantity(5e-28, "W/Hz^zeta", "(1)", "switched capacitance of the device CPU", _CAPACITANCE)
    zeta: float = quantity(3.0, "", "(1)", "exponent of the CPU power", _POWER_LAW)


class Server(Part):
    """Computing on the server's CPU (3)-(4)."""

    rho: float = quantity(
        8e-29, "W/Hz^zeta", "(4), a server core of 10 W at 5 GHz", "switched capacitance", _CAPACITANCE
    )
    zeta: float = quantity(3.0, "", "(4)", "exponent of the CPU power", _POWER_LAW)


class Quantum(Part):
    """Computing on the server's QPU (5)-(7) and its admission (12c)-(12d)."""

    qpu: Literal["model", "ibm-eagle", "ibm-heron-r2", "ibm-heron-r3", "google-willow", "ionq-aria"] = choice(
        "model",
        "docs/circuits.md",
        "a machine by name: its gate times, error rates, qubits, gates and neighbours, for what is not given",
    )
    tau_1_s: float = quantity(25e-9, "s", "(5), Fellous-Asiani et al. 2022", "one-qubit gate time", _GATE_TIME)
    tau_2_s: float = quantity(100e-9, "s", "(5), Fellous-Asiani et al. 2022", "two-qubit gate time", _GATE_TIME)
    tau_m_s: float = quantity(100e-9, "s", "(5), Fellous-Asiani et al. 2022", "measurement time", _GATE_TIME)
    steps_1: float = quantity(2.0, "", "(5)", "one-qubit steps N1 in a logical layer", _STEPS)
    steps_2: float = quantity(8.0, "", "(5)", "two-qubit steps N2 in a logical layer", _STEPS)
    steps_m: float = quantity(2.0, "", "(5)", "measurement steps NM in a logical layer", _STEPS)
    power_1_w: float = quantity(
        0.2e-3, "W", "(6), Fellous-Asiani et al. 2022", "power of a one-qubit gate", _GATE_POWER
    )
    power_2_w: float = quantity(
        0.2e-3, "W", "(6), Fellous-Asiani et al. 2022", "power of a two-qubit gate", _GATE_POWER
    )
    power_m_w: float = quantity(0.4e-3, "W", "(6), Fellous-Asiani et al. 2022", "power of a measurement", _GATE_POWER)
    power_qubit_w: float = quantity(
        2e-3, "W", "(6), Fellous-Asiani et al. 2022", "power of a physical qubit", _GATE_POWER
    )
    physical_per_logical: float = quantity(
        7.0,
        *("", "Steane code, level 1", "physical qubits Q of a logical one"),
        (1.0, 1e6, "1 is no code; level 5 of the Steane code takes 16,807"),
    )
    error_threshold: float = quantity(
        2e-5, "", "(7)", "threshold of the error correction", (1e-6, 0.5, "known codes have 1e-6 to 0.11")
    )
    error_rate: float = quantity(2e-6, "", "(7)", "error probability of a physical gate", _ERROR)
    error_rate_1: float | None = quantity(
        None, "", "error_rate unless given", "the same of a gate on one qubit, where gates are counted", _ERROR
    )
    error_rate_m: float | None = quantity(
        None, "", "error_rate unless given", "the same of a measurement, where gates are counted", _ERROR
    )
    concatenation: int = quantity(
        1,
        *("", "(7)", "level k0 of concatenation"),
        (0, 5, "at level 5 of the Steane code a logical qubit takes 16,807 physical ones"),
    )
    min_success: float = quantity(2 / 3, "", "(12c)", "least success probability admitted", (0.0, 1.0, "a probability"))
    qubits_counted: float = quantity(
        1.0,
        *("", "(12d) counts 1; 7 is physical", "leased qubits a logical one takes"),
        (1.0, 1e6, "itself, or as many physical ones as its code takes"),
    )
    success: FORMULA = choice("corrected", "(7)", "prefactor: error_threshold, or error_rate as printed")
    circuit: FORMULA = choice(
        "corrected", "(5)-(6)", "literal: qubits for depth, no time in the energy, transmit power while computing"
    )

    @model_validator(mode="before")
    @classmethod
    def _what_the_qpu_says(cls, fields: Any) -> Any:
        return filled(fields, fields.get("qpu"), "quantum") if isinstance(fields, dict) else fields


class Cost(Part):
    """Latency, energy and cost of a slot (11)."""

    latency: Literal["parallel", "sequential", "literal"] = choice(
        "parallel", "(11)", "the two parts of a task run at once, in turn, or with shares squared as printed"
    )
    min_fraction: float = quantity(
        0.01, "", "(8)", "least share sent by a remote mode", (1e-6, 1.0, "a share; sending nothing is the local mode")
    )
    latency_ref_s: float = quantity(1.0, "s", "unit of (11)", "latency that costs lambda_t", _REFERENCE)
    energy_ref_j: float = quantity(1.0, "J", "unit of (11)", "energy that costs lambda_e", _REFERENCE)
    deadline: Literal["kept", "penalty"] = choice(
        "kept", "(12b)", "no action misses a deadline that some action meets; or any may, at a penalty"
    )
    deadline_penalty: float = quantity(
        20.0,
        *("cost", "(12b)", "cost of a miss in the reward, with deadline = penalty"),
        (0.0, 1e9, "far above any cost of a slot nothing else counts"),
    )

    @property
    def miss_penalty(self) -> float:
        """What a missed deadline costs in the reward: nothing with deadlines kept, where only those are missed that
        no action meets."""
        return self.deadline_penalty if self.deadline == "penalty" else 0.0


class Lyapunov(Part):
    """Virtual queues and the drift-plus-penalty objective (13)-(18)."""

    v: float = quantity(
        1.0,
        *("", "(16)", "weight V of the cost against the backlog"),
        (1e-6, 1e6, "further out either the backlog or the cost has no say"),
    )
    delta: float = quantity(
        0.7, "", "(10)", "least time-average offloading fraction Delta of every device", (0.0, 1.0, "a share")
    )
    queue: Literal["neely", "literal"] = choice(
        "neely", "(13)", "growth Delta - phi, or Delta 1[phi = 0] - phi as printed, which does not enforce (10)"
    )
    sign: FORMULA = choice("corrected", "(16), (18)", "+V C minimised, or -V C as printed, which maximises C")
    reward: Literal["own", "team", "difference"] = choice(
        "own",
        "Wolpert and Tumer, Adv. Complex Syst. 4, 265 (2001)",
        "a device is paid by its own objective, by the mean of all, or by what it adds to that of all",
    )
    discount: float | None = quantity(
        *(None, "", "Bradtke and Barto, Machine Learning 22, 33 (1996); 0.9 unless given"),
        "where anything is queued: discount of what later slots lose by the work of this one; 1: average reward",
        (0.0, 1.0, "from the slot alone to all to come"),
    )
