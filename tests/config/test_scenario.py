from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from meqc_marl.config import Scenario


def parts(part: BaseModel, name: str = "") -> Iterator[tuple[str, BaseModel]]:
    yield name, part
    for field in type(part).model_fields:
        value = getattr(part, field)
        if isinstance(value, BaseModel):
            yield from parts(value, f"{name}.{field}".strip("."))


def test_every_number_has_a_unit_and_a_meaning() -> None:
    for name, part in parts(Scenario()):
        for field, info in type(part).model_fields.items():
            if not isinstance(getattr(part, field), BaseModel):
                assert info.description, f"{name}.{field}"
                assert {"unit", "source"} <= set(info.json_schema_extra or {}), f"{name}.{field}"


def test_defaults_are_those_of_the_paper() -> None:
    scenario = Scenario()
    assert scenario.num_devices == 15
    assert scenario.devices.cpu_hz == (1e9, 2e9, 3e9)
    assert scenario.devices.server_cpu_hz == (4e9, 5e9, 6e9)
    assert scenario.devices.tx_power == (0.01, 0.2)
    assert scenario.devices.leased_qubits == (1000, 5000)
    assert scenario.channel.bandwidth_hz == 0.1e9
    assert scenario.tasks.data_bits == (160 * 8e6, 320 * 8e6)
    assert scenario.mobility.mean_speed_m_s == (3.0, 5.0)
    assert scenario.lyapunov.delta == 0.7


def test_a_scenario_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Scenario().horizon = 3  # type: ignore[misc]


def test_one_weight_for_each_device_is_taken() -> None:
    scenario = Scenario(num_devices=2, devices={"lambda_t": (0.2, 0.9)})  # type: ignore[arg-type]
    assert scenario.devices.lambda_t == (0.2, 0.9)
