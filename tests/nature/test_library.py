"""Libraries of traces: what is drawn, what is held out, and every mistake in one sentence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meqc_marl
from meqc_marl.config import load_scenario
from meqc_marl.config.variation import parse_variations
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.varied import VariedSimulator
from meqc_marl.errors import InputError
from meqc_marl.evaluation.held_out import held_out_traces
from meqc_marl.nature.library import LibraryFiles, fixed_by_traces, open_library, read_traces
from meqc_marl.nature.trace import NATURE, generate_trace
from meqc_marl.nature.trace_file import load_any_trace, save_trace
from meqc_marl.rl.offloading_env import OffloadingBatchedEnv
from tests.sentences import is_one_sentence

SCENARIO = load_scenario("small", ["horizon=8"])
LENGTHS = {"morning": (1, 20), "noon": (2, 12), "night": (1, 30)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("library")
    for number, (name, (rows, slots)) in enumerate(LENGTHS.items()):
        save_trace(
            generate_trace(SCENARIO, range(10 * number, 10 * number + rows), num_slots=slots), where / f"{name}.npz"
        )
    return where


def windows(trace, length):
    """Every stretch of a trace's rows, by the bits of its gains."""
    gain = trace.gain
    return {
        gain[start : start + length, row].tobytes()
        for row in range(trace.num_envs)
        for start in range(trace.num_slots - length + 1)
    }


def refused(work):
    with pytest.raises(InputError) as caught:
        work()
    assert is_one_sentence(str(caught.value)), str(caught.value)
    return str(caught.value)


def test_rows_that_are_held_out_by_name_are_never_drawn(folder):
    library = open_library(LibraryFiles.of([folder], ["night", "noon:1"]), 3)
    seen = windows(load_any_trace(folder / "morning.npz"), 8) | windows(load_any_trace(folder / "noon.npz").row(0), 8)
    drawn = {library.draw([seed], 0, 8).gain[:, 0].tobytes() for seed in range(300)}
    assert drawn <= seen
    assert len(drawn) == len(seen)  # all 13 + 5 of them
    held = library.held_out_trace(10, 1_000)
    assert (held.num_envs, held.num_slots) == (2, 12)  # the shortest
    np.testing.assert_array_equal(held.gain[:, 0], load_any_trace(folder / "night.npz").gain[:12, 0])
    np.testing.assert_array_equal(held.gain[:, 1], load_any_trace(folder / "noon.npz").gain[:, 1])


def test_by_default_the_last_fifth_of_every_row_is_held_out(folder):
    library = open_library(LibraryFiles.of([folder / "morning.npz", folder / "night.npz"]), 3)
    assert [row.num_slots for row in library.training] == [16, 24]
    assert [row.num_slots for row in library.held_out] == [4, 6]
    whole = load_any_trace(folder / "night.npz")
    np.testing.assert_array_equal(library.held_out[1].gain, whole.gain[24:])
    np.testing.assert_array_equal(library.training[1].gain, whole.gain[:24])


@settings(max_examples=30, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=4), episode=st.integers(0, 50), data=st.data())
def test_a_row_depends_on_its_seed_and_the_episode_alone(folder, seeds, episode, data):
    library = open_library(LibraryFiles.of([folder]), 3)
    together = library.draw(seeds, episode, 8)
    row = data.draw(st.integers(0, len(seeds) - 1))
    alone = library.draw([seeds[row]], episode, 8)
    for name in (*NATURE, "position_m"):
        np.testing.assert_array_equal(getattr(together, name)[:, row], getattr(alone, name)[:, 0])
    np.testing.assert_array_equal(together.equipment.cpu_hz[row], alone.equipment.cpu_hz[0])


@pytest.mark.parametrize("vary", [(), ("lyapunov.v=0.1,10",)])
def test_a_simulator_goes_on_exactly_from_its_state(folder, vary):
    library = open_library(LibraryFiles.of([folder], ["night"]), 3)

    def make():
        if vary:
            return VariedSimulator(SCENARIO, 2, parse_variations(SCENARIO, vary), library)
        return OffloadingSimulator(SCENARIO, 2, library)

    one, other = make(), make()
    one.reset([5, 6])
    one.reset()
    act = (np.full((2, 3), 1, np.int8), np.full((2, 3), 0.5))
    for _ in range(3):
        one.step(*act)
    other.set_state(one.get_state())
    for _ in range(5):
        np.testing.assert_array_equal(one.observation, other.observation)
        np.testing.assert_array_equal(one.step(*act).cost, other.step(*act).cost)
    assert one.truncated


