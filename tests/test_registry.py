"""Parts from outside the package: the examples of docs/own-parts.md run, and every mistake is one sentence."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from joint_brute_force import by_brute_force

from experiments.figures.job import figure_of
from meqc_marl.config import load_scenario, save_scenario
from meqc_marl.errors import InputError
from meqc_marl.nature.channel import FADING
from meqc_marl.nature.mobility import MOBILITY
from meqc_marl.nature.tasks import TASK_SOURCES
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.allocation import ALLOCATION
from meqc_marl.physics.places import Work, price
from meqc_marl.policies import make_policy
from meqc_marl.policies.joint.search import _Search, joint_optimum
from meqc_marl.registry import KINDS, find
from tests.sentences import is_one_sentence

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own-parts.md").read_text(encoding="utf-8")
MODULES = {
    re.match(r"# (\w+\.py):", code).group(1): code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
}
COMMANDS = re.findall(r"^PYTHONPATH=\. meqc-marl (.*)$", PAGE, re.MULTILINE)
FIELDS = {
    "mobility": "mobility.kind",
    "fading": "channel.fading",
    "tasks": "tasks.source",
    "allocation": "resources.allocation",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The modules of the page in a folder of their own, importable."""
    for name, code in MODULES.items():
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    find.cache_clear()
    yield tmp_path
    find.cache_clear()
    for name in MODULES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.fixture
def refused(folder):
    """The sentence in which something is refused; the module ``bad_parts`` can be imported."""
    (folder / "bad_parts.py").write_text(BAD)

    def sentence(said, work, *given, **named):
        with pytest.raises(InputError, match=said) as caught:
            work(*given, **named)
        assert is_one_sentence(str(caught.value)), caught.value
        return str(caught.value)

    yield sentence
    sys.modules.pop("bad_parts", None)


