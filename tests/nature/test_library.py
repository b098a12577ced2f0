"""Libraries of traces: what is drawn, what is held out, and every mistake in one sentence."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meqc_marl
from meqc_marl.cli import main
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
from tests.cluster.test_bucket import BUCKET, server, uri  # noqa: F401 (a fixture)
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


def test_the_snippet_of_the_page_runs(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    made = {}
    exec(code, made)
    assert set(made["observations"]) == {f"mobile_{device}" for device in range(3)}
    assert made["env"].simulator.horizon == 80  # of 100 slots the last fifth is held out


def test_a_library_in_a_bucket(folder, request):
    """A folder of it, and a file; its secrets stay in the environment."""
    address, client = request.getfixturevalue("server")
    for path in folder.iterdir():
        client.upload_file(str(path), BUCKET, f"traces/{path.name}")
    where = uri(address, BUCKET).replace("/sweep?", "/traces?")
    files = LibraryFiles.of([where], ["noon"])
    assert files.identity() == LibraryFiles.of([folder], ["noon"]).identity()
    here, there = open_library(LibraryFiles.of([folder], ["noon"]), 3), open_library(files, 3)
    np.testing.assert_array_equal(here.draw([1, 2], 3, 8).gain, there.draw([1, 2], 3, 8).gain)
    one = LibraryFiles.of([where.replace("/traces?", "/traces/night.npz?")])
    assert [file.name for file in one.files] == ["night"]
    told = refused(lambda: LibraryFiles.of([where.replace("/traces?", "/missing/x.npz?")]))
    assert "missing/x.npz' cannot be read" in told
    assert "endpoint_override" not in told


def test_the_commands_for_files(folder, tmp_path, capsys):
    joined, picture = tmp_path / "all.npz", tmp_path / "night.png"
    assert main(["trace", "join", str(joined), str(folder)]) == 0
    np.testing.assert_array_equal(load_any_trace(joined).gain, read_traces([folder]).gain)
    assert main(["trace", "plot", str(folder / "noon.npz"), str(picture), "--row", "1"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    before = joined.read_bytes()
    for words, told in (
        (["join", str(joined), str(joined)], "the same file as trace"),
        (["join", str(tmp_path / "x.npz"), str(folder / "gone.npz")], "No such file"),
        (["join", str(tmp_path / "x.npz")], "no file is given"),
        (["join", str(tmp_path / "x.npz"), str(folder.parent / "none")], "No such file"),
        (["plot", str(joined), str(joined)], "must end in .png, .pdf or .svg"),
        (["plot", str(joined), str(picture), "--row", "4"], "row: 4 is not allowed; it must be at most 3"),
        (["plot", str(picture), str(picture)], "the same file as trace"),
    ):
        assert main(["trace", *words]) == 2
        assert told in capsys.readouterr().err
    assert joined.read_bytes() == before


def test_what_if_and_comparison_on_several_files(folder, tmp_path, capsys):
    files, out = [str(folder / "morning.npz"), str(folder / "noon.npz")], str(tmp_path / "out.json")
    words = ["--scenario", "small", "--trace", *files]
    assert main(["compare", *words, "--policies", "oracle", "--json", out]) == 0
    assert "12 slots, 3 trace(s)" in capsys.readouterr().out
    compared = json.loads(Path(out).read_text())["policies"]["oracle"]["cost"]["per_trace"]
    assert main(["vary", "lyapunov.v=1,2", *words, "--json", out]) == 0
    assert "3 traces that were given" in " ".join(capsys.readouterr().out.split())
    point = json.loads(Path(out).read_text())["points"][0]
    np.testing.assert_allclose(point["policies"]["oracle"]["cost"]["per_trace"], compared, rtol=1e-12)
    assert main(["vary", "tasks.residues=30,60", *words]) == 2
    assert "axis tasks.residues has no effect where traces are given" in capsys.readouterr().err