def test_an_episode_is_no_longer_than_the_shortest_row(folder):
    library = open_library(LibraryFiles.of([folder], ["night"]), 3)
    simulator = OffloadingSimulator(load_scenario("small"), 1, library)  # horizon 100
    assert simulator.horizon == 12
    assert OffloadingBatchedEnv(SCENARIO, 3, library).simulator.horizon == 8


def test_the_environment_takes_files_and_libraries(folder):
    files = [folder / "morning.npz", folder / "night.npz"]
    seen = windows(load_any_trace(files[0]), 8) | windows(load_any_trace(files[1]), 8)
    for nature in (files, LibraryFiles.of(files), open_library(LibraryFiles.of(files), 3)):
        env = meqc_marl.parallel_env("small", ["horizon=8"], trace=nature)
        first = env.reset(seed=3)[0]["mobile_1"]
        np.testing.assert_array_equal(first, env.reset(seed=3)[0]["mobile_1"])
        assert not np.array_equal(first, env.reset()[0]["mobile_1"])
        assert env.simulator.trace.gain.tobytes() in seen


def test_held_out_traces_are_the_librarys(folder):
    files = LibraryFiles.of([folder], ["noon"])
    trace = held_out_traces(SCENARIO, 4, None, files)
    np.testing.assert_array_equal(trace.gain, load_any_trace(folder / "noon.npz").gain[:8])


def test_a_file_that_has_changed_is_refused_by_name(folder, tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes((folder / "noon.npz").read_bytes())
    files = LibraryFiles.of([path])
    save_trace(generate_trace(SCENARIO, [99, 98], num_slots=12), path)
    told = refused(lambda: open_library(files, 3))
    assert "mine.npz' is another than the run was begun with" in told
    path.unlink()
    assert "No such file" in refused(lambda: open_library(LibraryFiles(files=files.files, held_out=("x",)), 3))


@pytest.mark.parametrize(
    ("names", "held_out", "told"),
    [
        (["nothing.npz"], [], "cannot be read: No such file"),
        ([], [], "0 files are given"),
        (["morning.npz", "morning.npz"], [], "two files are called 'morning'"),
        (["morning.npz"], ["mourning"], "did you mean 'morning'"),
        (["noon.npz"], ["noon:2"], "is no row of the library"),
        (["morning.npz"], ["morning"], "all of the 1 row(s)"),
        (["noon.npz"], ["noon:0", "noon:1"], "all of the 2 row(s)"),
        (["a\0b"], [], "null character"),
        (["s3://me:secret@bucket/x"], [], "holds a secret"),
    ],
)
def test_libraries_that_are_none(folder, names, held_out, told):
    places = [name if "://" in name else f"{folder}/{name}" for name in names]
    assert told in refused(lambda: open_library(LibraryFiles.of(places, held_out), 3))


def test_too_short_to_hold_slots_out_and_other_devices(folder, tmp_path):
    save_trace(generate_trace(SCENARIO, [1], num_slots=4), tmp_path / "short.npz")
    assert "hold the last fifth of them out" in refused(lambda: open_library(LibraryFiles.of([tmp_path]), 3))
    save_trace(generate_trace(load_scenario("small", ["num_devices=2"]), [1], num_slots=9), tmp_path / "two.npz")
    for devices in (3, None):
        assert "devices as in the scenario" in refused(lambda: open_library(LibraryFiles.of([tmp_path]), devices))  # noqa: B023


def test_rows_of_several_files_side_by_side(folder):
    trace = read_traces([folder], SCENARIO)
    assert (trace.num_envs, trace.num_slots) == (4, 12)
    np.testing.assert_array_equal(trace.gain[:, 0], load_any_trace(folder / "morning.npz").gain[:12, 0])  # by name


def test_identity_does_not_say_where_files_lie(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert LibraryFiles.of([folder]).identity() == LibraryFiles.of([tmp_path]).identity()
    assert LibraryFiles.of([folder]).identity() != LibraryFiles.of([folder], ["noon"]).identity()


def test_fields_that_traces_fix():
    fixed = {"num_devices", "tasks.residues", "devices.lambda_t", "mobility.kind", "channel.fading"}
    assert all(map(fixed_by_traces, fixed))
    assert not any(map(fixed_by_traces, ("channel.bandwidth_hz", "lyapunov.v", "quantum.error_rate", "horizon")))
