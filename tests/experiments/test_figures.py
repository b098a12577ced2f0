"""The figures: data files, pictures, verdicts that can go either way, and the same data from the same seed."""

import importlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from experiments.figures.claims import learned_near_exact, ours_best_everywhere, ranking
from experiments.figures.data import Data
from experiments.figures.draw import draw_over_settings, draw_over_slots
from experiments.figures.figure import AS_PRINTED, SCALES, Scale, Setting, as_printed
from experiments.figures.job import FigureJob, figure_of
from experiments.figures.methods import HYBRID, METHODS, RANDOM
from experiments.figures.trials import figure_trials
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.held_out import HELD_OUT_SEED
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.perform import perform
from meqc_marl.jobs.run import Placement
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy

NAMES = ("3a", "3b", "3c", "4", "5a", "5b", "5c", "6")


def make(name, folder, scale="smoke", exact_only=True):
    """Make a figure; its data."""
    perform(Description(FigureJob(name=name, scale=scale, exact_only=exact_only), str(folder), Placement()), print)
    return Data(json.loads((folder / f"fig{name}.json").read_text()))


def test_there_is_a_module_for_every_figure():
    folder = Path(importlib.import_module("experiments.figures.figure").__file__).parent
    assert {path.stem.removeprefix("fig") for path in folder.glob("fig?*.py") if path.stem != "figure"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_exact_part_gives_data_and_picture_and_the_same_again(tmp_path, name):
    files = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        make(name, folder)
        assert (folder / f"fig{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"fig{name}.pdf").read_bytes().startswith(b"%PDF")
        files.append([(folder / f"fig{name}.{kind}").read_bytes() for kind in ("json", "png", "pdf")])
    assert files[0] == files[1]
    content = json.loads(files[0][0])
    assert len(content["rows"]) == len(content["settings"]) * len(figure_of(name).methods)


def test_scores_are_those_of_the_registered_policies(tmp_path):
    data = make("6", tmp_path)
    scenario = load_scenario("paper", ["lyapunov.delta=1.0"])
    trace = generate_trace(scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + 2), num_slots=30)
    for method in METHODS:
        cost = rollout(make_policy(method.exact, scenario), scenario, trace).cost.mean((0, 2), dtype=np.float64)
        np.testing.assert_allclose(data.scores("Delta=1", method.name, "exact")[0], cost, atol=1e-5)


def test_an_unknown_scale_is_told_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="scale is 'huge'; it must be one of smoke, quick, paper"):
        make("6", tmp_path, "huge")
    with pytest.raises(InputError, match="figure '7' is unknown; known are 3a, 3b, 3c, 4, 5a, 5b, 5c, 6"):
        make("7", tmp_path)
    assert not list(tmp_path.iterdir())


def made_up(costs, learned=None):
    """Data of one setting: a mean cost for each method, four traces apart by the same amounts."""
    rows = []
    for kind, by_name in (("exact", costs), ("learned", learned or {})):
        for name, cost in by_name.items():
            scores = {
                "deadline_missed_feasible": [[0.01] * 4],
                "shortfall": [[0.0, 0.0, 0.005, 0.0]],
                "fraction": [[0.7 if name == HYBRID.name else 0.4] * 4],
            }
            rows.append(
                {"setting": "s", "method": name, "kind": kind, "cost": [[cost + t for t in range(4)]], **scores}
            )
    return Data({"settings": [{"name": "s", "x": 0.0, "optimum": [1.0] * 4, "out_of_reach": 0.0}], "rows": rows})


def verdicts(claims):
    return [claim.verdict for claim in claims]


BY_RANK = {method.name: 10.0 + rank for rank, method in enumerate(METHODS)}


def test_ranking_can_go_either_way():
    assert verdicts(ranking(made_up(BY_RANK), "s")) == ["holds"] * 3
    assert verdicts(ranking(made_up(BY_RANK | {"QPU continuous": 9.5}), "s"))[0] == "does not hold"
    assert verdicts(ranking(made_up(BY_RANK | {RANDOM.name: 11.5}), "s"))[1] == "does not hold"
    assert verdicts(ranking(made_up(BY_RANK | {"CPU discrete": 10.5}), "s"))[2] == "does not hold"
    assert ours_best_everywhere(made_up(BY_RANK)).verdict == "holds"
    beaten = ours_best_everywhere(made_up(BY_RANK | {"CPU discrete": 9.0}))
    assert beaten.verdict == "does not hold"
    assert beaten.number == "exact, 1 setting: CPU discrete, the nearest, less ours at s: -1.00 [-1.00, -1.00]"
    assert beaten.reason == (
        "not at s (exact); at s CPU discrete offloads 0.40 on average, ours, held to Delta by its queue, 0.70"
    )


