"""Every number has bounds, and no scenario within them gives anything but finite, sound results."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario_box import SIZES, assert_sound, at, ends, numbers, whole_numbers, words

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.policies import POLICIES
from tests.sentences import is_one_sentence

NUMBERS = [number for number in numbers() if number[0] not in SIZES]
ENDS = {number[0]: ends(*number) for number in NUMBERS}
WHOLE = set(whole_numbers())
WORDS = {name: [f"{name}={word}" for word in allowed] for name, allowed in words() if name != "devices.tx_power_unit"}
FEW = ("oracle", "random", "cpu-discrete")
FREE = {"devices.lambda_t=0.0", "devices.lambda_e=0.0"}
"""Both together are refused: nothing would cost anything."""

POOLED = {f"resources.{part}=pooled" for part in ("band", "server", "qpu")}
POOLED |= {f"resources.{part}=queued" for part in ("server", "qpu")}
OF_LEASES = {"lyapunov.sign=literal", "cost.deadline=kept"}
"""Refused where anything is pooled or queued."""

OF_OTHER_CIRCUITS = {
    f"{name}={word}"
    for name, allowed in words()
    if name in ("quantum.qpu", "tasks.circuit_map")
    for word in allowed
    if word not in ("model", "all")
} | {"tasks.circuit_level=0", "tasks.circuit_level=3"}
"""Refused where the tasks are the default circuits, which were counted for all qubits connected."""

UNHURRIED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def sound_unless_free(overrides: list[str], policies: tuple[str, ...]) -> None:
    refusals = []
    if "tasks.source=circuits" in overrides and set(overrides) & OF_OTHER_CIRCUITS:
        refusals.append("as texts to count anew")
    if set(overrides) & POOLED and set(overrides) & OF_LEASES:
        refusals.append("with pooled or queued resources it must be")
    if "resources.broadcast=counts" in overrides and not set(overrides) & POOLED:
        refusals.append("with nothing pooled or queued it must be")
    if refusals:
        with pytest.raises(InputError, match="|".join(refusals)):
            load_scenario("paper", [one for one in overrides if one not in FREE])
    elif set(overrides) >= FREE:
        with pytest.raises(InputError, match="one must be above 0"):
            load_scenario("paper", overrides)
    else:
        assert_sound(overrides, policies, num_slots=4)


def test_every_number_has_bounds_that_hold_its_default() -> None:
    found = {number[0]: number for number in numbers()}
    scenario = Scenario().model_dump()
    for part, content in scenario.items():
        for name, value in content.items() if isinstance(content, dict) else [("", content)]:
            if not isinstance(value, str) and name not in ("circuits", "circuit_basis"):
                _, low, high, _ = found[f"{part}.{name}".strip(".")]
                assert low < high
                for one in value if isinstance(value, tuple) else (value,):
                    assert one is None or low <= one <= high, name


@pytest.mark.parametrize(("name", "low", "high", "default"), list(numbers()), ids=[number[0] for number in numbers()])
def test_what_is_outside_is_refused_in_one_sentence(name: str, low: float, high: float, default: object) -> None:
    for value in (low - 1, high + abs(high) * 1e-9 + 1, -1e30, 1e30, 10**400, float("inf"), float("nan")):
        if name == "devices.tx_power" and value == low - 1:
            value = -40.0
        text = (
            at(name, value, default)
            if abs(value) < 1e300
            else f"{name}={value}".replace("inf", ".inf").replace("nan", ".nan")
        )
        with pytest.raises(InputError) as caught:
            load_scenario("paper", [text])
        assert name in str(caught.value)
        assert len(str(caught.value)) < 400
        assert is_one_sentence(str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "value", ["true", "yes", "on", "'5'", "2001-13-45", "2001-12-15", "!!binary MTI=", "{}", "[[]]", "x"]
)
@pytest.mark.parametrize(
    "name", ["num_devices", "lyapunov.delta", "tasks.residues", "devices.lambda_t", "devices.lambda_e"]
)
def test_what_is_no_number_is_not_taken_for_one(name: str, value: str) -> None:
    for text in (value, f"[{value}, {value}]"):
        with pytest.raises(InputError) as caught:
            load_scenario("paper", [f"{name}={text}"])
        assert name in str(caught.value)
        assert is_one_sentence(str(caught.value)), str(caught.value)


def test_json_schema_knows_the_bounds() -> None:
    validator = jsonschema.Draft202012Validator(Scenario.model_json_schema())
    whole = json.loads(Scenario().model_dump_json())
    validator.validate(whole)
    for name, low, high, default in numbers():
        for value in (low - 1, high + abs(high) + 1):
            changed = json.loads(json.dumps(whole))
            part, _, field = name.rpartition(".")
            (changed[part] if part else changed)[field] = [value, value] if isinstance(default, tuple) else value
            assert list(validator.iter_errors(changed)), name


def test_the_ends_of_every_field_are_sound() -> None:
    """Each end of each field, in a scenario with the ends of a few others; the long test takes each alone."""
    names = sorted(ENDS)
    for start in range(12):
        chosen = names[start::12]
        for end in range(3):
            sound_unless_free([ENDS[name][end % len(ENDS[name])] for name in chosen], FEW)


def test_a_task_dearer_than_any_number_shown_is_sound() -> None:
    """A device of 1 THz whose energy grows with the fourth power, for ever: 1e48 reference units."""
    device = [
        "devices.cpu_hz=[1e12, 1e12]",
        "devices.lambda_t=0",
        "devices.lambda_e=1",
        "local.rho=1e-15",
        "local.zeta=4",
    ]
    task = ["tasks.data_bits=[1e15, 1e15]", "tasks.cycles_per_bit=1e6", "tasks.reference_time_s=1e-9"]
    assert_sound([*device, *task, "cost.energy_ref_j=1e-6", "tasks.residues=[7, 7]"], FEW)


@settings(max_examples=12, **UNHURRIED)
@given(st.data())
def test_corners_of_the_whole_box_are_sound(data: st.DataObject) -> None:
    chosen = [data.draw(st.sampled_from(options)) for options in (*ENDS.values(), *WORDS.values())]
    sound_unless_free(chosen, FEW)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", sorted({name.rpartition(".")[0] for name in ENDS}))
def test_each_end_alone_is_sound_for_all_policies(part: str) -> None:
    for name, overrides in ENDS.items():
        if name.rpartition(".")[0] == part:
            for override in overrides:
                assert_sound([override], tuple(POLICIES))


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=300, **UNHURRIED)
@given(st.data())
def test_pairs_of_ends_are_sound(data: st.DataObject) -> None:
    one, other = data.draw(st.lists(st.sampled_from(sorted(ENDS)), min_size=2, max_size=2, unique=True))
    forms = [data.draw(st.sampled_from(options)) for options in WORDS.values()]
    sound_unless_free([data.draw(st.sampled_from(ENDS[one])), data.draw(st.sampled_from(ENDS[other])), *forms], FEW)


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=300, **UNHURRIED)
@given(st.data())
def test_the_inside_of_the_box_is_sound(data: st.DataObject) -> None:
    chosen = [data.draw(st.sampled_from(options)) for options in WORDS.values()]
    for name, low, high, default in NUMBERS:
        least, most = (1e-6, 100.0) if name == "devices.tx_power" else (low, high)
        number = st.integers(int(least), int(most)) if name in WHOLE else st.floats(least, most)
        if isinstance(default, tuple):
            chosen.append(f"{name}={json.dumps(sorted([data.draw(number), data.draw(number)]))}")
        else:
            chosen.append(f"{name}={json.dumps(data.draw(number))}")
    sound_unless_free(chosen, FEW)