def outside(folder, words):
    return subprocess.run(
        [sys.executable, "-m", "meqc_marl.cli", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_page_has_an_example_of_every_kind_of_at_most_forty_lines():
    assert len(MODULES) == len(COMMANDS) == len(KINDS)
    assert all(len(code.splitlines()) <= 40 for code in MODULES.values())
    for kind, (_, parameters) in KINDS.items():
        assert f"`{', '.join(parameters)}`" in PAGE or not parameters, kind
        assert f"meqc_marl.{kind}" in PAGE


def test_the_examples_run_outside_the_package_all_at_once(folder):
    compares = [command for command in COMMANDS if command.startswith("compare --scenario small")]
    words = [word for command in compares for word in shlex.split(command)[3:]]
    words += ["--num-traces", "2", "--num-slots", "20", "--json", "out.json"]
    done = outside(folder, ["compare", "--scenario", "small", *words])
    assert done.returncode == 0, done.stderr
    assert "dutiful" in done.stdout
    assert "dutiful" in json.loads((folder / "out.json").read_text())["policies"]


def test_pools_divided_otherwise_outside_the_package(folder):
    (command,) = (command for command in COMMANDS if "resources.allocation" in command)
    words = [*shlex.split(command), "--num-traces", "2", "--num-slots", "5", "--json", "out.json"]
    costs = []
    for more in ([], ["--set", "resources.allocation=equal"]):
        done = outside(folder, [*words, *more])
        assert done.returncode == 0, done.stderr
        costs.append(json.loads((folder / "out.json").read_text())["policies"]["joint-oracle"]["cost"])
    assert costs[0] != costs[1]


def test_a_figure_outside_the_package(folder):
    (command,) = (command for command in COMMANDS if command.startswith("figure"))
    done = outside(folder, [*shlex.split(command), "--scale", "smoke", "--out", "figures"])
    assert done.returncode == 0, done.stderr
    made = folder / "figures" / "smoke-exact"
    assert {path.name for path in made.iterdir()} == {f"figbandwidth.{kind}" for kind in ("json", "png", "pdf")}
    content = json.loads((made / "figbandwidth.json").read_text())
    assert content["figure"] == "bandwidth"
    assert [setting["x"] for setting in content["settings"]] == [20, 500]


def test_what_they_draw(folder, small, tmp_path):
    scenario = load_scenario(small, ["mobility.kind=my_mobility:circle", "tasks.source=my_tasks:peptides"])
    save_scenario(scenario, tmp_path / "mine.yaml")
    assert load_scenario(tmp_path / "mine.yaml") == scenario
    trace, before = generate_trace(scenario, [0, 1], num_slots=30), generate_trace(small, [0, 1], num_slots=30)
    radius = np.hypot(trace.position_m[..., 0], trace.position_m[..., 1])
    np.testing.assert_allclose(radius, radius[:1].repeat(30, 0), rtol=1e-4)
    np.testing.assert_allclose(trace.position_m[0], before.position_m[0], rtol=1e-4)
    np.testing.assert_array_equal(trace.data_bits, before.data_bits)  # the order of the draws is the same
    assert set(np.unique(trace.qubits)) <= {2 * (n - 4) + 1 + (n - 4) ** 2 // 4 for n in [*range(10, 28), 80]}
    assert not np.array_equal(trace.qubits, before.qubits)
    faded = generate_trace(load_scenario(small, ["channel.fading=my_fading:rayleigh"]), [0, 1], num_slots=30)
    plain = generate_trace(load_scenario(small, ["channel.rician_k=0"]), [0, 1], num_slots=30)
    np.testing.assert_allclose(faded.gain, plain.gain, rtol=1e-5)  # Rayleigh is Rician without a line of sight


def test_names_of_entry_points(folder):
    about = folder / "my_parts-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-parts\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[meqc_marl.mobility]\ncircle = my_mobility:circle\n[meqc_marl.policies]\ndutiful = my_policy:Dutiful\n"
    )
    assert load_scenario("small", ["mobility.kind=circle"]).mobility.kind == "circle"
    assert make_policy("dutiful", load_scenario("small")).name == "dutiful"
    with pytest.raises(InputError, match=r"did you mean 'circle'"):
        load_scenario("small", ["mobility.kind=circel"])


BAD = """
import numpy as np
NUMBER = 3
def other(a, b): pass
def mobility_of_nothing(mobility, slot_s, start, innovation, position_m): pass
def constant_fading(channel, in_phase, quadrature): return np.full(in_phase.shape, np.nan)
def short_fading(channel, in_phase, quadrature): return in_phase[:1] ** 2
def tiny_tasks(tasks, which, time): return np.full(which.shape, 3), np.full(time.shape, 1e-4)
def one_array(tasks, which, time): return which
def no_policy(scenario): return 3
def more_for_more(pools, load): return pools.band_hz * load.band, pools.server_hz / load.cpu, load.qpu
def faster_together(pools, load): return pools.band_hz / load.band, pools.server_hz / load.cpu, 3.0 / load.qpu
def nothing_left(pools, load): return 0.0, pools.server_hz / load.cpu, load.qpu
def two_of_three(pools, load): return pools.band_hz, pools.server_hz
def wrong_shape(pools, load): return np.ones(7), pools.server_hz / load.cpu, load.qpu
def no_figure(): return 3
def figure_6():
    from experiments.figures.fig6 import FIGURE
    return FIGURE
def no_settings():
    from dataclasses import replace
    from experiments.figures.fig6 import FIGURE
    return replace(FIGURE, name="mine", settings=())
def oracle(scenario):
    from meqc_marl.policies import make_policy
    return make_policy("oracle", scenario)
"""


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module_x:f", "cannot be imported"),
        ("bad_parts:nothing", "cannot be imported"),
        ("bad_parts:NUMBER", "cannot be called"),
        ("bad_parts:other", r"takes \(a, b\); it must take"),
        ("broken_parts:f", "ZeroDivisionError"),
        ("os:system", "it must take"),
        *((name, "module:function") for name in ("", ":", "a:", "a b:c", "x:y:z", "../x:f", "nothing like it")),
    ],
)
def test_a_part_that_cannot_be_used_is_one_sentence(folder, refused, kind, name, said):
    (folder / "broken_parts.py").write_text("1 / 0\n")
    told = refused(said, load_scenario, "small", [f"{FIELDS[kind]}={json.dumps(name)}"])
    assert told.startswith(f"{FIELDS[kind]} is ")


