"""Every number of the system model, validated, with its unit and its source.

The defaults are the corrected model (preset ``paper``). Where the paper prints a formula that cannot be meant, the
corrected form is the default and the printed one is the option value ``"literal"``.

Source of the equation and section numbers: Ye, Gao, Xiao, Xu, Yu, Niyato, "Cost-Effective Task Offloading Scheduling
for Hybrid Mobile Edge-Quantum Computing", arXiv 2306.14588.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MEGABYTE_BITS = 8e6
FORMULA = Literal["corrected", "literal"]


def _ordered(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    if pair[0] > pair[1]:
        raise ValueError("its lower end must not exceed its upper end")
    return pair


def _quantity(default: Any, unit: str, source: str, meaning: str, **limits: Any) -> Any:
    """A field with a unit and a source, both of which ``meqc-marl scenario show`` prints."""
    return Field(default, description=meaning, json_schema_extra={"unit": unit, "source": source}, **limits)


Positive = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
CountRange = Annotated[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], AfterValidator(_ordered)]
# Seven residues are the least with an interaction qubit.
FoldableRange = Annotated[tuple[Annotated[int, Field(ge=7)], Annotated[int, Field(ge=7)]], AfterValidator(_ordered)]
Choices = Annotated[tuple[Positive, ...], Field(min_length=1)]
PerDevice = Probability | Annotated[tuple[Probability, ...], Field(min_length=1)]


class Part(BaseModel):
    """Base of all parts: immutable, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class Devices(Part):
    """Equipment of the mobile devices, drawn at every reset and fixed for the episode."""

    cpu_hz: Choices = _quantity((1e9, 2e9, 3e9), "Hz", "VI-A", "device CPU frequency f, one of")
    tx_power: Annotated[tuple[float, float], AfterValidator(_ordered)] = _quantity(
        (0.01, 0.2), "tx_power_unit", "VI-A", "transmit power p, uniform in"
    )
    tx_power_unit: Literal["W", "dBm"] = _quantity("W", "", "VI-A prints dBm, W is meant", "unit of tx_power")
    server_cpu_hz: Choices = _quantity((4e9, 5e9, 6e9), "Hz", "III-B2", "leased server CPU frequency f0, one of")
    leased_qubits: CountRange = _quantity((1000, 5000), "qubit", "VI-A", "leased qubits o^C, uniform integer in")
    lambda_t: PerDevice = _quantity(0.5, "", "(11)", "weight of latency in the cost, one number or one per device")
    lambda_e: PerDevice | None = _quantity(None, "", "(11)", "weight of energy; 1 - lambda_t if not given")

    @model_validator(mode="after")
    def _power_is_positive(self) -> Devices:
        if self.tx_power_unit == "W" and self.tx_power[0] <= 0:
            raise ValueError(f"devices.tx_power is {list(self.tx_power)} W; its lower end must be above 0 W")
        return self


class Mobility(Part):
    """Gauss-Markov mobility (20)-(21) in a disc round the access point."""

    kind: Literal["gauss-markov", "static"] = _quantity("gauss-markov", "", "VI-A", "how devices move")
    radius_m: Positive = _quantity(50.0, "m", "VI-A", "radius of the disc")
    memory: Probability = _quantity(0.8, "", "(20), Camp et al. 2002", "memory delta of speed and direction")
    mean_speed_m_s: PositiveRange = _quantity((3.0, 5.0), "m/s", "VI-A footnote 1", "mean speed, uniform in")
    speed_std_m_s: float = _quantity(1.0, "m/s", "(20)", "stationary standard deviation of the speed", ge=0)
    direction_std_rad: float = _quantity(1.0, "rad", "(20)", "stationary standard deviation of the direction", ge=0)
    turn_rad: float = _quantity(
        0.7853981633974483, "rad", "Camp et al. 2002", "at the edge: towards the centre within +- this angle", ge=0
    )
    innovation: FORMULA = _quantity(
        "corrected", "", "(20)", "factor of the innovation: sqrt(1 - memory^2), or 1 - memory^2 as printed"
    )


