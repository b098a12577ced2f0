from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.nature.trace import Equipment, Slot, Trace, generate_trace
from meqc_marl.nature.trace_file import load_trace, save_trace
from tests.sentences import is_one_sentence

NATURE = ("gain", "data_bits", "cycles_per_bit", "deadline_s", "qubits", "depth", "position_m")
EQUIPMENT = tuple(field.name for field in fields(Equipment))


def assert_same_bits(one: Trace, other: Trace) -> None:
    for name in NATURE:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name, strict=True)
    for name in EQUIPMENT:
        np.testing.assert_array_equal(
            getattr(one.equipment, name), getattr(other.equipment, name), err_msg=name, strict=True
        )


def differs(one: Trace, other: Trace) -> bool:
    return all(not np.array_equal(getattr(one, name), getattr(other, name)) for name in NATURE)


def test_shapes_and_compact_types(small: Scenario) -> None:
    trace = generate_trace(small, [0, 1])
    assert (trace.num_slots, trace.num_envs, trace.num_devices) == (100, 2, 3)
    for name in NATURE[:-1]:
        assert getattr(trace, name).shape == (100, 2, 3)
    assert trace.position_m.shape == (100, 2, 3, 2)
    assert {trace.gain.dtype, trace.position_m.dtype} == {np.dtype(np.float32)}
    assert trace.qubits.dtype == np.int32
    for name in EQUIPMENT:
        assert getattr(trace.equipment, name).shape == (2, 3)


@pytest.mark.parametrize("preset", ["paper", "paper-literal", "static", "fast-folders"])
def test_same_seed_same_bits_and_a_row_alone_is_the_row_in_a_batch(preset: str) -> None:
    scenario = load_scenario(preset)
    seeds = [7, 3, 2**63, 11, 3]
    trace = generate_trace(scenario, seeds, episode=2)
    assert_same_bits(trace, generate_trace(scenario, seeds, episode=2))
    for i, seed in enumerate(seeds):
        assert_same_bits(trace.row(i), generate_trace(scenario, [seed], episode=2))
    assert_same_bits(trace.row(1), trace.row(4))


def test_rows_are_the_same_in_a_batch_of_several_chunks() -> None:
    # 200 devices: rows move together ten at a time.
    scenario = load_scenario("paper", ["num_devices=200", "horizon=40"])
    trace = generate_trace(scenario, range(23))
    for i in (0, 9, 10, 22):
        assert_same_bits(trace.row(i), generate_trace(scenario, [i]))


def test_seed_and_episode_change_everything(paper: Scenario) -> None:
    trace = generate_trace(paper, [0])
    assert differs(trace, generate_trace(paper, [1]))
    assert differs(trace, generate_trace(paper, [0], episode=1))


def test_variants_of_a_scenario_share_their_randomness(paper: Scenario) -> None:
    trace, still = generate_trace(paper, [5]), generate_trace(load_scenario("static"), [5])
    np.testing.assert_array_equal(trace.data_bits, still.data_bits)
    np.testing.assert_array_equal(trace.position_m[0], still.position_m[0])
    np.testing.assert_array_equal(trace.equipment.tx_power_w, still.equipment.tx_power_w)


def test_rows_stack_back(small: Scenario) -> None:
    trace = generate_trace(small, [4, 5, 6])
    assert_same_bits(Trace.stack([trace.row(i) for i in range(3)]), trace)


def test_slots_are_the_trace_in_float64(small: Scenario) -> None:
    trace = generate_trace(small, [4, 5])
    block = trace.slots(10, 14)
    for name in NATURE[:-1]:
        assert getattr(block, name).dtype == np.float64
        np.testing.assert_array_equal(getattr(block, name), getattr(trace, name)[10:14])
        np.testing.assert_array_equal(getattr(trace.slot(12), name), getattr(trace, name)[12])
    assert isinstance(block, Slot)
    assert block.position_m.shape == (4, 2, 3, 2)
    assert trace.slots().gain.shape == (100, 2, 3)


def test_laws_of_the_tasks(paper: Scenario) -> None:
    trace = generate_trace(paper, range(4), num_slots=500)
    for values, law in (
        (trace.data_bits, stats.uniform(1.28e9, 1.28e9)),
        (trace.deadline_s, stats.uniform(8, 32)),
    ):
        assert stats.kstest(values.ravel().astype(float), law.cdf).pvalue > 1e-3
    # o = 222 ... 2022 for N = 30 ... 90; q = 8 (N / 60)(T / 550 us)
    assert (trace.qubits.min(), trace.qubits.max()) == (222, 2022)
    np.testing.assert_array_equal(trace.depth, trace.qubits + 1)
    assert trace.cycles_per_bit.min() >= 8 * 0.5 * 100 / 550 * 0.999999
    assert trace.cycles_per_bit.max() <= 8 * 1.5 * 1000 / 550 * 1.000001
    assert trace.cycles_per_bit.mean() == pytest.approx(8.0, rel=0.01)


def test_gain_is_path_times_fading_of_mean(paper: Scenario) -> None:
    trace = generate_trace(paper, range(4), num_slots=500)
    square = (trace.position_m.astype(float) ** 2).sum(-1)
    fading = trace.gain * np.maximum(square, 1.0) / 2.90379263e-8
    # E[10^(3 n / 10)] = exp((3 ln 10 / 10)^2 / 2) = 1.26943, times Rician mean 1
    assert fading.mean() == pytest.approx(1.26943, rel=0.02)
    lag_one = np.corrcoef(fading[:-1].ravel(), fading[1:].ravel())[0, 1]
    assert abs(lag_one) < 0.03  # a new one in each slot
    assert abs(np.corrcoef(fading[0].ravel(), trace.data_bits[0].ravel())[0, 1]) < 0.5


