"""Every picture as it is drawn: nothing hides anything else, and titles say what there is."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Stroke
from matplotlib.text import Text
from rich.console import Console

from experiments.figures.data import Data
from experiments.figures.draw import draw_over_slots
from experiments.figures.methods import METHODS
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.comparison import compare
from meqc_marl.evaluation.grid import GridPoint
from meqc_marl.evaluation.statistics import Estimate
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.cost import Mode
from meqc_marl.policies import DEFAULT_POLICIES, make_policy
from meqc_marl.report.bars import policy_style, save_comparison_plot
from meqc_marl.report.grid import grid_table, save_grid_plot
from meqc_marl.report.mode_map import cell_colours
from meqc_marl.report.tables import comparison_notes
from meqc_marl.report.ticks import label_values


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, laid out."""
    figures = []
    save = Figure.savefig

    def keep(self, *given, **named):
        figures.append(self)
        return save(self, *given, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def renderer_of(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def overlapping(texts, renderer):
    """Pairs of texts that share pixels."""
    shown = [text for text in texts if text.get_text() and text.get_visible()]
    boxes = [Text.get_window_extent(text, renderer) for text in shown]  # of annotations without their arrows
    return [
        (a.get_text(), b.get_text())
        for (a, one), (b, other) in itertools.combinations(zip(shown, boxes, strict=True), 2)
        if one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1
    ]


def assert_ticks_are_apart(figure):
    renderer = renderer_of(figure)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axes.axison:
                assert overlapping(axis.get_ticklabels(which="both"), renderer) == []


def comparison(traces, names=("oracle", "greedy"), learned=1):
    scenario = load_scenario("small")
    policies = [make_policy(name, scenario) for name in names]
    for number in range(learned):
        policy = make_policy("hybrid-discrete", scenario)
        policy.name = f"learned-{number}"
        policies.append(policy)
    return compare(policies, scenario, generate_trace(scenario, range(traces), num_slots=20))


def test_error_bars_are_seen_on_every_bar(drawn, tmp_path):
    save_comparison_plot(comparison(4, DEFAULT_POLICIES, learned=3), tmp_path / "a.png")
    (figure,) = drawn
    for axes in figure.axes:
        bars = axes.collections
        assert len(bars) >= len(DEFAULT_POLICIES) + 3
        for bar in bars:
            (halo, _) = bar.get_path_effects()
            assert isinstance(halo, Stroke)
            assert halo._gc["foreground"] == "white"
    for learned in range(3):  # and none is as black as the error bar
        colour = policy_style("a run", learned)["facecolor"]
        assert max(int(colour[i : i + 2], 16) for i in (1, 3, 5)) > 60


@pytest.mark.parametrize("traces", [1, 3, 4])
def test_titles_and_notes_announce_intervals_where_there_are_some(traces, drawn, tmp_path):
    result = comparison(traces)
    save_comparison_plot(result, tmp_path / "a.png")
    (figure,) = drawn
    assert ("95 %" in figure.get_suptitle()) == (traces > 3)
    assert ("each trace" in figure.get_suptitle()) == (traces == 3)
    assert ("interval" in " ".join(comparison_notes(result))) == (traces > 3)
    assert any(axes.collections for axes in figure.axes) == (traces > 3)


def grid(vs, deltas, seeds=4, infeasible=()):
    points = []
    for v, delta in itertools.product(vs, deltas):
        width = 0.1 if seeds > 3 else np.nan

        def estimate(value, width=width):
            return Estimate(value, value - width, value + width, tuple(value + np.linspace(-0.1, 0.1, seeds)))

        cost = 15.0 + delta - 0.3 * np.log10(v)
        metrics = {"cost": cost, "fraction_worst": delta, "backlog_mean": v * delta, "gap_to_oracle": 0.01}
        metrics |= {"deadline_missed_feasible": 0.0, "regret": 0.01}
        learned = {name: estimate(value) for name, value in metrics.items()}
        reached = delta not in infeasible
        bounds = (cost + 1.0 / v, 50.0 * v) if reached else (np.inf, np.inf)
        points.append(GridPoint(v, delta, learned, metrics, cost - 0.05, reached, *bounds))
    return points


GRIDS = [
    ((0.1, 1.0), (0.3, 0.7)),
    ((1.0,), (0.7,)),
    ((1.0, 1.05), (0.7,)),
    ((0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0), (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)),
    (tuple(float(f"{v:.3g}") for v in np.geomspace(0.01, 100, 25)), (0.5,)),
]


@pytest.mark.parametrize(("vs", "deltas"), GRIDS)
def test_tick_labels_of_a_grid_are_apart(vs, deltas, drawn, tmp_path):
    save_grid_plot(grid(vs, deltas), tmp_path / "a.png")
    assert_ticks_are_apart(drawn[0])


@pytest.mark.parametrize(("vs", "deltas"), GRIDS)
def test_the_cost_panel_is_as_high_as_its_data(vs, deltas, drawn, tmp_path):
    points = grid(vs, deltas)
    save_grid_plot(points, tmp_path / "a.png")
    (panel,) = [axes for axes in drawn[0].axes if axes.get_xlabel() == "1 / V"]
    shown = [point for point in points if point.delta == min(deltas, key=lambda delta: abs(delta - 0.7))]
    values = [v for p in shown for v in (p.learned["cost"].low, p.learned["cost"].high, p.oracle["cost"], p.optimum)]
    low, high = panel.get_ylim()
    assert low < min(values)
    assert high > max(values)
    assert high - low < 2.0 * (max(values) - min(values))


def test_no_hatching_runs_through_a_number(drawn, tmp_path):
    save_grid_plot(grid((0.1, 1.0), (0.3, 0.9), infeasible=(0.9,)), tmp_path / "a.png")
    (figure,) = drawn
    maps = [axes for axes in figure.axes if axes.images]
    assert len(maps) == 6
    for axes in maps:
        image = axes.images[0]
        assert len(axes.patches) == 2  # the hatched cells
        for text in axes.texts:
            patch = text.get_bbox_patch()
            value = image.get_array()[int(text.get_position()[1]), int(text.get_position()[0])]
            assert patch.get_facecolor() == pytest.approx(image.cmap(image.norm(value)), abs=1e-6)
            assert text.get_zorder() > max(hatched.get_zorder() for hatched in axes.patches)
            # Black and white on every shade can be read: at least 4.5 to 1, as the web's guideline asks for.
            back, front = (
                _luminance(colour)
                for colour in (patch.get_facecolor(), {"w": (1,) * 3, "k": (0,) * 3}[text.get_color()])
            )
            assert (max(back, front) + 0.05) / (min(back, front) + 0.05) > 4.5


def _luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("seeds", [1, 3, 4])
def test_a_grid_announces_intervals_where_there_are_some(seeds, drawn, tmp_path):
    points = grid((0.1, 1.0), (0.3, 0.7), seeds)
    save_grid_plot(points, tmp_path / "a.png")
    assert ("interval" in drawn[0].get_suptitle()) == (seeds > 3)
    assert ("each seed" in drawn[0].get_suptitle()) == (seeds == 3)
    assert "hatched" not in drawn[0].get_suptitle()
    assert ("interval" in grid_table(points).title) == (seeds > 3)


@pytest.mark.parametrize(
    "values", [(500, 1000, 2000, 5000), (1, 2, 3), (1e-6, 2e-6, 4e-6), (0.1, 1000.0), tuple(range(1, 60)), (-1, 0, 5)]
)
def test_labels_at_values_are_apart(values):
    figure = Figure(figsize=(3.4, 3.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(values, values)
    label_values(axes, values, [f"{value:g}" for value in values])
    assert_ticks_are_apart(figure)
    assert len(axes.get_xticks()) >= min(3, len(values))


def test_half_on_a_place_is_told_from_all_of_it():
    for mode in (Mode.CPU, Mode.QPU):
        whole, half = (cell_colours(np.array(mode), np.array(share)) for share in (1.0, 0.5))
        assert np.linalg.norm(whole - half) > 0.2
        assert abs(float(np.dot(whole - half, (0.299, 0.587, 0.114)))) > 0.12  # and in grey


@pytest.mark.parametrize("seeds", [1, 3, 4])
def test_a_grid_s_table_has_a_line_for_each_point_at_80_columns(seeds):
    points = grid(*GRIDS[3], seeds=seeds, infeasible=(0.9, 1.0))
    console = Console(record=True, width=80)
    console.print(grid_table(points))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    numbers = [row for row in rows if len(row) > 8 and row[0].replace(".", "").isdigit()]
    assert len(numbers) == len(points)
    for point, row in zip(points, numbers, strict=True):
        assert row[:2] == [f"{point.v:g}", f"{point.delta:g}{'' if point.feasible else '*'}"]
        assert f"{point.oracle['cost']:.2f}" in row
    assert "out of reach" in lines[-1] or "out of reach" in lines[-2]


def test_names_at_the_ends_of_lines_are_apart(drawn, tmp_path):
    """Eleven lines, eight of them next to each other."""
    names = [method.name for method in METHODS]
    slots = list(range(0, 500, 10))
    rows = []
    for number, name in enumerate(names):
        for kind in ("learned", "exact"):
            value = 17.0 + 0.01 * number + (0.005 if kind == "exact" else 0.0)
            curve = (value - 2.0 * np.exp(-np.array(slots) / 20.0)).tolist()
            rows.append({"setting": "s", "method": name, "kind": kind, "slots": slots, "cost": [[value] * 2] * 2})
            rows[-1]["running_cost"] = [[curve] * 2] * 2
    data = Data({"rows": rows, "settings": []})
    draw_over_slots(data, tmp_path / "a.png", "a title", [("s", name, name) for name in names])
    figure = drawn[0]
    (axes,) = figure.axes
    assert len(axes.texts) == len(rows)
    assert overlapping(axes.texts, renderer_of(figure)) == []
