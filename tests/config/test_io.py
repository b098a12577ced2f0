from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import meqc_marl.config.io as config_io
from meqc_marl.config import PRESETS, Scenario, changes, load_scenario, save_scenario
from meqc_marl.config.quantity import plain
from meqc_marl.errors import InputError
from tests.sentences import is_one_sentence


def message(source: str | Path, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load_scenario(source, overrides)
    text = str(caught.value)
    assert is_one_sentence(text), text
    return text


def test_presets_are_the_files_on_disk() -> None:
    files = (Path(config_io.__file__).parent / "presets").glob("*.yaml")
    assert {file.stem for file in files} == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_its_name_and_survives_a_round_trip(name: str, tmp_path: Path) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    save_scenario(scenario, tmp_path / "scenario.yaml")
    assert load_scenario(tmp_path / "scenario.yaml") == scenario
    assert [file.name for file in tmp_path.iterdir()] == ["scenario.yaml"]


def test_paper_is_the_defaults() -> None:
    assert load_scenario("paper") == Scenario()


def test_paper_literal_switches_every_printed_formula() -> None:
    scenario = load_scenario("paper-literal")
    chosen = (
        scenario.cost.latency,
        scenario.channel.ack,
        scenario.quantum.circuit,
        scenario.quantum.success,
        scenario.mobility.innovation,
        scenario.lyapunov.queue,
        scenario.lyapunov.sign,
    )
    assert chosen == ("literal",) * 7
    assert scenario.server.rho == 5e-28
    assert scenario.devices.tx_power_unit == "W"


def test_other_presets_change_what_they_say() -> None:
    assert load_scenario("static").mobility.kind == "static"
    assert load_scenario("fast-folders").tasks.source == "fast-folders"
    small = load_scenario("small")
    assert (small.num_devices, small.horizon) == (3, 100)
    assert load_scenario("large").num_devices == 1000


@pytest.mark.parametrize(
    ("text", "value"), [("1e9", 1e9), ("2.5e-3", 2.5e-3), ("1.5E+8", 1.5e8), ("3", 3.0), (".5e8", 0.5e8)]
)
def test_overrides_read_numbers_with_exponents(text: str, value: float) -> None:
    assert load_scenario("paper", [f"cost.deadline_penalty={text}"]).cost.deadline_penalty == value


def test_overrides_read_lists_words_and_null() -> None:
    scenario = load_scenario(
        "paper", ["devices.cpu_hz=[1e9, 2e9]", "cost.latency=sequential", "devices.lambda_e=null", "num_devices=4"]
    )
    assert scenario.devices.cpu_hz == (1e9, 2e9)
    assert scenario.cost.latency == "sequential"
    assert scenario.devices.lambda_e is None
    assert scenario.num_devices == 4


def test_the_last_override_wins_and_a_file_is_an_overlay(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("horizon: 7\nlyapunov: {v: 1e1}\n")
    scenario = load_scenario(file, ["horizon=8", "horizon=9", "lyapunov.delta=0.5"])
    assert (scenario.horizon, scenario.lyapunov.v, scenario.lyapunov.delta) == (9, 10.0, 0.5)
    assert scenario.channel == Scenario().channel


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert load_scenario(tmp_path / "empty.yaml") == Scenario()


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("num_devices=0", ["num_devices is 0", "from 1 to 1e6"]),
        ("num_devices=2.5", ["num_devices is 2.5", "a whole number from 1 to 1e6"]),
        ("channel.bandwidth_hz=-1", ["channel.bandwidth_hz is -1", "from 1000 to 1e12 Hz"]),
        ("channel.bandwidth_hz=.nan", ["channel.bandwidth_hz is nan", "finite"]),
        ("cost.latency=serial", ["cost.latency is 'serial'", "'parallel', 'sequential' or 'literal'"]),
        ("cost.latncy=parallel", ["cost.latncy is not a field", "did you mean 'latency'?"]),
        ("costs.latency=parallel", ["costs is not a field", "did you mean 'cost'?"]),
        ("devices.tx_power=[0.2, 0.1]", ["devices.tx_power is [0.2, 0.1]", "its lower end must not exceed"]),
        ("devices.tx_power=[0, 0.1]", ["devices.tx_power is [0.0, 0.1] W", "from 1e-06 to 100 W"]),
        ("devices.lambda_t=1.5", ["devices.lambda_t is 1.5", "from 0 to 1"]),
        ("tasks.residues=[8, 9, 10]", ["tasks.residues is [8, 9, 10]", "a range [low, high] of whole numbers from 7"]),
        ("tasks.residues=[8]", ["tasks.residues is [8]", "a range [low, high] of whole numbers from 7"]),
        ("tasks.residues=[8, 9.5]", ["tasks.residues[1] is 9.5", "a whole number from 7"]),
        ("tasks.data_bits=1e39", ["tasks.data_bits is 1e+39", "a range [low, high] of numbers from 1 to 1e15 bit"]),
        (
            "devices.tx_power=5",
            ["devices.tx_power is 5", "a range [low, high] of numbers from 1e-6 to 100 W, or"],
        ),
        ("devices.cpu_hz=1e9", ["devices.cpu_hz is 1000000000.0", "a list of 1 to 1000 numbers from 1e6 to 1e12 Hz"]),
        ("devices.lambda_e={}", ["devices.lambda_e is {}", "a number, or a list of one for each device, from 0 to 1"]),
        (
            "tasks.circuits=5",
            ["tasks.circuits is 5", "a list of 1 to 1000 circuits: their numbers, or FILE.qasm, family:size"],
        ),
        ("tasks.circuits=[5]", ["tasks.circuits[0] is 5; tasks.circuits must be a list of 1 to 1000 circuits"]),
        ("tasks.circuits=[{}]", ["tasks.circuits[0]: a circuit lacks qubits and depth"]),
        ("tasks.circuits=[{qubits: 2, depth: x}]", ["tasks.circuits[0].depth is 'x'", "a whole number from 1 to"]),
        ("tasks.circuit_basis=cx", ["tasks.circuit_basis is 'cx'", "a list of 1 to 50 names of gates"]),
        ("mobility.kind=[static]", ["mobility.kind is ['static']", "one of gauss-markov, static, or module:function"]),
        ("devices.lambda_t=[0.5, 0.5]", ["devices.lambda_t has 2 values", "15 devices"]),
        ("tasks.residues=[5, 10]", ["tasks.residues is [5, 10]", "from 7 to 5000"]),
        ("tasks.residues=[8, x]", ["tasks.residues is [8, 'x']", "whole numbers from 7 to 5000"]),
        ("channel=5", ["channel is 5", "a mapping of its parts"]),
        ("channel.bandwidth_hz.low=5", ["channel.bandwidth_hz is", "number"]),
        ("cost.latency", ["override 'cost.latency'", "field=value"]),
        ("=3", ["override '=3'", "field=value"]),
        ("horizon=[1", ["override 'horizon=[1'", "YAML"]),
    ],
)
def test_a_bad_value_is_one_sentence_with_field_value_and_what_is_allowed(override: str, parts: list[str]) -> None:
    text = message("paper", override)
    for part in parts:
        assert part in text