class Channel(Part):
    """Sub-terahertz uplink with path loss, shadowing and Rician fading; rate (2); acknowledgement (3)."""

    carrier_hz: Positive = _quantity(140e9, "Hz", "VI-A refs [35], [36]", "carrier frequency")
    path_loss_exponent: Positive = _quantity(2.0, "", "free space", "gain falls as distance to this power")
    min_distance_m: Positive = _quantity(1.0, "m", "reference distance", "least distance to the access point")
    shadowing_db: float = _quantity(3.0, "dB", "III-B2", "standard deviation of log-normal shadowing", ge=0)
    rician_k: float = _quantity(5.0, "", "III-B2", "Rician factor, linear", ge=0)
    noise_dbm_hz: float = _quantity(-174.0, "dBm/Hz", "thermal noise at 290 K", "noise density")
    noise_figure_db: float = _quantity(0.0, "dB", "ideal receiver", "noise figure of the access point", ge=0)
    bandwidth_hz: Positive = _quantity(1e8, "Hz", "VI-A", "licensed band B of a device")
    ack_bits: float = _quantity(1e6, "bit", "III-B2", "size of the result sent back", ge=0)
    ack_rate_bit_s: Positive = _quantity(1e8, "bit/s", "III-B2, constant rate", "downlink rate of the result")
    rx_power_w: float = _quantity(0.05, "W", "typical receiver", "receive power of a device", ge=0)
    ack: FORMULA = _quantity("corrected", "", "(3)-(6)", "literal: at the uplink rate, device pays transmit power")


class Tasks(Part):
    """Protein-folding tasks (Section V-D); qubits and depth after Robert et al., npj Quantum Inf. 7, 38 (2021)."""

    source: Literal["uniform", "fast-folders"] = _quantity(
        "uniform", "", "V-D; Lindorff-Larsen et al., Science 334, 517 (2011)", "where residues and times come from"
    )
    residues: FoldableRange = _quantity((30, 90), "amino acid", "V-D", "length N of the protein, uniform integer in")
    simulated_time_s: PositiveRange = _quantity((1e-4, 1e-3), "s", "V-D", "simulated time, uniform in")
    data_bits: PositiveRange = _quantity(
        (160 * MEGABYTE_BITS, 320 * MEGABYTE_BITS), "bit", "VI-A, 160-320 MB", "task data d, uniform in"
    )
    deadline_s: PositiveRange = _quantity((8.0, 40.0), "s", "(12b)", "deadline t_max, uniform in")
    cycles_per_bit: Positive = _quantity(8.0, "cycle/bit", "V-D", "CPU cycles per bit q of the reference task")
    reference_residues: Positive = _quantity(60.0, "amino acid", "V-D, mid-range", "length of the reference task")
    reference_time_s: Positive = _quantity(550e-6, "s", "V-D, mid-range", "simulated time of the reference task")
    circuit_reps: int = _quantity(1, "", "Robert et al., RealAmplitudes", "repetitions of the ansatz", ge=1)


class Local(Part):
    """Computing on the device (1)."""

    rho: Positive = _quantity(5e-28, "W/Hz^zeta", "(1)", "switched capacitance of the device CPU")
    zeta: float = _quantity(3.0, "", "(1)", "exponent of the CPU power", ge=2)


class Server(Part):
    """Computing on the server's CPU (3)-(4)."""

    rho: Positive = _quantity(8e-29, "W/Hz^zeta", "(4), a server core of 10 W at 5 GHz", "switched capacitance")
    zeta: float = _quantity(3.0, "", "(4)", "exponent of the CPU power", ge=2)


