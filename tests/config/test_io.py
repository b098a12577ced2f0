from __future__ import annotations

from pathlib import Path

import pytest

import meqc_marl.config.io as config_io
from meqc_marl.config import PRESETS, Scenario, changes, load_scenario, save_scenario
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
        ("num_devices=2.5", ["num_devices is 2.5", "integer"]),
        ("channel.bandwidth_hz=-1", ["channel.bandwidth_hz is -1", "from 1000 to 1e12 Hz"]),
        ("channel.bandwidth_hz=.nan", ["channel.bandwidth_hz is nan", "finite"]),
        ("cost.latency=serial", ["cost.latency is 'serial'", "'parallel', 'sequential' or 'literal'"]),
        ("cost.latncy=parallel", ["cost.latncy is not a field", "did you mean 'latency'?"]),
        ("costs.latency=parallel", ["costs is not a field", "did you mean 'cost'?"]),
        ("devices.tx_power=[0.2, 0.1]", ["devices.tx_power is [0.2, 0.1]", "its lower end must not exceed"]),
        ("devices.tx_power=[0, 0.1]", ["devices.tx_power is [0.0, 0.1] W", "from 1e-06 to 100 W"]),
        ("devices.lambda_t=1.5", ["devices.lambda_t is 1.5", "from 0 to 1"]),
        ("tasks.residues=[8, 9, 10]", ["tasks.residues is [8, 9, 10]", "it must have at most 2 items"]),
        ("devices.lambda_t=[0.5, 0.5]", ["devices.lambda_t has 2 values", "15 devices"]),
        ("tasks.residues=[5, 10]", ["tasks.residues is [5, 10]", "from 7 to 5000"]),
        ("tasks.residues=[8, x]", ["tasks.residues is [8, 'x']", "a number"]),
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
