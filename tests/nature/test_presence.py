"""Who is there: in files, tables and movements, against what was written into them."""

import gzip

import numpy as np
import pytest
from comings import coming_and_going
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.nature.building import build_trace
from meqc_marl.nature.library import LibraryFiles, open_library
from meqc_marl.nature.movements import read_fcd
from meqc_marl.nature.presence import mean_of_present
from meqc_marl.nature.tables import read_table
from meqc_marl.nature.trace import NATURE, Trace, generate_trace
from meqc_marl.nature.trace_file import load_any_trace, save_trace
from tests.nature.test_building import fcd, grid, write
from tests.sentences import is_one_sentence

SCENARIO = load_scenario("small")
T, M = 4, 3
HERE = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 0, 1]], bool)


def same(a: Trace, b: Trace) -> None:
    for name in (*NATURE, "position_m", "present"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_a_file_keeps_who_is_there_and_nothing_of_who_is_not(tmp_path):
    trace = coming_and_going(SCENARIO, [0, 1], 9)
    save_trace(trace, tmp_path / "a.npz")
    read = load_any_trace(tmp_path / "a.npz")
    same(read, trace)
    assert (read.gain[~read.present] == 1.0).all()
    # By hand, as a truth value, and with anything in the place of the absent.
    with np.load(tmp_path / "a.npz") as file:
        given = dict(file)
    given["gain"] = np.where(trace.present, given["gain"], np.nan)
    given["qubits"] = np.where(trace.present, given["qubits"], -7.5)
    for kind in (bool, np.float32, np.int64):
        np.savez(tmp_path / "b.npz", **(given | {"present": trace.present.astype(kind)}))
        same(load_any_trace(tmp_path / "b.npz"), trace)
    one = {name: values[:, 0] if values.ndim > 2 else values[0] for name, values in given.items()}
    np.savez(tmp_path / "c.npz", **one)
    same(load_any_trace(tmp_path / "c.npz"), trace.row(0))


@pytest.mark.parametrize(
    ("present", "told"),
    [
        (np.full((9, 2, 3), 0.5), "present has the value 0.5; it must be 0 or 1"),
        (np.full((9, 2, 3), np.nan), "present has the value nan"),
        (np.ones((9, 2, 4)), r"present has shape \(9, 2, 4\); it must be \(9, 2, 3\)"),
        (np.stack([np.ones((9, 3)), np.zeros((9, 3))], 1), "present is 0 for all devices and slots of row 1"),
        (np.full((9, 2, 3), "yes"), "present holds '<U3'"),
    ],
)
def test_a_file_that_says_something_else(tmp_path, present, told):
    save_trace(coming_and_going(SCENARIO, [0, 1], 9), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        np.savez(tmp_path / "b.npz", **(dict(file) | {"present": present}))
    with pytest.raises(InputError, match=told) as caught:
        load_any_trace(tmp_path / "b.npz")
    assert is_one_sentence(str(caught.value)), caught.value


@given(st.lists(st.booleans(), min_size=2, max_size=4), st.integers(1, 6))
def test_rows_windows_and_stacks_keep_it(which, slots):
    parts = [
        coming_and_going(SCENARIO, [i], 6) if there else generate_trace(SCENARIO, [i], num_slots=6)
        for i, there in enumerate(which)
    ]
    stacked = Trace.stack(parts).window(0, slots)
    assert (stacked.present is None) == (not any(which))
    for i, part in enumerate(parts):
        expected = np.ones((slots, 1, 3), bool) if part.present is None else part.present[:slots]
        if stacked.present is not None:
            np.testing.assert_array_equal(stacked.row(i).present, expected)
            np.testing.assert_array_equal(stacked.slots(0, slots).present[:, i], expected[:, 0])


@given(arrays.arrays(float, (3, 4, 2), elements=st.floats(-9, 9)), arrays.arrays(bool, (3, 4, 2)))
def test_the_mean_of_those_who_are_there(values, present):
    for axis in (0, 1, 2, (0, 2), (0, 1, 2)):
        masked = np.ma.masked_array(values, ~present).mean(axis)
        expected = np.ma.filled(masked, 0.0) if masked is not np.ma.masked else 0.0
        np.testing.assert_allclose(mean_of_present(values, present, axis), expected, atol=1e-12)
    np.testing.assert_array_equal(mean_of_present(values, None, (0, 2)), values.mean((0, 2)))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_row_that_lacks_is_a_device_that_is_away_or_a_mistake(tmp_path, suffix):
    rows = grid(x=range(T * M), y=range(T * M))
    kept = np.flatnonzero(HERE.ravel())
    path = write(tmp_path / f"p{suffix}", {name: np.array(values)[kept].tolist() for name, values in rows.items()})
    with pytest.raises(InputError, match=r"lacks a row for slot 0, device 1; .* or say that devices come and go") as e:
        read_table("positions", path)
    assert is_one_sentence(str(e.value))
    table = read_table("positions", path, come_and_go=True)
    np.testing.assert_array_equal(table["present"], HERE)
    np.testing.assert_array_equal(table["x"], np.where(HERE, np.arange(T * M).reshape(T, M), 0))


def test_a_column_says_who_is_there_and_then_the_other_cells_may_hold_anything(tmp_path):
    text = "slot,device,data_bits,cycles,present\n"
    for slot in range(T):
        for device in range(M):
            there = HERE[slot, device]
            text += f"{slot},{device},{'1e8,2e8,1' if there else ',no,0'}\n"
    (tmp_path / "tasks.csv").write_text(text)
    table = read_table("tasks", tmp_path / "tasks.csv")
    np.testing.assert_array_equal(table["present"], HERE)
    trace = build_trace(SCENARIO, {"tasks": table})
    np.testing.assert_array_equal(trace.present[:, 0], HERE)
    assert (trace.data_bits[trace.present] == 1e8).all()
    assert (trace.cycles_per_bit[trace.present] == 2.0).all()
    drawn = generate_trace(SCENARIO, [0], num_slots=T)
    np.testing.assert_array_equal(trace.gain[trace.present], drawn.gain[trace.present])
    (tmp_path / "tasks.csv").write_text(text.replace("1e8,2e8,1", "x,2e8,1", 1))
    with pytest.raises(InputError, match="row 1, column data_bits: 'x' is not allowed"):
        read_table("tasks", tmp_path / "tasks.csv")
    (tmp_path / "tasks.csv").write_text(text.replace(",1\n", ",2\n", 1))
    with pytest.raises(InputError, match="row 1, column present: '2' is not allowed; it must be a whole number from 0"):
        read_table("tasks", tmp_path / "tasks.csv")
    (tmp_path / "tasks.csv").write_text("".join(text.splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="lacks a row for slot 3, device 2"):
        read_table("tasks", tmp_path / "tasks.csv")


def test_two_tables_must_agree_on_who_is_there_and_a_whole_one_says_nothing(tmp_path):
    tasks = write(tmp_path / "tasks.csv", grid(data_bits=[1e8] * (T * M)))
    gains = write(tmp_path / "gains.csv", grid(gain=[1e-9] * (T * M), present=HERE.ravel()))
    known = {kind: read_table(kind, path, True) for kind, path in (("tasks", tasks), ("gains", gains))}
    np.testing.assert_array_equal(build_trace(SCENARIO, known).present[:, 0], HERE)
    other = HERE.copy()
    other[2, 1] = True
    known["tasks"]["present"] = other
    with pytest.raises(InputError, match="tasks have device 1 in slot 2 and gains do not") as caught:
        build_trace(SCENARIO, known)
    assert is_one_sentence(str(caught.value))
    known["tasks"]["present"] = known["gains"]["present"] = np.zeros((T, M), bool)
    with pytest.raises(InputError, match="somebody must be there"):
        build_trace(SCENARIO, known)


PRESENCE = st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=4)


@settings(max_examples=20)
@given(PRESENCE, st.sampled_from([0.5, 0.75, 1.0, 2.0]), st.sampled_from([None, 0.25, 1.0]))
def test_movements_of_those_who_come_and_go(tmp_path_factory, there, slot_s, begin_s):
    there = np.array(there).T  # [9 steps of half a second, vehicles]
    steps = {0.5 * k: {f"v{i}": (10.0 * i + k, -(k**2)) for i in np.flatnonzero(there[k])} for k in range(len(there))}
    path = tmp_path_factory.mktemp("fcd") / "a.xml.gz"
    path.write_bytes(gzip.compress(fcd(steps).encode()))
    at = np.arange(begin_s or 0.0, 4.0 + 1e-9, slot_s)
    # By hand: between two time steps on end that both tell of it, or on one that does.
    expected = {}
    for i in range(there.shape[1]):
        present, place = np.zeros(len(at), bool), np.zeros((len(at), 2))
        for n, time in enumerate(at):
            k, part = divmod(time, 0.5)
            k = int(k)
            if part < 1e-9 and there[k, i]:
                present[n], place[n] = True, (10.0 * i + k, -(k**2))
            elif part > 1e-9 and there[k, i] and there[k + 1, i]:
                mix = part / 0.5
                present[n] = True
                place[n] = (10.0 * i + k + mix, -((1 - mix) * k**2 + mix * (k + 1) ** 2))
        if present.any():
            expected[f"v{i}"] = (present, place)
    if not expected:
        with pytest.raises(InputError, match="nobody who is there in a slot"):
            read_fcd(path, slot_s, begin_s, come_and_go=True)
        return
    names, way, present = read_fcd(path, slot_s, begin_s, come_and_go=True)
    assert sorted(names) == sorted(expected)
    for m, name in enumerate(names):
        np.testing.assert_array_equal(present[:, m], expected[name][0])
        np.testing.assert_allclose(way[:, m], expected[name][1], atol=1e-9)
    stay = [name for name in names if expected[name][0].all()]
    if stay and begin_s is None and (np.diff(at) == 0.5).all():
        assert set(read_fcd(path, slot_s)[0]) == set(stay)


def test_the_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = {float(t): {"bus": (t, 9.0), **({"car": (40.0, -t)} if 3 <= t < 7 else {})} for t in range(10)}
    (tmp_path / "a.xml").write_text(fcd(steps))
    build = ["trace", "build", "--movements", "a.xml", "--scenario", "small"]
    assert main([*build, "all.npz", "--come-and-go"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "10 slots, 2 devices, of whom 1.4 are there in the mean (from 1 to 2)" in told
    assert "devices from 0 on: 'bus' 'car'" in told
    assert main([*build, "stay.npz"]) == 0
    assert load_any_trace("stay.npz").num_devices == 1
    trace = load_any_trace("all.npz")
    np.testing.assert_array_equal(trace.present[:, 0, 1], (np.arange(10) >= 3) & (np.arange(10) < 7))
    np.testing.assert_allclose(trace.position_m[5, 0, 1], (40.0, -5.0))
    assert main(["trace", "describe", "all.npz"]) == 0
    rows = {
        line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if len(line.split()) == 4
    }
    assert next(float(value) for value in rows["distance_m"]) == pytest.approx(9.0)
    assert float(rows["data_bits"][0]) > 1e6
    assert main(["trace", "plot", "all.npz", "all.png"]) == 0
    assert main(["trace", "join", "both.npz", "all.npz", "all.npz"]) == 0
    np.testing.assert_array_equal(load_any_trace("both.npz").present, np.repeat(trace.present, 2, 1))
    capsys.readouterr()
    for words, said in (
        (["--come-and-go", "x.npz", "--num-devices", "3"], "only 2 are there in any slot"),
        (["x.npz", "--num-devices", "2"], "only 1 are there in every slot"),
    ):
        assert main([*build, *words]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "e.csv").write_text("device,cpu_hz\n0,1e9\n")
    assert main(["trace", "build", "x.npz", "--equipment", "e.csv", "--come-and-go"]) == 2
    assert "it is for tasks, positions, movements or gains" in capsys.readouterr().err
    (tmp_path / "a.movements").write_text("0 1 2 5 3 4\n")
    assert main(["trace", "build", "x.npz", "--movements", "a.movements", "--come-and-go"]) == 2
    assert "none comes or goes" in capsys.readouterr().err


def test_a_library_tells_it_of_all_rows_or_of_none(tmp_path):
    save_trace(generate_trace(SCENARIO, [0], num_slots=20), tmp_path / "stay.npz")
    save_trace(coming_and_going(SCENARIO, [1], 20), tmp_path / "come.npz")
    library = open_library(LibraryFiles.of([tmp_path]))
    assert library.comes_and_goes
    drawn = library.draw(range(20), 0, 8)
    assert drawn.present.shape == (8, 20, 3)
    assert 0 < drawn.present.all((0, 2)).sum() < 20
    assert library.held_out_trace(2, 4).present is not None
    away = coming_and_going(SCENARIO, [1], 20)
    away.present[16:] = False
    (tmp_path / "away").mkdir()
    save_trace(away, tmp_path / "away" / "gone.npz")
    with pytest.raises(InputError, match="'gone' has nobody who is there in the 4 slots held out") as caught:
        open_library(LibraryFiles.of([tmp_path / "away"]))
    assert is_one_sentence(str(caught.value))
    alone = open_library(LibraryFiles.of([tmp_path / "stay.npz"]))
    assert not alone.comes_and_goes
    assert alone.draw([3], 0, 8).present is None


def test_more_vehicles_than_fit_are_refused_before_they_are_laid_out(tmp_path, monkeypatch):
    monkeypatch.setattr("meqc_marl.nature.movements.MAX_DEVICE_SLOTS", 20)
    steps = {float(t): {f"v{t}": (t, 0.0), f"w{t}": (t, 1.0)} for t in range(5)}
    (tmp_path / "a.xml").write_text(fcd(steps))
    assert read_fcd(tmp_path / "a.xml", 1.0, num_slots=2, come_and_go=True).present.shape == (2, 4)
    with pytest.raises(InputError, match="more than 4 devices in 5 slots are more than 20 places") as caught:
        read_fcd(tmp_path / "a.xml", 1.0, come_and_go=True)
    assert is_one_sentence(str(caught.value))