OF_THE_LIBRARY = re.compile(
    r"[Ii]nput|tuple|dict|instance|valid|integer|string|String|Field|parse|boolean|\\bbool|items|None[^;]|model_|literal_"
)
"""What no user writes: names of types, and sentences of the library that checks them."""
WRONG = ["5", "-1e39", "1e400", "2.5", "x", "true", "null", "{}", "{a: 1}", "{1: 2}", "[]", "[1]", "[1, 2]"]
WRONG += ["[1, 2, 3]", "[x]", "[null, null]", "[[1]]", "[{}]", "''", "2001-12-15", ".nan", "[.inf, .inf]", "[1.5, 2.5]"]
WRONG += ["[true, false]", f"'{'a' * 300}'", '"\\x07"']


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field and every part, by dotted name, as the JSON Schema of a scenario has it."""
    schema = Scenario.model_json_schema()
    for name, top in schema["properties"].items():
        yield name, top
        if "$ref" in top:
            for below, inner in schema["$defs"][top["$ref"].rpartition("/")[2]]["properties"].items():
                yield f"{name}.{below}", inner


def in_the_schema(what: dict[str, Any]) -> list[str]:
    """Words that a sentence about a field has to have."""
    kinds = what.get("anyOf", [what])
    if "enum" in what:
        return [repr(word) for word in what["enum"]]
    found = ["a mapping of its parts"] if "$ref" in what else []
    for kind in kinds:
        if kind.get("type") == "array" and "anyOf" not in what:
            found.append("a range [low, high]" if "prefixItems" in kind else "a list of")
        found += ["list"] * (kind.get("type") == "array") + ["null"] * (kind.get("type") == "null")
        inner = kind.get("prefixItems", [kind.get("items", kind)])[0]
        found += ["whole number"] * (inner.get("type") == "integer") + ["number"] * (inner.get("type") == "number")
        if "minimum" in inner and what.get("unit") != "tx_power_unit":
            found.append(f"from {plain(inner['minimum'])} to {plain(inner['maximum'])}")
    return [word for word in found if word != "list" or "a range [low, high]" not in found]


@pytest.mark.parametrize(("name", "what"), list(properties()), ids=[name for name, _ in properties()])
def test_sentences_say_what_a_user_may_write(name: str, what: dict[str, Any]) -> None:
    told = 0
    for value in WRONG:
        try:
            load_scenario("paper", [f"{name}={value}"])
        except InputError as error:
            sentence = str(error)
            assert is_one_sentence(sentence), sentence
            assert not OF_THE_LIBRARY.search(sentence.replace(name, "").partition("; ")[2]), sentence
            if sentence.startswith(f"{name} is ") and "it must be" in sentence:
                told += 1
        if value == "{}" and "$ref" not in what:  # of no field's type
            sentence = message("paper", f"{name}={value}")
            for words in in_the_schema(what):
                assert words in sentence, sentence
    assert told >= 3


def test_an_override_cannot_go_below_a_value(tmp_path: Path) -> None:
    assert "horizon" in message("small", "horizon.x=1")


def test_unknown_preset_suggests_the_closest() -> None:
    text = message("papr")
    assert "'papr'" in text
    assert "did you mean 'paper'?" in text
    assert "fast-folders" in text


def test_unreadable_files(tmp_path: Path) -> None:
    assert "nor a file" in message(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1\nb: 2\n")
    assert "not valid YAML at line" in message(broken)
    broken.write_text("- 1\n- 2\n")
    assert "holds a list" in message(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in message(broken)
    assert "cannot be read" in message(tmp_path)


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    file = tmp_path / "evil.yaml"
    file.write_text("name: !!python/object/apply:os.getcwd []\n")
    assert "not valid YAML" in message(file)


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        save_scenario(Scenario(), tmp_path / "absent" / "scenario.yaml")


@pytest.mark.parametrize("before", PRESETS)
@pytest.mark.parametrize("after", PRESETS)
def test_changes_make_one_scenario_of_another(before: str, after: str) -> None:
    there = load_scenario(after, ["devices.tx_power=[0.1, 0.3]", "lyapunov.v=0.05"])
    assert load_scenario(before, changes(load_scenario(before), there)) == there
    assert changes(there, there) == []


@pytest.mark.parametrize("overrides", ["lyapunov.v=1", [1], [None], [b"lyapunov.v=1"]])
def test_overrides_are_a_list_of_texts(overrides: list[str]) -> None:
    with pytest.raises(InputError, match=r"overrides is .* it must be a list of texts") as caught:
        load_scenario("paper", overrides)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize("source", [5, None, b"paper", "", " ", ["paper"]])
def test_a_source_is_a_name_a_path_or_a_scenario(source: str) -> None:
    with pytest.raises(InputError, match="scenario is ") as caught:
        load_scenario(source)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    "name",
    [
        "1e9",
        "yes",
        "010",
        "0o7",
        "1_000",
        "~",
        "null",
        ".inf",
        "1:30",
        "2001-01-01",
        "<<",
        "- a",
        "*a",
        "'",
        "x: y",
        "#",
    ],
)
def test_a_name_that_looks_like_something_else_survives(name: str, tmp_path: Path) -> None:
    scenario = Scenario(name=name)
    save_scenario(scenario, tmp_path / "mine.yaml")
    assert load_scenario(tmp_path / "mine.yaml") == scenario
    assert load_scenario("small", changes(load_scenario("small"), scenario)) == scenario
