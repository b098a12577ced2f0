"""Progress as it is seen: rendered on terminals of fixed widths, and as lines where there is no terminal."""

import io
import re

import pytest
from rich.console import Console

from meqc_marl.config import load_scenario
from meqc_marl.evaluation.comparison import compare
from meqc_marl.evaluation.optimum import constrained_optimum, expected_passes
from meqc_marl.jobs.protocol import TrialsProgress
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies import make_policy
from meqc_marl.report import progress as module
from meqc_marl.report.progress import show_progress, show_trials, show_work
from meqc_marl.report.training_progress import show_training

STATE = ("cost 15.80", "mean phi 0.76", "epsilon 0.05", "gap to oracle +0.1%")
BAR = "━"


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def rendered(width, label, total, unit, done, state, clock):
    """The line that a terminal shows after a minute."""
    console = Console(width=width, force_terminal=True, file=io.StringIO(), color_system=None)
    with show_work(Console(file=io.StringIO())) as begin:
        work = begin(label, total, unit)
        clock.now += 60.0
        work.update(done, state=state)
        console.print(work)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize(
    ("label", "total", "unit", "done", "state"),
    [
        ("training", 80_000, "env-steps", 23_456, STATE),
        ("training", 24_000_000, "env-steps", 11_234_567, STATE),
        ("oracle-cpu-discrete", 500, "slots", 120, ()),
        ("a/folder/with/a/name", 100_000, "slots", 99_999, ()),
        ("trials", 2_200, "trials", 3, ("64 running", "2 failed")),
        ("C_opt", 26, "passes", 3, ()),
    ],
)
def test_a_line_fits_and_has_bar_rate_and_time_left(width, label, total, unit, done, state, clock):
    line = rendered(width, label, total, unit, done, state, clock)
    assert line.count("\n") == 1
    assert len(line.rstrip("\n")) <= width
    assert label in line
    assert BAR in line or done / total < 0.2  # too little to be seen
    assert re.search(r"[\d.,]+/(s|min|h) ", line)
    hours, minutes, seconds = map(int, re.search(r"(\d+):(\d\d):(\d\d) left", line).groups())
    assert 3600 * hours + 60 * minutes + seconds == pytest.approx((total - done) * 60.0 / done, abs=1.0)
    assert f"{done:,} of {total:,} {unit}" in line or f"{100 * done // total} %" in line
    if width == 200:
        assert all(part in line for part in state)


def test_an_unknown_length_shows_count_and_rate(clock):
    line = rendered(60, "search", 0, "trials", 12, (), clock)
    assert "12 trials" in line
    assert "12/min" in line
    assert "left" not in line


def test_more_steps_than_expected_are_no_negative_time(clock):
    line = rendered(80, "C_opt", 26, "passes", 30, (), clock)
    assert "30 passes" in line
    assert "left" not in line


def test_resumed_work_has_the_rate_of_its_own_steps(clock):
    console = Console(file=io.StringIO())
    with show_work(console) as begin:
        work = begin("training", 1_000, "env-steps")
        work.start_from(400)
        clock.now += 10.0
        work.update(500)
    assert (work.rate, work.time_left) == ("10/s", "0:00:50")


def test_a_log_gets_a_line_in_time_and_short_work_none(clock):
    console = Console(file=io.StringIO(), width=40)
    with show_progress(console) as begin:
        step = begin("oracle", 500, "slots")
        for _ in range(100):
            clock.now += 0.01
            step()
        assert console.file.getvalue() == ""
        for _ in range(40):
            clock.now += 1.0
            step()
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"oracle: 11\d of 500 slots, [\d.]+/s, 0:0\d:\d\d left", lines[0])


def test_work_that_goes_on_after_other_work_keeps_its_time_left(clock, monkeypatch):
    """A comparison in blocks comes back to each policy; what it will take in all is still known then."""
    monkeypatch.setattr(module, "LOG_EVERY_S", 0.0)
    console = Console(file=io.StringIO())
    with show_progress(console) as begin:
        first = begin("oracle", 4, "slots")
        clock.now += 10.0
        first()
        begin("random", 4, "slots")
        clock.now += 10.0
        first()
    assert console.file.getvalue().splitlines()[-1] == "oracle: 2 of 4 slots, 6.0/min, 0:00:20 left"


def test_a_comparison_tells_a_log_how_far_it_is(monkeypatch):
    """Every step of every piece of work is told: nothing is done in silence."""
    monkeypatch.setattr(module, "LOG_EVERY_S", 0.0)
    console = Console(file=io.StringIO())
    scenario = load_scenario("small")
    trace = generate_trace(scenario, [1], num_slots=5)
    with show_progress(console) as begin:
        compare([make_policy("greedy", scenario)], scenario, trace, progress=begin)
    labels = [line.split(":")[0] for line in console.file.getvalue().splitlines()]
    assert list(dict.fromkeys(labels)) == ["C_opt", "oracle", "greedy"]
    assert labels.count("oracle") == labels.count("greedy") == 5


@pytest.mark.parametrize("preset", ["paper", "fast-folders", "small"])
def test_expected_passes_of_the_optimum(preset):
    scenario, passes = load_scenario(preset), []
    trace = generate_trace(scenario, [1, 2], num_slots=50)
    constrained_optimum(scenario, trace, on_step=lambda: passes.append(1))
    assert len(passes) == pytest.approx(expected_passes(trace), rel=0.2)


def test_trials_tell_a_log_every_change():
    console = Console(file=io.StringIO(), width=40)
    with show_trials(console) as report:
        for finished, running, failed in ((0, 1, 0), (0, 2, 0), (1, 2, 0), (1, 1, 1), (2, 0, 1)):
            report(TrialsProgress(finished=finished, running=running, failed=failed, total=3))
    assert console.file.getvalue().splitlines() == [
        "0 of 3 trials finished, 1 running, 0 failed",
        "1 of 3 trials finished, 2 running, 0 failed",
        "1 of 3 trials finished, 1 running, 1 failed",
        "2 of 3 trials finished, 0 running, 1 failed",
    ]


@pytest.mark.parametrize("width", [60, 80])
def test_training_on_a_terminal(width, clock):
    """What the live display writes: each of its lines fits."""
    from types import SimpleNamespace

    console = Console(width=width, force_terminal=True, file=io.StringIO(), color_system=None)
    scalars = {"system/cost": 15.8, "offloading/mean_fraction": 0.76, "exploration/epsilon": 0.05}
    with show_training(console) as report:
        for steps in (1_000, 2_000, 3_000):
            clock.now += 5.0
            report(SimpleNamespace(env_steps=steps, total_env_steps=80_000, scalars=scalars))
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", console.file.getvalue())
    lines = [line for line in re.split(r"[\r\n]+", drawn) if line.strip()]
    assert any("left" in line and "/s" in line and "training" in line for line in lines)
    assert all(len(line) <= width for line in lines)


def test_trials_at_work_tell_a_log_how_far_they_are(clock):
    console = Console(file=io.StringIO(), width=40)
    counts = {"finished": 1, "running": 2, "failed": 0, "total": 4, "total_env_steps": 4_000}
    with show_trials(console) as report:
        for steps in (1_000, 1_100, 1_600, 2_500):
            report(TrialsProgress(env_steps=steps, **counts))
            clock.now += 10.0
    assert console.file.getvalue().splitlines() == [
        "1 of 4 trials finished, 2 running, 0 failed",
        "trials: 1,600 of 4,000 env-steps, 30/s, 0:01:20 left, 1 of 4 finished, 2 running, 0 failed",
    ]
