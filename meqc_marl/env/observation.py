"""What the paper's device sees: task, channel and equipment in columns of a fixed scale, about [-1, 1] at the defaults.

The scale does not follow the scenario, so that a policy learnt in one scenario reads another one rightly.
"""

from __future__ import annotations

import math

import numpy as np

from meqc_marl.config.scenario import Scenario
from meqc_marl.nature.slot import Equipment, Slot
from meqc_marl.physics.allocation import allocate
from meqc_marl.physics.channel import achievable_rate
from meqc_marl.physics.places import Work

LIMIT = 10.0
"""No column but the backlog leaves [-LIMIT, LIMIT]."""

LOG_SCALE: dict[str, tuple[float, float]] = {
    "data": (1.8e9, 2.0),
    "cycles_per_bit": (4.0, 6.0),
    "deadline": (18.0, 2.5),
    "qubits": (670.0, 3.0),
    "rate": (3e8, 5.0),
    "cpu": (1.75e9, 2.0),
    "server_cpu": (5e9, 1.5),
    "leased_qubits": (2250.0, 2.5),
    "tx_power": (0.045, 5.0),
}
"""Column: the value (bit, cycle/bit, s, qubit, bit/s, Hz, Hz, qubit, W) shown as 0, and the factor shown as 1."""

OBSERVATION_COLUMNS: tuple[str, ...] = (
    "data",
    "cycles_per_bit",
    "deadline",
    "qubits",
    "success",
    "rate",
    "cpu",
    "server_cpu",
    "leased_qubits",
    "tx_power",
    "lambda_t",
    "qpu_admitted",
    "backlog",
)
_COLUMN = {name: index for index, name in enumerate(OBSERVATION_COLUMNS)}


def equipment_columns(equipment: Equipment, num_columns: int = len(OBSERVATION_COLUMNS)) -> np.ndarray:
    """Observation of one slot with the columns that stay for the episode; the rest is 0; float32 [E, M, K]."""
    out = np.zeros((*equipment.cpu_hz.shape, num_columns), np.float32)
    fixed = {
        "cpu": equipment.cpu_hz,
        "server_cpu": equipment.server_cpu_hz,
        "leased_qubits": equipment.leased_qubits,
        "tx_power": equipment.tx_power_w,
    }
    _fill_logs(out, fixed)
    out[..., _COLUMN["lambda_t"]] = 2.0 * equipment.lambda_t - 1.0
    return out


def observe(
    scenario: Scenario,
    slot: Slot,
    out: np.ndarray | None = None,
    work: Work | None = None,
    fixed: np.ndarray | None = None,
) -> np.ndarray:
    """Observations of one slot or several, with an empty backlog column.

    Args:
        scenario: Parameters.
        slot: Nature [..., M].
        out: Array to fill, float32 [..., M, K], of as many columns or more.
        work: Of the slot, if known already.
        fixed: The result of ``equipment_columns``, if known already.

    Returns:
        Float32 [..., M, K]: columns ``OBSERVATION_COLUMNS`` but the last, and zeros; as many as ``fixed`` has.
    """
    num_columns = len(OBSERVATION_COLUMNS) if fixed is None else fixed.shape[-1]
    if out is None:
        out = np.empty((*slot.data_bits.shape, num_columns), np.float32)
    if work is None:
        work = Work.of(scenario, slot)
    allocation = allocate(scenario, work.server_cpu_hz)  # what a device gets on its own
    out[...] = equipment_columns(slot.equipment, num_columns) if fixed is None else fixed
    gain, power = slot.gain.astype(np.float32), slot.equipment.tx_power_w.astype(np.float32)
    changing = {
        "data": slot.data_bits,
        "cycles_per_bit": slot.cycles_per_bit,
        "deadline": slot.deadline_s,
        "qubits": slot.qubits,
        "rate": achievable_rate(scenario.channel, allocation.bandwidth_hz, power, gain),
    }
    _fill_logs(out, changing)
    out[..., _COLUMN["success"]] = 2.0 * work.success - 1.0
    out[..., _COLUMN["qpu_admitted"]] = work.qpu_admitted
    return out


def _fill_logs(out: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    """Columns ln(value / zero) / ln(factor), within the limit; worked out together in contiguous float32."""
    logs = np.empty((len(columns), *out.shape[:-1]), np.float32)
    for row, (name, value) in zip(logs, columns.items(), strict=True):
        zero, factor = LOG_SCALE[name]
        row[...] = value
        row *= np.float32(1.0 / zero)
        with np.errstate(divide="ignore"):
            np.log(row, out=row)
        row *= np.float32(1.0 / math.log(factor))
        row.clip(np.float32(-LIMIT), np.float32(LIMIT), out=row)
        out[..., _COLUMN[name]] = row
