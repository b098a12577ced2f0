"""Fields varied: common random numbers, points that are what ``compare`` says, differences paired by hand."""

import numpy as np
import pytest

from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.comparison import compare
from meqc_marl.evaluation.statistics import mean
from meqc_marl.evaluation.variation import Axis, read_axis, vary
from meqc_marl.nature.trace import EQUIPMENT, NATURE, generate_trace
from meqc_marl.policies import make_policy
from tests.sentences import is_one_sentence

SEEDS = range(1_000_000, 1_000_004)
SMALL = load_scenario("small")


def policies(*names):
    return lambda scenario: [make_policy(name, scenario) for name in names]


@pytest.mark.parametrize(
    ("text", "values", "numbers"),
    [
        ("devices.leased_qubits=500,1000", ([500, 500], [1000, 1000]), (500.0, 1000.0)),
        ("devices.leased_qubits=[100, 500], 1000", ([100, 500], [1000, 1000]), None),
        ("devices.cpu_hz=1e9,[2e9, 3e9]", ([1e9], [2e9, 3e9]), None),
        ("devices.tx_power=0.05", ([0.05, 0.05],), (0.05,)),
        ("quantum.error_rate=1e-6,2e-6", (1e-6, 2e-6), (1e-6, 2e-6)),
        ("devices.lambda_t=0.2,0.8", (0.2, 0.8), (0.2, 0.8)),
        ("cost.latency=parallel,sequential", ("parallel", "sequential"), None),
        ("num_devices=3,10", (3, 10), (3.0, 10.0)),
    ],
)
def test_axes_are_read(text, values, numbers):
    axis = read_axis(text, SMALL)
    assert axis.values == values
    assert axis.numbers == numbers
    vary(SMALL, [axis], policies("local-only"), [1], num_slots=2)  # and are values of the field


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        (["quantum.error_rate"], ["'quantum.error_rate'", "field=a,b,c"]),
        (["=1,2"], ["field=a,b,c"]),
        (["quantum.error_rate="], ["no value"]),
        (["quantum.error_rate=1e-6,,2e-6"], ["quantum.error_rate"]),
        (["quantum.error_rate=[1,2"], ["not valid YAML"]),
        (["quantum.error_rate=1e-6,1e-6"], ["quantum.error_rate", "twice"]),
        (["quantum.eror_rate=1e-6"], ["quantum.eror_rate", "error_rate"]),
        (["quantum=3"], ["quantum"]),
        (["quantum.error_rate.x=3"], ["quantum.error_rate"]),
        (["lyapunov.delta=0.5,1.5"], ["lyapunov.delta", "1.5"]),
        (["cost.latency=parallel,quick"], ["cost.latency", "quick"]),
        (["lyapunov.v=1,2", "lyapunov.v=3"], ["lyapunov.v", "different fields"]),
        (["lyapunov.v=1", "lyapunov.delta=0.1", "quantum.error_rate=1e-6"], ["one, or two"]),
    ],
)
def test_bad_axes_are_one_sentence(texts, parts):
    with pytest.raises(InputError) as told:
        vary(SMALL, [read_axis(text, SMALL) for text in texts], policies("oracle"), [1], num_slots=2)
    assert is_one_sentence(str(told.value)), told.value
    for part in parts:
        assert part in str(told.value)


def test_every_point_is_what_a_comparison_of_its_scenario_says():
    axes = [Axis("devices.leased_qubits", ([500, 500], [3000, 3000])), Axis("quantum.error_rate", (1e-6, 4e-6))]
    names = ("oracle", "oracle-cpu", "random")
    result = vary(SMALL, axes, policies(*names), SEEDS, num_slots=15)
    assert result.policies == names
    assert [point.values for point in result.points] == [
        *(([500, 500], 1e-6), ([500, 500], 4e-6)),
        *(([3000, 3000], 1e-6), ([3000, 3000], 4e-6)),
    ]
    for point in result.points:
        qubits, rate = point.values
        here = load_scenario("small", [f"devices.leased_qubits={qubits}", f"quantum.error_rate={rate!r}"])
        trace = generate_trace(here, list(SEEDS), num_slots=15)
        expected = compare([make_policy(name, here) for name in names], here, trace).metrics
        for name in names:
            for metric, values in point.metrics[name].items():
                np.testing.assert_array_equal(values, expected[name][metric], err_msg=f"{name} {metric}")


@pytest.mark.parametrize(
    ("field", "values", "changes"),
    [
        ("quantum.error_rate", (1e-6, 4e-6), set()),
        ("lyapunov.v", (0.1, 10.0), set()),
        ("cost.latency", ("parallel", "sequential"), set()),
        ("channel.bandwidth_hz", (1e7, 1e8), set()),
        ("devices.leased_qubits", ([500, 500], [1000, 5000]), {"leased_qubits"}),
        ("devices.cpu_hz", ([1e9], [1e9, 2e9, 3e9]), {"cpu_hz"}),
        ("channel.path_loss_exponent", (2.0, 2.5), {"gain"}),
        ("tasks.deadline_s", ([10.0, 10.0], [8.0, 40.0]), {"deadline_s"}),
        ("mobility.mean_speed_m_s", ([1.0, 2.0], [3.0, 5.0]), {"gain", "position_m"}),
    ],
)
def test_nature_changes_by_the_field_alone(field, values, changes, monkeypatch):
    """Common random numbers: what the field does not name has the same bits at every point."""
    from meqc_marl.evaluation import variation

    traces = []
    draw = variation.generate_trace
    monkeypatch.setattr(
        variation, "generate_trace", lambda *given, **named: traces.append(draw(*given, **named)) or traces[-1]
    )
    vary(SMALL, [Axis(field, values)], policies("local-only"), SEEDS, num_slots=5)
    first, second = traces
    different = {name for name in (*NATURE, "position_m") if (getattr(first, name) != getattr(second, name)).any()}
    different |= {n for n in EQUIPMENT if (getattr(first.equipment, n) != getattr(second.equipment, n)).any()}
    assert different == changes


def test_differences_are_paired_by_trace():
    result = vary(SMALL, [Axis("quantum.error_rate", (2e-6,))], policies("oracle", "oracle-cpu"), SEEDS, num_slots=40)
    (point,) = result.points
    ours, theirs = point.metrics["oracle-cpu"]["cost"], point.metrics["oracle"]["cost"]
    difference = point.difference("oracle-cpu", "oracle", "cost")
    assert difference.value == pytest.approx(np.mean(ours - theirs))
    assert difference == mean(ours - theirs)
    assert difference.high - difference.low < 0.5 * (mean(theirs).high - mean(theirs).low)
    assert difference.least > 0.0  # exact decisions with more choices cost less


def test_progress_counts_every_slot():
    calls, told = [], []

    def begin(label, total, unit):
        told.append((label, total, unit))
        return lambda: calls.append(1)

    axes = [Axis("horizon", (3, 5)), Axis("num_devices", (2, 4))]
    vary(SMALL, axes, policies("oracle", "greedy"), [1], progress=begin)
    assert told == [("points", 2 * 2 * (3 + 5), "slots")]
    assert len(calls) == 32
