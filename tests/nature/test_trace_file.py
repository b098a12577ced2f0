"""Trace files of strangers: refused in one sentence before memory is taken, or read as the numbers they hold."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meqc_marl.config import Scenario
from meqc_marl.config.quantity import plain
from meqc_marl.errors import InputError
from meqc_marl.nature.trace import MAX_DEVICE_SLOTS, Trace, check_size, generate_trace
from meqc_marl.nature.trace_file import BOUNDS, load_trace, save_trace
from tests.nature.test_trace import arrays_of, assert_same_bits
from tests.sentences import is_one_sentence


def refusal(path: Path, scenario: Scenario) -> str:
    with pytest.raises(InputError) as caught:
        load_trace(path, scenario)
    assert is_one_sentence(str(caught.value)), str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.fixture
def trace(small: Scenario) -> Trace:
    return generate_trace(small, [1, 2], num_slots=7)


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda array: array.astype(array.dtype.newbyteorder(">")),
        lambda array: np.asfortranarray(array.astype(array.dtype.newbyteorder(">"))),
        lambda array: array.astype(">f8"),
        lambda array: array[::-1][::-1],
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_any_order_of_bytes_and_axes_is_read_alike(
    small: Scenario, trace: Trace, tmp_path: Path, change: Callable, save: Callable
) -> None:
    save(tmp_path / "trace.npz", **{name: change(array) for name, array in arrays_of(trace).items()})
    assert_same_bits(load_trace(tmp_path / "trace.npz", small), trace)


def member(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def header(text: str, version: int = 1) -> bytes:
    padded = text.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(padded)) + padded


GAIN = np.full((7, 2, 3), 1e-9, np.float32)
EVIL = {
    "empty": b"",
    "no magic": b"hello" * 10,
    "header cut": member(GAIN)[:30],
    "header of nonsense": header("{'descr': oops"),
    "header of code": header("__import__('os').system('false')"),
    "header without shape": header("{'descr': '<f4', 'fortran_order': False}"),
    "header with another key": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}"),
    "negative shape": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2, 3)}") + bytes(168),
    "shape of text": header("{'descr': '<f4', 'fortran_order': False, 'shape': ('7', 2, 3)}") + bytes(168),
    "more than there is": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 2, 3)}") + bytes(168),
    "far more than there is": header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**30, 2, 3)}") + bytes(168),
    "less than there is": member(GAIN) + bytes(8),
    "deep header": header("(" * 5000 + ")" * 5000, 2),
    "a long header": header("{'descr': '<f4', 'fortran_order': False, 'shape': (7, 2, 3)}" + " " * 60_000, 2),
    "version 3": b"\x93NUMPY\x03\x00" + member(GAIN)[8:],
    "version 9": b"\x93NUMPY\x09\x00" + member(GAIN)[8:],
    "objects": member(np.array([object()])),
    "text": member(np.array(["a"])),
    "complex": member(GAIN.astype(complex)),
    "truth": member(GAIN > 0),
    "records": member(np.zeros((7, 2, 3), [("a", "f4")])),
    "dates": member(np.zeros((7, 2, 3), "M8[s]")),
    "wide floats": member(GAIN.astype(np.longdouble)),
    "a scalar": member(np.float32(1e-9)),
    "many axes": member(np.full((1,) * 20, 1e-9)),
    "nothing": member(np.zeros((0, 2, 3), np.float32)),
    "too small": member(GAIN * 1e-30),
    "huge": member(np.where(GAIN > 0, 1e300, 0)),
    "past 1": member(GAIN * 1e10),
    "minus nan": member(-np.full_like(GAIN, np.nan)),
}


def write(path: Path, trace: Trace, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        whole = {name: member(array) for name, array in arrays_of(trace).items()} | members
        for name, content in whole.items():
            archive.writestr(f"{name}.npy", content)


@pytest.mark.parametrize("what", EVIL)
def test_an_evil_member_is_refused(small: Scenario, trace: Trace, tmp_path: Path, what: str) -> None:
    write(tmp_path / "bad.npz", trace, gain=EVIL[what])
    tracemalloc.start()
    try:
        refusal(tmp_path / "bad.npz", small)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BOUNDS)
def test_each_array_is_held_to_its_bounds(small: Scenario, trace: Trace, tmp_path: Path, name: str) -> None:
    low, high = BOUNDS[name]
    array = arrays_of(trace).get(name, np.zeros((*trace.gain.shape, 2)))  # gates may be missing
    for value in (low / 2 - 1, high * 1.01 + 1, 1e300, -1e300):
        changed = array.astype(float)
        changed.flat[-1] = value
        write(tmp_path / "bad.npz", trace, **{name: member(changed)})
        assert name in refusal(tmp_path / "bad.npz", small)


def test_an_archive_that_unpacks_to_too_much_is_refused_by_its_size(
    small: Scenario, trace: Trace, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gain.npy", bytes(2**20))
    # Two gigabytes of zeros would say the same of themselves, and take half a minute to pack.
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 2**20), struct.pack("<I", 2**31)))
    text = refusal(path, small)
    assert "unpacks to 2,147,483,648 bytes; at most" in text


def test_an_archive_that_lies_of_its_size_gives_no_more_than_it_says(
    small: Scenario, trace: Trace, tmp_path: Path
) -> None:
    path = tmp_path / "liar.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays_of(trace).items():
            archive.writestr(f"{name}.npy", bytes(2**26) if name == "gain" else member(array))
    content = path.read_bytes().replace(struct.pack("<I", 2**26), struct.pack("<I", 200))
    path.write_bytes(content)
    tracemalloc.start()
    try:
        refusal(path, small)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_are_there_twice_or_too_many(small: Scenario, trace: Trace, tmp_path: Path) -> None:
    write(tmp_path / "twice.npz", trace)
    with zipfile.ZipFile(tmp_path / "twice.npz", "a") as archive:
        archive.writestr("gain.npy", member(GAIN * 2))
    assert "holds 'gain' twice" in refusal(tmp_path / "twice.npz", small)
    with zipfile.ZipFile(tmp_path / "many.npz", "w") as archive:
        for number in range(1000):
            archive.writestr(f"{number}.npy", b"")
    assert "1,000 members" in refusal(tmp_path / "many.npz", small)


def test_an_encrypted_member_and_an_unknown_compression(small: Scenario, trace: Trace, tmp_path: Path) -> None:
    write(tmp_path / "trace.npz", trace)
    whole = (tmp_path / "trace.npz").read_bytes()
    at = whole.index(b"PK\x01\x02")
    for offset, value in ((8, b"\x01\x00"), (10, b"\x63\x00")):
        (tmp_path / "bad.npz").write_bytes(whole[: at + offset] + value + whole[at + offset + 2 :])
        assert "it must be an npz file of arrays" in refusal(tmp_path / "bad.npz", small)


def test_paths_that_are_no_files(small: Scenario, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, part in (
        (tmp_path / "pipe", "regular file"),
        (tmp_path / "loop", "symbolic links"),
        (tmp_path, "Is a directory"),
        (tmp_path / ("x" * 300), "name too long"),
        (tmp_path / "a\0b", "null character"),
        (Path("/dev/zero"), "regular file"),
    ):
        assert part in refusal(path, small)


def test_a_size_is_told_before_memory_is_taken(small: Scenario) -> None:
    for arguments in ((10**30, 1, 3), (1, 10**30, 3), (500, 1, 1_000_000), (MAX_DEVICE_SLOTS, 2, 1)):
        with pytest.raises(InputError, match=r"takes .* GB; at most 30,000,000") as caught:
            check_size(*arguments)
        assert is_one_sentence(str(caught.value))
    check_size(MAX_DEVICE_SLOTS, 1, 1)
    with pytest.raises(InputError, match="GB"):
        generate_trace(small, range(10**12))
    with pytest.raises(InputError, match="GB"):
        generate_trace(small, [1], num_slots=10**30)


@pytest.mark.parametrize("seed", [1.5, True, np.True_, object(), -1, "1", None, 2**128, [1], np.array([1]), 1 + 0j])
def test_seeds_that_are_none(small: Scenario, seed: object) -> None:
    with pytest.raises(InputError, match=r"seed is .*it must be an integer of at least 0") as caught:
        generate_trace(small, [seed], num_slots=2)  # type: ignore[list-item]
    assert is_one_sentence(str(caught.value))


def test_seeds_of_other_libraries(small: Scenario) -> None:
    torch = pytest.importorskip("torch")
    expected = generate_trace(small, [7], num_slots=2)
    for seed in (np.int64(7), np.array(7), np.uint8(7), torch.tensor(7)):
        assert_same_bits(generate_trace(small, [seed], num_slots=2), expected)  # type: ignore[list-item]


def test_what_is_drawn_at_the_ends_of_the_bounds_is_within_those_of_a_file(small: Scenario, tmp_path: Path) -> None:
    from scenario_box import ends, numbers

    from meqc_marl.config import load_scenario

    for which in (0, 1):
        found = [ends(*number)[which] for number in numbers() if number[0] not in ("num_devices", "horizon")]
        found = [text for text in found if "lambda_t" not in text]
        scenario = load_scenario(small, found)
        save_trace(generate_trace(scenario, [1], num_slots=5), tmp_path / "trace.npz")
        load_trace(tmp_path / "trace.npz", scenario)


@pytest.mark.parametrize(
    ("seeds", "num_slots", "part"),
    [
        (5, 2, "seeds is 5"),
        ("12", 2, "seeds is '12'"),
        (None, 2, "seeds is None"),
        ([1], 1.5, "num_slots is 1.5"),
        ([1], True, "num_slots is True"),
        ([1], "2", "num_slots is '2'"),
        ([1], -1, "num_slots is -1"),
        ([1], 0, "0 slots"),
    ],
)
def test_what_a_trace_is_not_drawn_from(small: Scenario, seeds: object, num_slots: object, part: str) -> None:
    with pytest.raises(InputError) as caught:
        generate_trace(small, seeds, num_slots=num_slots)  # type: ignore[arg-type]
    assert part in str(caught.value)
    assert is_one_sentence(str(caught.value))
    with pytest.raises(InputError, match="scenario is 'small'"):
        generate_trace("small", [1])  # type: ignore[arg-type]


def test_the_page_about_trace_files_has_every_array_with_its_bounds() -> None:
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
    for name, (low, high) in BOUNDS.items():
        assert f"| `{name}` | " in page, name
        row = page.split(f"| `{name}` | ")[1].splitlines()[0]
        assert f"| {plain(low)} to {plain(high)} |" in row, (name, f"{plain(low)} to {plain(high)}")