class Quantum(Part):
    """Computing on the server's QPU (5)-(7) and its admission (12c)-(12d)."""

    tau_1_s: Positive = _quantity(25e-9, "s", "(5), Fellous-Asiani et al. 2022", "one-qubit gate time")
    tau_2_s: Positive = _quantity(100e-9, "s", "(5), Fellous-Asiani et al. 2022", "two-qubit gate time")
    tau_m_s: Positive = _quantity(100e-9, "s", "(5), Fellous-Asiani et al. 2022", "measurement time")
    steps_1: float = _quantity(2.0, "", "(5)", "one-qubit steps N1 in a logical layer", ge=0)
    steps_2: float = _quantity(8.0, "", "(5)", "two-qubit steps N2 in a logical layer", ge=0)
    steps_m: float = _quantity(2.0, "", "(5)", "measurement steps NM in a logical layer", ge=0)
    power_1_w: float = _quantity(0.2e-3, "W", "(6), Fellous-Asiani et al. 2022", "power of a one-qubit gate", ge=0)
    power_2_w: float = _quantity(0.2e-3, "W", "(6), Fellous-Asiani et al. 2022", "power of a two-qubit gate", ge=0)
    power_m_w: float = _quantity(0.4e-3, "W", "(6), Fellous-Asiani et al. 2022", "power of a measurement", ge=0)
    power_qubit_w: float = _quantity(2e-3, "W", "(6), Fellous-Asiani et al. 2022", "power of a physical qubit", ge=0)
    physical_per_logical: Positive = _quantity(7.0, "", "Steane code, level 1", "physical qubits Q of a logical one")
    error_threshold: Positive = _quantity(2e-5, "", "(7)", "threshold of the error correction")
    error_rate: float = _quantity(2e-6, "", "(7)", "error probability of a physical gate", ge=0)
    concatenation: int = _quantity(1, "", "(7)", "level k0 of concatenation", ge=0)
    min_success: Probability = _quantity(2 / 3, "", "(12c)", "least success probability admitted")
    qubits_counted: Positive = _quantity(1.0, "", "(12d) counts 1; 7 is physical", "leased qubits a logical one takes")
    success: FORMULA = _quantity("corrected", "", "(7)", "prefactor: error_threshold, or error_rate as printed")
    circuit: FORMULA = _quantity(
        "corrected", "", "(5)-(6)", "literal: qubits for depth, no time in the energy, transmit power while computing"
    )


class Cost(Part):
    """Latency, energy and cost of a slot (11)."""

    latency: Literal["parallel", "sequential", "literal"] = _quantity(
        "parallel", "", "(11)", "the two parts of a task run at once, in turn, or with shares squared as printed"
    )
    min_fraction: Annotated[float, Field(gt=0, le=1)] = _quantity(0.01, "", "(8)", "least share sent by a remote mode")
    latency_ref_s: Positive = _quantity(1.0, "s", "unit of (11)", "latency that costs lambda_t")
    energy_ref_j: Positive = _quantity(1.0, "J", "unit of (11)", "energy that costs lambda_e")
    deadline_penalty: float = _quantity(20.0, "cost", "(12b)", "cost of a deadline miss, in the reward only", ge=0)


class Lyapunov(Part):
    """Virtual queues and the drift-plus-penalty objective (13)-(18)."""

    v: Positive = _quantity(1.0, "", "(16)", "weight V of the cost against the backlog")
    delta: Probability = _quantity(0.7, "", "(10)", "least time-average offloading fraction Delta of every device")
    queue: Literal["neely", "literal"] = _quantity(
        "neely", "", "(13)", "growth Delta - phi, or Delta 1[phi = 0] - phi as printed, which does not enforce (10)"
    )
    sign: FORMULA = _quantity("corrected", "", "(16), (18)", "+V C minimised, or -V C as printed, which maximises C")


class Scenario(Part):
    """A complete system: who is there, where tasks can run, what it costs and what is asked in the long run."""

    name: str = _quantity("paper", "", "", "name, for reports")
    num_devices: int = _quantity(15, "", "VI-A", "mobile devices M", ge=1, le=1_000_000)
    horizon: int = _quantity(500, "slot", "VI-B", "slots of an episode T", ge=1)
    slot_s: Positive = _quantity(1.0, "s", "VI-A", "duration of a slot")
    devices: Devices = Devices()
    mobility: Mobility = Mobility()
    channel: Channel = Channel()
    tasks: Tasks = Tasks()
    local: Local = Local()
    server: Server = Server()
    quantum: Quantum = Quantum()
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
