"""Reports: complete JSON, whole files or none, one style per policy."""

import json
import re

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.quantity import fixed
from meqc_marl.errors import InputError
from meqc_marl.evaluation.comparison import compare
from meqc_marl.evaluation.metrics import METRICS
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import POLICIES, make_policy
from meqc_marl.report.bars import policy_style, save_comparison_plot
from meqc_marl.report.tables import comparison_json, comparison_notes, comparison_tables, save_json

NAMES = ("greedy", "oracle")
SEEDS = [1, 2, 3, 4]


@pytest.fixture(scope="module")
def result():
    scenario = load_scenario("paper", ("num_devices=3", "lyapunov.delta=0.9"))
    trace = generate_trace(scenario, SEEDS, num_slots=15)
    return compare([make_policy(name, scenario) for name in NAMES], scenario, trace, seeds=SEEDS)


def test_json_reproduces_the_comparison(result, tmp_path):
    path = tmp_path / "out.json"
    save_json(comparison_json(result), path)
    content = json.loads(path.read_text())
    scenario = Scenario.model_validate(content["scenario"])
    assert scenario == result.scenario
    trace = generate_trace(scenario, content["trace"]["seeds"], num_slots=content["trace"]["num_slots"])
    again = compare([make_policy(name, scenario) for name in content["policies"]], scenario, trace)
    for name, metrics in content["policies"].items():
        assert set(metrics) == set(METRICS) == set(content["metrics"])
        for key, values in metrics.items():
            np.testing.assert_array_equal(values["per_trace"], again.metrics[name][key])
            assert values["mean"]["low"] <= values["mean"]["value"] <= values["mean"]["high"]
    assert content["paired_cost_difference"]["policies"]["oracle"]["value"] == 0.0
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_single_trace_has_null_intervals(result):
    scenario = result.scenario
    single = compare([make_policy("greedy", scenario)], scenario, generate_trace(scenario, [1], num_slots=5))
    cost = comparison_json(single)["policies"]["greedy"]["cost"]
    assert cost["mean"]["low"] is None
    json.dumps(comparison_json(single), allow_nan=False)


def test_no_name_is_torn_at_80_columns():
    """All policies with the widest numbers that the presets give."""
    scenario = load_scenario("fast-folders", ["num_devices=3"])
    names = [name for name in POLICIES if len(name) <= 15]
    trace = generate_trace(scenario, [1, 2], num_slots=10)
    result = compare([make_policy(name, scenario) for name in names], scenario, trace)
    for table in comparison_tables(result):
        console = Console(record=True, width=80)
        console.print(table)
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= 80
        assert {line.split()[0] for line in lines if line.split()} >= set(names)


def test_table_shows_every_policy(result):
    console = Console(record=True, width=80)
    console.print(*comparison_tables(result))
    text = console.export_text()
    assert all(text.count(name) >= 2 for name in NAMES)
    assert "…" not in text
    assert f"{result.metrics['oracle']['cost'].mean():.2f} [" in text
    assert "Means over traces [95 % interval];" in comparison_notes(result)[0]


def test_few_traces_are_shown_one_by_one(result, tmp_path, monkeypatch):
    scenario = result.scenario
    policies = [make_policy(name, scenario) for name in NAMES]
    titles, dots = [], []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **_: titles.append(text))
    monkeypatch.setattr(Axes, "plot", lambda self, x, y, **_: dots.append((tuple(x), tuple(y))))
    for count in (2, 3):
        few = compare(policies, scenario, generate_trace(scenario, range(count), num_slots=5))
        console = Console(record=True, width=80)
        console.print(*comparison_tables(few))
        text, cost = console.export_text(), few.metrics["oracle"]["cost"]
        assert f" {cost.mean():.2f} ({cost.min():.2f}" in text or f" {cost.mean():.2f} ({cost.max():.2f}" in text
        assert "…" not in text
        assert "[" not in text
        assert "Means over traces (each trace);" in comparison_notes(few)[0]
        save_comparison_plot(few, tmp_path / "few.png")
        assert titles[-1].endswith("V = 1; mean over the traces (each trace)")
        assert (tuple(cost), (1,) * count) in dots  # the second bar is the oracle's
    dots.clear()
    save_comparison_plot(result, tmp_path / "whole.png")
    assert titles[-1].endswith("mean over the traces [95 % interval]")
    assert not dots


def test_infeasible_devices_are_named(result):
    scenario = load_scenario("paper", ("num_devices=2", "tasks.deadline_s=[0.5, 0.6]", "lyapunov.delta=0.99"))
    bad = compare([make_policy("greedy", scenario)], scenario, generate_trace(scenario, [1], num_slots=10))
    assert any("out of reach for 2 of 2" in note for note in comparison_notes(bad))
    assert len(comparison_json(bad)["optimum"]["infeasible_devices"]) == 2


def test_plot_is_an_image(result, tmp_path):
    path = tmp_path / "out.png"
    save_comparison_plot(result, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="png"):
        save_comparison_plot(result, tmp_path / "out.xyz")


def test_styles_differ():
    styles = [tuple(policy_style(name).values()) for name in POLICIES]
    assert len(set(styles)) == len(styles)


def test_same_policy_twice_is_refused(result):
    policy = make_policy("greedy", result.scenario)
    with pytest.raises(InputError, match="twice"):
        compare([policy, policy], result.scenario, generate_trace(result.scenario, [1], num_slots=2))


@pytest.mark.parametrize("low", [True, False])
def test_numbers_of_any_size_fit_the_columns(low):
    """The largest and the least costs that a scenario allows."""
    overrides = ["num_devices=2", "lyapunov.delta=0.9"]
    if low:
        overrides += ["cost.latency_ref_s=1e6", "cost.energy_ref_j=1e6", "tasks.data_bits=[1, 1]"]
    else:
        overrides += ["local.zeta=4", "local.rho=1e-15", "devices.cpu_hz=[1e12]", "tasks.data_bits=[1e15, 1e15]"]
        overrides += ["tasks.cycles_per_bit=1e6", "cost.energy_ref_j=1e-6", "cost.latency_ref_s=1e-6"]
    scenario = load_scenario("paper", overrides)
    trace = generate_trace(scenario, SEEDS, num_slots=4)
    result = compare([make_policy(name, scenario) for name in ("oracle", "cpu-continuous", "random")], scenario, trace)
    console = Console(width=80, record=True, quiet=True)
    for table in comparison_tables(result):
        assert console.measure(table).minimum <= 80
        console.print(table)
    assert all(len(number) <= 14 for note in comparison_notes(result) for number in re.findall(r"[\d.,e]+", note))


@pytest.mark.parametrize(
    ("number", "form", "text"),
    [
        (15.126, ".2f", "15.13"),
        (-0.5, "+.1f", "-0.5"),
        (999_999.0, ".0f", "999999"),
        (1.234e69, ".2f", "1.23e69"),
        (-1.234e69, "+.1f", "-1.23e69"),
        (2e6, "+.1f", "+2.00e6"),
        (0.25, ".1%", "25.0%"),
        (10.0**10, ".3f", "1.00e10"),
    ],
)
def test_fixed_digits_or_an_exponent(number, form, text):
    assert fixed(number, form) == text
