"""Tables and movements against what was written into them; every mistake is one sentence with its place."""

import gzip
import itertools
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.nature.channel import path_gain
from meqc_marl.nature.movements import read_fcd
from meqc_marl.nature.tables import KINDS, read_table
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import load_any_trace, load_trace
from tests.sentences import is_one_sentence

PAGE = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
T, M = 4, 3


def write(path, columns):
    """A table in random order of rows and columns."""
    rng = np.random.default_rng(0)
    rows, names = rng.permutation(len(next(iter(columns.values())))), rng.permutation(list(columns))
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({name: np.asarray(columns[name])[rows] for name in names}), path)
    else:
        lines = [",".join(names), *(",".join(repr(columns[name][row]) for name in names) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return path


def grid(**columns):
    slots, devices = zip(*itertools.product(range(T), range(M)), strict=True)
    return {"slot": list(slots), "device": list(devices)} | {name: list(map(float, v)) for name, v in columns.items()}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_column_arrives_where_it_belongs(tmp_path, suffix):
    rng = np.random.default_rng(1)
    given = {
        "data_bits": rng.uniform(1e8, 1e9, T * M),
        "cycles": rng.uniform(1e9, 1e10, T * M),
        "deadline_s": rng.uniform(5, 50, T * M),
        "qubits": rng.integers(1, 2000, T * M),
        "depth": rng.integers(1, 2000, T * M),
    }
    x, y, gain = rng.normal(500, 20, T * M), rng.normal(-30, 20, T * M), 10 ** rng.uniform(-12, -6, T * M)
    owned = {"cpu_hz": [1e9, 2e9, 3e9], "lambda_t": [0.2, 0.5, 1.0]}
    tasks = write(tmp_path / f"tasks{suffix}", grid(**given))
    places = write(tmp_path / f"places{suffix}", grid(x=x, y=y))
    gains = write(tmp_path / f"gains{suffix}", grid(gain=gain))
    equipment = write(tmp_path / f"equipment{suffix}", {"device": [0, 1, 2]} | owned)
    words = ["trace", "build", str(tmp_path / "out.npz"), "--tasks", tasks, "--positions", places, "--gains", gains]
    words += ["--equipment", equipment, "--access-point", "490", "-30", "--scale-m", "2", "--seed", "7"]
    assert main([str(word) for word in words]) == 0
    trace = load_trace(tmp_path / "out.npz", load_scenario("paper", [f"num_devices={M}"]))
    for name in ("data_bits", "deadline_s", "qubits", "depth"):
        np.testing.assert_allclose(getattr(trace, name)[:, 0], given[name].reshape(T, M), rtol=1e-6)
    cycles = given["cycles"] / given["data_bits"]
    np.testing.assert_allclose(trace.cycles_per_bit[:, 0], cycles.reshape(T, M), rtol=1e-6)
    np.testing.assert_allclose(trace.gain[:, 0], gain.reshape(T, M), rtol=1e-6)
    np.testing.assert_allclose(trace.position_m[:, 0, :, 0], 2 * (x - 490).reshape(T, M), rtol=1e-5)
    np.testing.assert_allclose(trace.position_m[:, 0, :, 1], 2 * (y + 30).reshape(T, M), rtol=1e-4, atol=1e-4)
    assert trace.equipment.cpu_hz.tolist() == [[1e9, 2e9, 3e9]]
    np.testing.assert_allclose(trace.equipment.lambda_e, [[0.8, 0.5, 0.0]])
    drawn = generate_trace(load_scenario("paper", [f"num_devices={M}"]), [7], num_slots=T)
    np.testing.assert_array_equal(trace.equipment.tx_power_w, drawn.equipment.tx_power_w)


def fcd(steps):
    """``{time: {name: (x, y)}}`` as SUMO writes it."""
    body = "".join(
        f'<timestep time="{time:.2f}">'
        + "".join(f'<vehicle id="{name}" x="{x}" y="{y}" speed="1.0"/>' for name, (x, y) in here.items())
        + "</timestep>"
        for time, here in steps.items()
    )
    return f'<?xml version="1.0"?><fcd-export>{body}</fcd-export>'


def test_movements_between_their_time_steps_and_of_those_who_stay(tmp_path):
    steps = {
        0.5 * k: {"stays": (100.0 + 3 * k, 7.0), **({"leaves": (0.0, 0.0)} if k < 5 else {}), "b": (0.0, -(k**2))}
        for k in range(13)
    }
    (tmp_path / "a.xml").write_text(fcd(steps))
    (tmp_path / "a.xml.gz").write_bytes(gzip.compress(fcd(steps).encode()))
    for name in ("a.xml", "a.xml.gz"):
        names, way, _ = read_fcd(tmp_path / name, 0.75)
        assert names == ["stays", "b"]
        at = 0.75 * np.arange(9)
        np.testing.assert_allclose(way[:, 0, 0], 100 + 6 * at)
        k = np.arange(13)
        np.testing.assert_allclose(way[:, 1, 1], np.interp(at, 0.5 * k, -(k**2)))
    names, way, _ = read_fcd(tmp_path / "a.xml", 0.5, begin_s=0.5, num_slots=4)
    assert names == ["stays", "leaves", "b"]
    assert way.shape == (4, 3, 2)
    with pytest.raises(InputError, match="do not lie within"):
        read_fcd(tmp_path / "a.xml", 0.5, begin_s=0.5, num_slots=13)


def test_the_path_loss_follows_from_movements(tmp_path):
    (tmp_path / "a.xml").write_text(fcd({float(t): {"a": (10 + t, 0), "b": (0, 40 - t)} for t in range(T)}))
    words = ["trace", "build", str(tmp_path / "o.npz"), "--movements", str(tmp_path / "a.xml"), "--seed", "3"]
    assert main(words) == 0
    trace, scenario = load_any_trace(tmp_path / "o.npz"), load_scenario("paper", ["num_devices=2"])
    drawn = generate_trace(scenario, [3], num_slots=T)
    at = np.stack([10.0 + np.arange(T), 40.0 - np.arange(T)], -1)
    np.testing.assert_allclose(np.hypot(*np.moveaxis(trace.position_m[:, 0], -1, 0)), at, rtol=1e-6)
    fading = drawn.gain / path_gain(scenario.channel, drawn.position_m)
    expected = fading[:, 0] * (299792458.0 / (4 * np.pi * 140e9)) ** 2 / at**2
    np.testing.assert_allclose(trace.gain[:, 0], expected, rtol=1e-4)
    np.testing.assert_array_equal(trace.data_bits, drawn.data_bits)


GOOD = "slot,device,data_bits\n0,0,1e6\n0,1,2e6\n1,0,3e6\n1,1,4e6\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("3e6", "x"), r"row 3, column data_bits: 'x' is not allowed; it must be a number from 1 to 1e15"),
        (GOOD.replace("3e6", ""), "row 3, column data_bits: ''"),
        (GOOD.replace("3e6", "nan"), "row 3, column data_bits"),
        (GOOD.replace("3e6", "0"), "row 3, column data_bits: '0'"),
        (GOOD.replace("1,0,", "1.5,0,"), "row 3, column slot: '1.5' is not allowed; it must be a whole number"),
        (GOOD.replace("1,0,", "0,0,"), "row 3: slot 0, device 0 is there twice"),
        (GOOD.replace("1,0,3e6\n", ""), "lacks a row for slot 1, device 0"),
        (GOOD.replace("1,0,", "-1,0,"), "row 3, column slot"),
        (GOOD.replace("1,0,", "1,9999999,"), "lacks a row for slot 0, device 2"),
        (GOOD.replace("data_bits", "data_bit"), "column 'data_bit', which is not known .did you mean 'data_bits'"),
        (GOOD.replace("slot", "data_bits"), "column 'data_bits' twice"),
        (GOOD.replace("data_bits", "cycles"), "it must have data_bits as well"),
        (GOOD.replace("slot,device", "qubits,device"), "lacks slot"),
        ("slot,device\n0,0\n", "lacks all of"),
        ("slot,device,data_bits\n", "has 0 rows"),
        (GOOD.replace("3e6", "3e6,4"), "cannot be read as csv"),
        ("", "cannot be read as csv"),
        ("\0\1", "cannot be read as csv"),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_place(tmp_path, text, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_table("tasks", path)
    assert str(caught.value).startswith(f"tasks '{path}'")
    assert is_one_sentence(str(caught.value)), caught.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no FCD file"),
        (b"<fcd-export><timestep time='0'>", "no FCD file"),
        (b"<routes></routes>", "must begin with <fcd-export>"),
        (b"<fcd-export></fcd-export>", "no time steps"),
        (fcd({0: {"a": ("x", 0)}}).encode(), "time step 1: x of <vehicle> is 'x'"),
        (fcd({0: {"a": ("nan", 0)}}).encode(), "time step 1: x of <vehicle> is 'nan'"),
        (fcd({1: {"a": (0, 0)}, 0: {"a": (0, 0)}}).encode(), "time step 2: 0 s does not follow 1 s"),
        (fcd({0: {"a": (0, 0)}, 1: {"b": (0, 0)}}).encode(), "nobody who is there"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_mistake_in_movements_is_one_sentence(tmp_path, content, said, packed):
    path = tmp_path / ("a.xml.gz" if packed else "a.xml")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match=said) as caught:
        read_fcd(path, 1.0)
    assert is_one_sentence(str(caught.value)), caught.value
    if packed:
        path.write_bytes(content[:20] or b"x")
        with pytest.raises(InputError, match="no FCD file"):
            read_fcd(path, 1.0)


def test_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(GOOD)
    Path("e.csv").write_text("device,cpu_hz\n0,1e9\n")
    assert main(["trace", "build", "o.npz", "--tasks", "t.csv"]) == 0
    assert main(["trace", "check", "o.npz"]) == 0
    assert main(["trace", "describe", "o.npz"]) == 0
    out = capsys.readouterr().out
    assert "2 slots, 1 rows, 2 devices" in out
    assert re.search(r"data_bits +1e\+06 +2\.5e\+06 +4e\+06", out)
    command = re.search(r"use: meqc-marl (.*)", out).group(1).split()
    assert main([*command, "--policies", "oracle", "greedy"]) == 0
    for words, said in [
        (["--tasks", "t.csv", "--equipment", "e.csv"], "different numbers of devices"),
        ([], "nothing is given"),
        (["--tasks", "t.csv", "--num-slots", "3"], "num-slots is 3"),
        (["--positions", "t.csv", "--movements", "t.csv"], "give one of them"),
        (["--tasks", "t.csv", "--scale-m", "nan"], "scale-m is nan"),
        (["--tasks", "t.txt"], "must end in .csv or .parquet"),
    ]:
        Path("o.npz").unlink(missing_ok=True)
        assert main(["trace", "build", "o.npz", *words]) == 2
        assert said in capsys.readouterr().err
        assert not Path("o.npz").exists()


def test_the_page_names_all_columns():
    for kind, (keys, columns) in KINDS.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `--{kind}`"))
        assert set(re.findall(r"`(\w+)`", row)) == {*keys, *columns}