def test_ranking_tells_the_differences_it_is_judged_by():
    best, worst, _ = ranking(made_up(BY_RANK | {HYBRID.name: 99.0, RANDOM.name: 50.0}), "s")
    assert best.number == (
        "exact: CPU continuous, the cheapest other, less ours: -88.00 [-88.00, -88.00]; "
        "ours is cheaper with probability 0.00"
    )
    assert worst.number == "exact: random less hybrid (ours), the dearest other: -49.00 [-49.00, -49.00]"


def test_ours_best_everywhere_may_depend_on_the_setting():
    data = made_up(BY_RANK)
    other = made_up(BY_RANK | {"QPU discrete": 9.0}).content["rows"]
    data.content["settings"].append({"name": "t", "x": 1.0, "optimum": [1.0] * 4, "out_of_reach": 0.25})
    data.content["rows"] += [row | {"setting": "t"} for row in other]
    claim = ours_best_everywhere(data)
    assert claim.verdict == "depends"
    assert claim.reason.startswith("not at t (exact); at t QPU discrete offloads 0.40")
    assert claim.reason.endswith("Delta is out of reach of devices: 25% at t")


def test_learned_methods_are_judged_against_their_own_counterparts():
    (near,) = learned_near_exact(made_up(BY_RANK, {HYBRID.name: 10.4}))
    assert near.verdict == "holds"
    assert near.number == (
        "+3.5% at most; misses up to 1.0% of the deadlines that can be met (exact 1.0%); "
        "falls short of Delta by 0.005 at most, of devices whose exact solver reaches it"
    )
    (far,) = learned_near_exact(made_up(BY_RANK, {HYBRID.name: 11.4}))
    assert far.verdict == "does not hold"


def test_a_setting_without_training_is_left_out_of_what_is_learned():
    data = made_up(BY_RANK, BY_RANK)
    data.content["settings"].append({"name": "t", "x": 1.0, "optimum": [1.0] * 4, "out_of_reach": 0.0})
    data.content["rows"] += [
        {"setting": "t", "method": name, "kind": "exact", "cost": [[cost] * 4]} for name, cost in BY_RANK.items()
    ]
    assert ours_best_everywhere(data).verdict == "holds"
    assert len(learned_near_exact(data)) == len(METHODS)


def test_exact_and_learned_that_are_alike_in_every_trace_look_alike(tmp_path, monkeypatch):
    """However many training runs there are: an interquartile mean cuts whole scores."""
    costs, ends = np.random.default_rng(0).lognormal(0.0, 1.0, 10), []
    rows = [
        {"setting": "s", "method": HYBRID.name, "kind": kind, "cost": [list(costs)] * runs, "slots": [1, 2, 3]}
        | {"running_cost": [[[cost] * 3 for cost in costs]] * runs}
        for kind, runs in (("learned", 3), ("exact", 1))
    ]
    data = Data({"settings": [{"name": "s", "x": 0.0, "optimum": list(costs), "out_of_reach": 0.0}], "rows": rows})
    monkeypatch.setattr("experiments.figures.draw._name_ends", lambda axes, these, gap: ends.extend(these))
    draw_over_slots(data, tmp_path / "slots.png", "t", [("s", HYBRID.name, "ours")])
    assert [cost for cost, *_ in ends] == pytest.approx([ends[0][0]] * 2)
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.errorbar", lambda axes, x, y, **_: drawn.extend(y))
    draw_over_settings(data, tmp_path / "settings.png", "t", "x")
    assert drawn == pytest.approx([ends[0][0]] * 2)


def test_where_methods_are_trained():
    figure = figure_of("6")
    few, all_of_them = SCALES["quick"], SCALES["paper"]
    at_quick = dict(figure_trials(figure, figure.settings, few))
    by_method = Counter((spec.labels["method"], spec.labels["x"]) for spec in at_quick.values())
    assert by_method == {
        **{(HYBRID.name, x): few.seeds for x in (0.0, 0.5, 0.7, 0.9, 1.0)},
        **{(name, 0.0): few.seeds for name in figure.fixed if name != RANDOM.name},
    }
    at_paper = Counter(spec.labels["x"] for spec in dict(figure_trials(figure, figure.settings, all_of_them)).values())
    assert set(at_paper) == {setting.x for setting in figure.settings}


