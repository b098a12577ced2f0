"""A trace from what is known of it: columns of tables and positions; the rest is drawn as the scenario says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.nature.channel import LARGEST_GAIN, LEAST_GAIN, path_gain
from meqc_marl.nature.presence import check_present, common_presence
from meqc_marl.nature.trace import EQUIPMENT, NATURE, Trace, generate_trace
from meqc_marl.nature.trace_file import BOUNDS

Columns = Mapping[str, np.ndarray]


def to_metres(x: np.ndarray, y: np.ndarray, access_point: tuple[float, float], scale_m: float) -> np.ndarray:
    """Places on a map as positions relative to the access point, in m [..., 2].

    Args:
        x, y: In units of the map.
        access_point: Its x and y on the map.
        scale_m: Metres of a unit of the map.
    """
    return np.stack([x - access_point[0], y - access_point[1]], -1) * scale_m


def build_trace(
    scenario: Scenario,
    known: Mapping[str, Columns],
    position_m: np.ndarray | None = None,
    seed: int = 0,
    present: np.ndarray | None = None,
) -> Trace:
    """One row, of which some arrays are given.

    What is not given is drawn from the seed, with as many devices and slots as what is given has. With positions and no
    gains, shadowing and fading are the scenario's and the path loss follows from the positions.

    Args:
        scenario: What the rest is drawn by; its number of devices does not count.
        known: By kind of table (:data:`~meqc_marl.nature.tables.KINDS`, positions apart) the columns.
        position_m: Relative to the access point [T, M, 2].
        seed: Of what is drawn.
        present: Who is there, bool [T, M]; who is not may have any position. Columns ``present`` must say the same.

    Raises:
        InputError: The parts differ in slots or devices, or nothing is given.
    """
    shapes = {kind: next(iter(columns.values())).shape for kind, columns in known.items()}
    if position_m is not None:
        shapes["positions"] = position_m.shape[:2]
    if not shapes:
        raise InputError("nothing is given to build a trace of; give tasks, positions, gains or equipment.")
    num_devices = _common("devices", {kind: shape[-1] for kind, shape in shapes.items()})
    slots = {kind: shape[0] for kind, shape in shapes.items() if len(shape) == 2}
    num_slots = _common("slots", slots) if slots else scenario.horizon
    scenario = load_scenario(scenario, [f"num_devices={num_devices}"])
    trace = generate_trace(scenario, [seed], num_slots=num_slots)
    told = {kind: columns["present"] for kind, columns in known.items() if "present" in columns}
    present = common_presence(told if present is None else told | {"positions": present})
    given = {
        name: values
        for kind, columns in known.items()
        for name, values in columns.items()
        if kind != "equipment" and name != "present"
    }
    if "cycles" in given:
        given["cycles_per_bit"] = given.pop("cycles") / given["data_bits"]
        low, high = BOUNDS["cycles_per_bit"]
        wrong = np.argwhere((given["cycles_per_bit"] < low) | (given["cycles_per_bit"] > high))
        if wrong.size:
            slot, device = wrong[0]
            value = given["cycles_per_bit"][slot, device]
            raise InputError(
                f"tasks of slot {slot}, device {device}: cycles over data_bits is {value:.6g}; it must be from "
                f"{low:g} to {high:g}."
            )
    gates = trace.gates
    if counted := [given.pop(name) for name in ("gates_1", "gates_2") if name in given]:
        gates = np.stack(counted, -1)[:, None].astype(np.int32)
    elif "qubits" in given or "depth" in given:
        gates = None  # of other circuits than these
    nature = {name: values[:, None].astype(NATURE[name]) for name, values in given.items()}
    if position_m is not None:
        places = position_m[:, None].astype(np.float32)
        nature["position_m"] = places
        if "gain" not in nature:
            change = path_gain(scenario.channel, places) / path_gain(scenario.channel, trace.position_m)
            nature["gain"] = np.clip(trace.gain * change, LEAST_GAIN, LARGEST_GAIN)
    owned = {name: known["equipment"][name][None] for name in EQUIPMENT if name in known.get("equipment", {})}
    if "lambda_t" in owned and "lambda_e" not in owned and scenario.devices.lambda_e is None:
        owned["lambda_e"] = 1.0 - owned["lambda_t"]
    equipment = replace(trace.equipment, **owned)
    if not (equipment.lambda_t.any() or equipment.lambda_e.any()):
        raise InputError("equipment: lambda_t and lambda_e are 0 for all devices; one must be above 0.")
    trace = replace(trace, **nature, equipment=equipment, gates=gates)
    if present is None:
        return trace
    check_present("the trace", present[:, None])
    return trace.with_presence(present[:, None])


def _common(what: str, counts: Mapping[str, int]) -> int:
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{kind} {count}" for kind, count in counts.items())
        raise InputError(f"the parts have different numbers of {what} ({told}); all must have the same.")
    return next(iter(counts.values()))
