"""A variation as table, CSV, JSON and picture."""

import csv
import io
import json
import re

import pytest
from rich.console import Console

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.variation import Axis, vary
from meqc_marl.policies import make_policy
from meqc_marl.report.variation import (
    save_variation_plot,
    variation_csv,
    variation_json,
    variation_notes,
    variation_table,
)

AXES = (Axis("devices.leased_qubits", ([500, 500], [1000, 5000])), Axis("quantum.error_rate", (1e-6, 4e-6)))
NAMES = ("oracle", "oracle-cpu", "local-only")


def made(axes=AXES, names=NAMES, seeds=(1, 2, 3), slots=10):
    scenario = load_scenario("small")
    return vary(scenario, axes, lambda here: [make_policy(name, here) for name in names], seeds, num_slots=slots)


@pytest.fixture(scope="module")
def result():
    return made()


@pytest.mark.parametrize("axes", [AXES, AXES[:1], (Axis("cost.latency", ("parallel", "sequential")),)])
@pytest.mark.parametrize("names", [NAMES, ("oracle-cpu-discrete", "hybrid-discrete")])
@pytest.mark.parametrize(
    ("seeds", "spread"), [(range(4), r"\[{0}, {0}\]"), (range(3), r"\({0} to {0}\)"), (range(2), r"\({0}, {0}\)")]
)
def test_table_fits_80_columns(axes, names, seeds, spread):
    result = made(axes, names, seeds)
    console = Console(width=80, file=io.StringIO())
    console.print(variation_table(result))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    number = r"-?\d+\.\d+"
    differences = re.findall(rf"[+-]\d+\.\d+ {spread.format(number)} +[+-]\d+\.\d", text)
    assert len(differences) == len(result.points) * (len(names) - 1)  # none is cut


def test_notes_say_what_the_difference_is(result):
    notes = " ".join(variation_notes(result))
    assert "seeds 1 to 3" in notes
    assert "oracle-cpu minus oracle is what the QPU saves" in notes
    alone = " ".join(variation_notes(made(AXES[:1], ("greedy",), (1,))))
    assert "no intervals" in alone
    assert "fewer than 4 allow no intervals" in notes
    assert "95 % intervals over the traces" in " ".join(variation_notes(made(seeds=range(4))))
    assert "QPU saves" not in alone


def test_csv_and_json_hold_all_numbers(result):
    rows = list(csv.DictReader(io.StringIO(variation_csv(result))))
    content = json.loads(json.dumps(variation_json(result), allow_nan=False))
    metrics = result.points[0].metrics["oracle"]
    assert len(rows) == len(result.points) * len(NAMES) * len(metrics)
    assert {row["devices.leased_qubits"] for row in rows} == {"500", "[1000, 5000]"}
    assert [axis["field"] for axis in content["axes"]] == [axis.field for axis in AXES]
    for point, shown in zip(result.points, content["points"], strict=True):
        assert shown["values"] == list(point.values)
        for name in NAMES:
            assert shown["policies"][name]["cost"]["per_trace"] == point.metrics[name]["cost"].tolist()
    for row in rows:
        point = next(
            point
            for point in result.points
            if str(point.values[1]) in (row["quantum.error_rate"], str(float(row["quantum.error_rate"])))
            and (point.values[0] == [500, 500]) == (row["devices.leased_qubits"] == "500")
        )
        assert float(row["mean"]) == pytest.approx(point.metrics[row["policy"]][row["metric"]].mean())
        assert (row["minus"] == "oracle") == (row["policy"] != "oracle")
        if row["minus"]:
            both = point.metrics[row["policy"]][row["metric"]], point.metrics["oracle"][row["metric"]]
            assert float(row["difference"]) == pytest.approx((both[0] - both[1]).mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("axes", "name", "seeds", "names"),
    [
        (AXES, "a.png", (1, 2), NAMES),
        (AXES, "a.png", (1, 2, 3, 4), NAMES),
        (AXES[:1], "a.pdf", (1,), ("greedy",)),
        ((Axis("cost.latency", ("parallel", "literal")),), "a.svg", (1, 2), NAMES[:2]),
    ],
)
def test_pictures_announce_what_they_show(axes, name, seeds, names, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    titles = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **b: (titles.append(self.get_suptitle()), save(self, *a, **b))[1]
    )
    save_variation_plot(made(axes, names, seeds), tmp_path / name)
    assert (tmp_path / name).stat().st_size > 5_000
    assert ("interval" in titles[0]) == (len(seeds) > 3)
    assert ("points: each trace" in titles[0]) == (len(seeds) == 2)