def test_as_printed_is_the_literal_preset():
    changed = Setting("s", 0.0).changed(as_printed()).load()
    assert changed.model_dump(exclude={"name"}) == load_scenario("paper-literal").model_dump(exclude={"name"})


def test_variants_are_judged_beside_the_corrected_system(tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "tiny", Scale(env_steps=1, seeds=1, traces=2, slots=20))
    data = make("5c", tmp_path, "tiny")
    printed, physical = data.content["variants"].values()
    assert list(data.content["variants"]) == [AS_PRINTED, "7 physical qubits counted"]
    assert [c["claim"] for c in printed["claims"]] == [c["claim"] for c in data.content["claims"]]
    scenario = load_scenario("paper", ["quantum.qubits_counted=7", "devices.leased_qubits=[1000, 1000]"])
    trace = generate_trace(scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + 2), num_slots=20)
    cost = rollout(make_policy("oracle", scenario), scenario, trace).cost.mean((0, 2), dtype=np.float64)
    np.testing.assert_allclose(Data(physical).scores("qubits=1000", HYBRID.name, "exact")[0], cost, atol=1e-5)


def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"output folder '.*file/work' cannot be written: Not a directory"):
        make("6", tmp_path / "file" / "work")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_smoke_with_training_resumes_without_repeating(ray_session, tmp_path, name):
    data = make(name, tmp_path, exact_only=False)
    learns = [method.name for method in figure_of(name).methods if method.learner is not None]
    assert data.methods("learned") == learns
    first = (tmp_path / f"fig{name}.json").read_bytes()
    results = {path: path.read_bytes() for path in tmp_path.rglob("result.json")}
    make(name, tmp_path, exact_only=False)
    assert (tmp_path / f"fig{name}.json").read_bytes() == first
    assert {path: path.read_bytes() for path in tmp_path.rglob("result.json")} == results


def test_the_long_run_of_figure_3b(monkeypatch):
    """Against sums by hand, for the devices that can reach Delta."""
    module = importlib.import_module("experiments.figures.fig3b")
    monkeypatch.setattr(module, "_LONG", 60)
    monkeypatch.setattr(module, "_EPISODE", 20)
    monkeypatch.setattr(module, "_TRACES", 3)
    setting = Setting("V=1", 1.0, "static", ("lyapunov.v=1.0",))
    found = module.long_run([setting])["V=1"]
    scenario = setting.load()
    trace = generate_trace(scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + 3), num_slots=60)
    cost = rollout(make_policy("oracle", scenario), scenario, trace).cost
    reaches = constrained_optimum(scenario, trace).feasible
    optimum = constrained_optimum(scenario, trace.window(45)).cost
    assert not reaches.all()
    expected = {"first": [], "settled": [], "optimum": []}
    for row in range(3):
        devices = [device for device in range(scenario.num_devices) if reaches[row, device]]
        for what, slots in (("first", range(20)), ("settled", range(45, 60))):
            mean = [sum(float(cost[slot, row, device]) for slot in slots) / len(slots) for device in devices]
            expected[what].append(sum(mean) / len(mean))
        expected["optimum"].append(sum(float(optimum[row, device]) for device in devices) / len(devices))
    for what, values in expected.items():
        np.testing.assert_allclose(found[what], values, atol=1e-4)


def test_verdicts_of_figure_3b_follow_the_costs():
    verdict = importlib.import_module("experiments.figures.fig3b").verdict
    flat = {"first": [10.0, 11.0], "settled": [10.1, 11.1], "optimum": [10.0, 11.0]}
    late = flat | {"first": [8.0, 9.0], "settled": [10.05, 11.05]}
    settles, falls = verdict(Data({"besides": {"V=1": flat, "V=5": late}}))
    assert (settles.verdict, falls.verdict) == ("depends", "holds")
    settles, falls = verdict(Data({"besides": {"V=1": flat, "V=5": flat}}))
    assert (settles.verdict, falls.verdict) == ("holds", "does not hold")