def test_no_column_depends_on_another(paper: Scenario) -> None:
    trace = generate_trace(paper, range(4), num_slots=500)
    columns = np.stack([getattr(trace, name).ravel().astype(float) for name in ("data_bits", "qubits", "deadline_s")])
    assert np.abs(np.corrcoef(columns) - np.eye(3)).max() < 0.025


def test_devices_stay_in_the_disc(paper: Scenario) -> None:
    position = generate_trace(paper, range(8)).position_m.astype(float)
    assert np.hypot(position[..., 0], position[..., 1]).max() <= 50.0


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, True])
def test_bad_seeds(small: Scenario, seed: object) -> None:
    with pytest.raises(InputError, match=r"seed is .*it must be an integer of at least 0"):
        generate_trace(small, [seed])  # type: ignore[list-item]


def test_empty_traces_are_refused(small: Scenario) -> None:
    with pytest.raises(InputError, match="0 slots"):
        generate_trace(small, [1], num_slots=0)
    with pytest.raises(InputError, match="0 rows"):
        generate_trace(small, [])


def test_save_and_load_keep_every_bit(small: Scenario, tmp_path: Path) -> None:
    trace = generate_trace(small, [1, 2])
    save_trace(trace, tmp_path / "trace.npz")
    assert_same_bits(load_trace(tmp_path / "trace.npz", small), trace)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.npz"]


def arrays_of(trace: Trace) -> dict[str, np.ndarray]:
    return {name: getattr(trace, name) for name in NATURE} | {
        f"equipment.{name}": getattr(trace.equipment, name) for name in EQUIPMENT
    }


def test_a_users_file_may_be_one_row_in_float64_without_positions(small: Scenario, tmp_path: Path) -> None:
    trace = generate_trace(small, [1])
    arrays = {
        name: (array[0] if name.startswith("equipment") else array[:, 0].astype(float))
        for name, array in arrays_of(trace).items()
        if name != "position_m"
    }
    np.savez(tmp_path / "mine.npz", **arrays)
    loaded = load_trace(tmp_path / "mine.npz", small)
    np.testing.assert_array_equal(loaded.gain, trace.gain)
    np.testing.assert_array_equal(loaded.qubits, trace.qubits)
    assert loaded.position_m.shape == (100, 1, 3, 2)


@pytest.mark.parametrize(
    ("name", "change", "parts"),
    [
        ("gain", lambda a: np.where(a == a.flat[0], np.nan, a), ["gain", "finite"]),
        ("gain", lambda a: -a, ["gain", "from 1e-36 to 1"]),
        ("gain", lambda a: a[..., :2], ["gain has shape (100, 2, 2)", "3 devices"]),
        ("gain", lambda a: a[:, 0, 0], ["gain has shape (100,)", "[slots, rows, devices]"]),
        ("data_bits", lambda a: a[:50], ["data_bits has shape (50, 2, 3)", "(100, 2, 3)"]),
        ("data_bits", lambda a: a.astype(float) * 1e60, ["data_bits", "finite in float32"]),
        ("deadline_s", lambda a: 0 * a, ["deadline_s has the value 0.0", "from 0.001 to 1e6"]),
        ("qubits", lambda a: a + 0.5, ["qubits has the value", "a whole number"]),
        ("depth", lambda a: a + 2.0**40, ["depth has the value", "a whole number below 2^31"]),
        ("depth", lambda a: a.astype(str), ["depth", "numbers"]),
        ("equipment.cpu_hz", lambda a: 0 * a, ["equipment.cpu_hz", "from 1e6 to 1e12"]),
        ("equipment.lambda_t", lambda a: a - 1, ["equipment.lambda_t", "from 0 to 1"]),
        ("equipment.tx_power_w", lambda a: a[:1], ["equipment.tx_power_w has shape (1, 3)"]),
        ("cycles_per_bit", None, ["lacks cycles_per_bit", "it must hold gain"]),
    ],
)
def test_a_bad_file_is_one_sentence(
    small: Scenario, tmp_path: Path, name: str, change: object, parts: list[str]
) -> None:
    arrays = arrays_of(generate_trace(small, [1, 2]))
    if callable(change):
        arrays[name] = change(arrays[name])
    else:
        del arrays[name]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError) as caught:
        load_trace(tmp_path / "bad.npz", small)
    for part in ("bad.npz", *parts):
        assert part in str(caught.value)
    assert is_one_sentence(str(caught.value))


def test_files_that_are_no_npz(small: Scenario, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    with pytest.raises(InputError, match=r"cannot be read: No such file or directory\.$"):
        load_trace(path, small)
    save_trace(generate_trace(small, [1]), path)
    whole = path.read_bytes()
    for content in (b"", b"not a trace", b"PK\x03\x04 broken", whole[:-100], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"it must be an npz file of arrays\.$"):
            load_trace(path, small)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match="npz file"):
        load_trace(tmp_path / "one.npy", small)
    np.savez(path, **(arrays_of(generate_trace(small, [1])) | {"gain": np.array([object()])}))
    with pytest.raises(InputError, match="gain holds 'object'; it must hold numbers"):  # pickles are not opened
        load_trace(path, small)


def test_a_window_is_the_slots_between(small: Scenario) -> None:
    trace = generate_trace(small, [3, 4], num_slots=12)
    window = trace.window(5, 9)
    for name in NATURE:
        np.testing.assert_array_equal(getattr(window, name), getattr(trace, name)[5:9])
    assert window.equipment is trace.equipment
    assert_same_bits(trace.window(0), trace)