@pytest.mark.parametrize(
    ("field", "part", "said"),
    [
        ("mobility.kind", "mobility_of_nothing", "must fill position_m"),
        ("channel.fading", "constant_fading", "at least 0"),
        ("channel.fading", "short_fading", "must be"),
        ("tasks.source", "tiny_tasks", "from 7 to 5,000"),
        ("tasks.source", "one_array", "two arrays"),
    ],
)
def test_what_a_part_gives_is_checked(refused, field, part, said):
    scenario = load_scenario("small", [f"{field}=bad_parts:{part}"])
    refused(f"{field} is 'bad_parts:{part}'.*{said}", generate_trace, scenario, [0], num_slots=5)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("more_for_more", "band that it gives a device must not be better"),
        ("faster_together", "slowdown that it gives a device must not be better"),
        ("nothing_left", "band that it gives must be .*above 0"),
        ("two_of_three", "three arrays"),
        ("wrong_shape", "band that it gives must be"),
    ],
)
def test_what_an_allocation_gives_is_checked(refused, part, said):
    scenario = load_scenario("pooled", [f"resources.allocation=bad_parts:{part}"])
    slot = generate_trace(scenario, [0], num_slots=1).slot(0)
    refused(f"resources.allocation is 'bad_parts:{part}'.*{said}", price, scenario, slot)


def test_an_allocation_needs_a_pool(folder):
    with pytest.raises(InputError, match="with nothing pooled it must be 'equal'"):
        load_scenario("small", ["resources.allocation=my_allocation:scheduled"])
    with pytest.raises(InputError, match="with a queued server or QPU it must be 'equal'"):
        load_scenario("queued", ["resources.allocation=my_allocation:scheduled"])


def test_the_joint_optimum_with_another_allocation_is_that_of_brute_force(folder):
    changed = ["num_devices=4", "resources.allocation=my_allocation:scheduled"]
    scenario, equal = load_scenario("pooled", changed), load_scenario("pooled", changed[:1])
    differs = []
    for seed in range(4):
        slot = generate_trace(scenario, [seed], num_slots=1).slot(0)
        work, backlog = Work.of(scenario, slot), np.random.default_rng(seed).uniform(0, 30, slot.gain.shape)
        found = joint_optimum(scenario, work, backlog)
        assert found.proven.all()
        least = by_brute_force(scenario, work, backlog, 4001)
        assert least - 0.02 <= found.value[0] <= least + 1e-9
        searched = _Search(scenario, work, backlog, 0).run(None, 1)
        assert searched.value == pytest.approx(found.value[0], rel=1e-12, abs=1e-9)
        differs.append(found.value[0] > joint_optimum(equal, work, backlog).value[0] + 1e-9)
    assert any(differs)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bad_parts:no_figure", "must make a Figure"),
        ("bad_parts:figure_6", "not that of one of the paper's"),
        ("bad_parts:no_settings", "must have settings"),
        ("bad_parts:other", "it must take"),
        ("no_such_module_x:f", "cannot be imported"),
        ("5d", "is unknown"),
    ],
)
def test_a_figure_that_cannot_be_used_is_one_sentence(refused, name, said):
    refused(said, figure_of, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bad_parts:no_policy", "it must make a Policy"),
        ("bad_parts:oracle", "is called 'oracle', as a built-in one is"),
        ("bad_parts:other", "it must take"),
        ("no_such_module_x:f", "cannot be imported"),
        ("oracel", "did you mean 'oracle'"),
    ],
)
def test_a_policy_that_cannot_be_used_is_one_sentence(refused, name, said):
    refused(said, make_policy, name, load_scenario("small"))


def test_built_in_names_are_those_of_the_tables():
    for kind, table in {
        "mobility": MOBILITY,
        "fading": FADING,
        "tasks": TASK_SOURCES,
        "allocation": ALLOCATION,
    }.items():
        assert KINDS[kind].built_in == tuple(table)
