"""What the figures of the paper have in common: methods, scales, training by Tune, evaluation, data files.

A figure is a list of settings (a scenario and a name for it) and a list of methods. For each setting and method the
exact solver is evaluated, and, where the method learns, some training runs; all on the same held-out traces, so that
everything is paired by trace. The data file holds a score for each run and trace, from which pictures and verdicts are
made.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from meqc_marl.config import Scenario, changes, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.held_out import NUM_TRACES, held_out_traces
from meqc_marl.evaluation.metrics import OracleReference, measure
from meqc_marl.evaluation.optimum import constrained_optimum
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.evaluation.statistics import (
    Estimate,
    error_bars,
    interquartile_mean,
    paired_interquartile_difference,
    stratified_interquartile_mean,
)
from meqc_marl.files import make_folder, replacing
from meqc_marl.jobs.session import local_ray, quiet
from meqc_marl.jobs.study import TrialRecord, TrialSpec, run_study
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import Mode
from meqc_marl.policies import Policy, make_policy
from meqc_marl.policies.learned import load_policy
from meqc_marl.report.progress import show_trials

RESULTS = Path(__file__).parents[1] / "results" / "figures"
NUM_MARKS = 50
"""Points of a curve over slots."""
_STORED = ("cost", "latency_s", "energy_j", "fraction", "deadline_missed_feasible", "shortfall")


@dataclass(frozen=True)
class Method:
    """A way to decide, exact and learned.

    Attributes:
        name: For legends and data files.
        exact: Registered policy.
        learner: Restriction of the learner; None if the method does not learn.
        colour, marker: Everywhere the same.
        has_queue: Whether it is held to the constraint (10); the paper's other methods are not.
    """

    name: str
    exact: str
    learner: dict[str, Any] | None
    colour: str
    marker: str
    has_queue: bool = False


_CPU, _QPU = [int(Mode.LOCAL), int(Mode.CPU)], [int(Mode.LOCAL), int(Mode.QPU)]
HYBRID = Method("hybrid (ours)", "oracle", {}, "#0072B2", "o", has_queue=True)
CPU_CONTINUOUS = Method("CPU continuous", "cpu-continuous", {"allowed_modes": _CPU}, "#E69F00", "s")
CPU_DISCRETE = Method("CPU discrete", "cpu-discrete", {"allowed_modes": _CPU, "discrete": True}, "#F5C710", "D")
QPU_CONTINUOUS = Method("QPU continuous", "qpu-continuous", {"allowed_modes": _QPU}, "#CC79A7", "^")
QPU_DISCRETE = Method("QPU discrete", "qpu-discrete", {"allowed_modes": _QPU, "discrete": True}, "#E7B8D4", "v")
RANDOM = Method("random", "random", None, "#D55E00", "x")
METHODS = (HYBRID, CPU_CONTINUOUS, CPU_DISCRETE, QPU_CONTINUOUS, QPU_DISCRETE, RANDOM)


@dataclass(frozen=True)
class Scale:
    """How much is spent on a figure.

    Attributes:
        env_steps: Budget of a training run.
        seeds: Training runs of a method in a setting.
        traces, slots: Held-out traces; no slots means the scenario's horizon.
        settings: Settings kept, from first to last; all if None.
        everywhere: Train in every setting, and not only where the figure says that it matters most.
        learner: Parameters of the learner.
    """

    env_steps: int
    seeds: int
    traces: int
    slots: int | None = None
    settings: int | None = None
    everywhere: bool = True
    learner: dict[str, Any] = field(default_factory=dict)


#: smoke: for tests. quick: two cores. paper: a cluster; 500 epochs of 500 slots, 3 layers of 512.
SCALES: dict[str, Scale] = {
    "smoke": Scale(env_steps=480, seeds=1, traces=2, slots=30, settings=2, learner={"hidden": [16, 16]}),
    "quick": Scale(env_steps=16_000, seeds=2, traces=10, everywhere=False),
    "paper": Scale(env_steps=250_000, seeds=10, traces=20, learner={"hidden": [512, 512, 512]}),
}
EXACT_ONLY = "-exact"
"""Ends the name of the folder of data without training, which does not replace data with it."""
AS_PRINTED = "as printed"
"""Variant with every formula as the paper prints it."""


@dataclass(frozen=True)
class Setting:
    """A point of a figure's horizontal axis, or a curve.

    Attributes:
        name: For the legend and the data file.
        x: Position on the axis.
        scenario: Preset.
        overrides: Changed fields.
    """

    name: str
    x: float
    scenario: str = "paper"
    overrides: tuple[str, ...] = ()

    def load(self, has_queue: bool = True) -> Scenario:
        """The scenario; without a queue Delta is 0, and the virtual queues stay empty."""
        return load_scenario(self.scenario, [*self.overrides, *(() if has_queue else ("lyapunov.delta=0.0",))])

    def changed(self, overrides: Sequence[str]) -> Setting:
        """The same point with more fields changed."""
        return replace(self, overrides=(*overrides, *self.overrides))


@dataclass(frozen=True)
class FigureOptions:
    """Options of every figure."""

    scale: str = "quick"
    """smoke (tests), quick (two cores) or paper (a cluster)."""
    out: Path = RESULTS
    """Folder of data file and picture."""
    work: Path = Path("results/figures")
    """Folder of the training runs; the same command goes on where it was stopped."""
    exact_only: bool = False
    """The exact solvers only, no training."""


@dataclass(frozen=True)
class Figure:
    """One figure of the paper.

    Attributes:
        name: Such as ``5a``.
        title: Of the picture.
        settings: Scenarios.
        methods: Methods shown.
        over_slots: The data file holds the cost up to each of some slots.
        fixed: Names of methods on which the settings have no bearing: they are trained in one of them only.
        trained: Positions of the settings in which methods are trained where a scale does not train everywhere; all
            if None.
        variants: Other systems in which the exact solvers' part is judged as well: name and changed fields.
        draw: Draws the data.
        verdict: Judges the paper's claims from the data.
        besides: What a verdict needs beside the rows, made from the settings; under ``besides`` in the data file.
    """

    name: str
    title: str
    settings: tuple[Setting, ...]
    methods: tuple[Method, ...]
    draw: Callable[[Data, Path], None]
    verdict: Callable[[Data], list[Claim]]
    fixed: tuple[str, ...] = ()
    trained: tuple[float, ...] | None = None
    variants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    over_slots: bool = False
    besides: Callable[[Sequence[Setting]], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Claim:
    """A verdict.

    Attributes:
        claim: What the paper says.
        verdict: ``holds``, ``does not hold`` or ``depends``.
        number: What was measured, in words.
        reason: Why it does not hold, or on what it depends.
    """

    claim: str
    verdict: str
    number: str
    reason: str = ""


@dataclass(frozen=True)
class Data:
    """The data file of a figure: rows by setting, method and kind (``exact`` or ``learned``)."""

    content: dict[str, Any]

    def settings(self) -> list[dict[str, Any]]:
        """Name, x, C_opt on each trace, and share of the devices that cannot reach Delta, of every setting."""
        return list(self.content["settings"])

    def out_of_reach(self) -> str:
        """Which settings have devices that cannot reach Delta, in words; empty if none has."""
        shares = [(setting["name"], setting["out_of_reach"]) for setting in self.settings()]
        told = ", ".join(f"{share:.0%} at {name}" for name, share in shares if share > 0.005)
        return f"Delta is out of reach of devices: {told}" if told else ""

    def row(self, setting: str, method: str, kind: str) -> dict[str, Any] | None:
        """The row, if there is one."""
        for row in self.content["rows"]:
            if (row["setting"], row["method"], row["kind"]) == (setting, method, kind):
                return dict(row)
        return None

    def methods(self, kind: str) -> list[str]:
        """Names of the methods that have rows of a kind, in the order of METHODS."""
        there = {row["method"] for row in self.content["rows"] if row["kind"] == kind}
        return [method.name for method in METHODS if method.name in there]

    def scores(self, setting: str, method: str, kind: str, metric: str = "cost") -> np.ndarray:
        """Scores [runs, traces]."""
        row = self.row(setting, method, kind)
        if row is None:
            raise KeyError(f"no {kind} {method} at {setting}")
        return np.array(row[metric], dtype=float)

    def estimate(self, setting: str, method: str, kind: str, metric: str = "cost") -> Estimate:
        """Interquartile mean with a 95 % interval, over training runs if there are several and else over traces."""
        return stratified_interquartile_mean(self.scores(setting, method, kind, metric))


def judge(claim: str, holds: bool, number: str, reason: str = "") -> Claim:
    """A claim that holds or does not; the reason is told if it does not."""
    return Claim(claim, "holds" if holds else "does not hold", number, "" if holds else reason)


def judged(figure: Figure, content: dict[str, Any]) -> list[dict[str, str]]:
    """The verdicts on a data file's rows, as it stores them."""
    return [vars(claim) for claim in figure.verdict(Data(content))]


def method_of(name: str) -> Method:
    """A method by its name."""
    return next(method for method in METHODS if method.name == name)


def run_figure(figure: Figure, options: FigureOptions) -> Data:
    """Train what is missing, evaluate, store the data, draw, and judge."""
    if options.scale not in SCALES:
        raise InputError(f"scale is '{options.scale}'; it must be one of {', '.join(SCALES)}.")
    scale = SCALES[options.scale]
    settings = _kept(figure.settings, scale.settings)
    folder = make_folder(options.out / f"{options.scale}{EXACT_ONLY if options.exact_only else ''}")
    study = {} if options.exact_only else dict(_trials(figure, settings, scale))
    started = time.perf_counter()
    records: dict[str, TrialRecord] = {}
    if study:
        quiet()
        with local_ray(), show_trials(len(study)) as report:
            done = run_study(study, options.work / options.scale / figure.name, report)
        records = {record.name: record for record in done}
        for record in done:
            if record.error is not None:
                raise InputError(f"trial {record.name} failed: {record.error}; the same command tries it again.")
    content: dict[str, Any] = {
        "figure": figure.name,
        "scale": options.scale,
        "env_steps": 0 if options.exact_only else scale.env_steps,
        **_evaluate_all(figure, settings, scale, records),
    }
    data = Data(content)
    if scale.settings is None:
        content["claims"] = judged(figure, content)
        content["variants"] = {}
        for name, overrides in {AS_PRINTED: as_printed(), **figure.variants}.items():
            varied = _evaluate_all(figure, [setting.changed(overrides) for setting in settings], scale, {})
            content["variants"][name] = varied | {"claims": judged(figure, varied)}
    with replacing(folder / f"fig{figure.name}.json") as file:
        file.write(json.dumps(content).encode())
    figure.draw(data, folder / f"fig{figure.name}.png")
    console = Console()
    for claim in content.get("claims", ()):
        console.print(f"{claim['verdict']}: {claim['claim']} ({claim['number']})", highlight=False, soft_wrap=True)
    where = folder / f"fig{figure.name}.png"
    console.print(f"picture: {where}, {time.perf_counter() - started:.0f} s", highlight=False, soft_wrap=True)
    return data


def _kept(settings: tuple[Setting, ...], count: int | None) -> tuple[Setting, ...]:
    if count is None or count >= len(settings):
        return settings
    return tuple(settings[i] for i in np.linspace(0, len(settings) - 1, count).round().astype(int))


def _trial_name(setting: Setting, method: Method, seed: int) -> str:
    """Safe as the name of a folder."""
    return re.sub(r"[^\w=.,-]+", "-", f"{setting.name},{method.name},seed={seed}")


def _trained(figure: Figure, settings: Sequence[Setting], scale: Scale) -> list[Setting]:
    """The settings in which methods are trained."""
    everywhere = scale.everywhere or figure.trained is None
    return [setting for setting in settings if everywhere or setting.x in (figure.trained or ())]


def _trials(figure: Figure, settings: Sequence[Setting], scale: Scale) -> Iterator[tuple[str, TrialSpec]]:
    trained = _trained(figure, settings, scale)
    for setting in trained:
        for method in figure.methods:
            if method.learner is None or (method.name in figure.fixed and setting is not trained[0]):
                continue
            for seed in range(scale.seeds):
                yield (
                    _trial_name(setting, method, seed),
                    TrialSpec(
                        scenario=setting.load(method.has_queue).model_dump(mode="json"),
                        env_steps=scale.env_steps,
                        seed=seed,
                        learner={**scale.learner, **method.learner},
                        labels={"setting": setting.name, "x": setting.x, "method": method.name, "seed": seed},
                    ),
                )


def as_printed() -> tuple[str, ...]:
    """What the preset ``paper-literal`` changes, as overrides of a setting."""
    found = changes(load_scenario("paper"), load_scenario("paper-literal"))
    return tuple(change for change in found if not change.startswith("name="))


def _evaluate_all(
    figure: Figure, settings: Sequence[Setting], scale: Scale, records: dict[str, TrialRecord]
) -> dict[str, Any]:
    """Settings and rows of a data file."""
    content: dict[str, Any] = {"settings": [], "rows": []}
    trained = _trained(figure, settings, scale)
    for setting in settings:
        _evaluate(figure, setting, trained, scale, records, content)
    if figure.besides is not None and scale.settings is None:
        content["besides"] = figure.besides(settings)
    return content


def _evaluate(
    figure: Figure,
    setting: Setting,
    trained: Sequence[Setting],
    scale: Scale,
    records: dict[str, TrialRecord],
    content: dict[str, Any],
) -> None:
    scenario = setting.load()
    trace = held_out_traces(scenario, scale.traces, scale.slots)
    optimum = constrained_optimum(scenario, trace)
    content["settings"].append(
        {
            "name": setting.name,
            "x": setting.x,
            "optimum": np.round(optimum.cost.mean(-1), 6).tolist(),
            "out_of_reach": float(1.0 - optimum.feasible.mean()),
        }
    )
    oracle = OracleReference.of(rollout(make_policy(HYBRID.exact, scenario), scenario, trace))
    for method in figure.methods:
        here = setting.load(method.has_queue)
        exact: list[Policy] = [make_policy(method.exact, here)]
        content["rows"].append(_row(setting, method, "exact", exact, here, trace, oracle, figure.over_slots))
        if setting not in trained:
            continue
        trained_in = trained[0] if method.name in figure.fixed else setting
        names = [_trial_name(trained_in, method, seed) for seed in range(scale.seeds)]
        found = [records[name] for name in names if name in records]
        if found:
            policies: list[Policy] = [load_policy(record.policy or "") for record in found]
            row = _row(setting, method, "learned", policies, here, trace, oracle, figure.over_slots)
            row["curve"] = [[[steps, metrics["cost"]] for steps, metrics in record.curve] for record in found]
            content["rows"].append(row)


def _row(
    setting: Setting,
    method: Method,
    kind: str,
    policies: list[Policy],
    scenario: Scenario,
    trace: Trace,
    oracle: OracleReference,
    over_slots: bool,
) -> dict[str, Any]:
    """Cost and its parts for each run and trace, and the mean cost up to each of some slots."""
    row: dict[str, Any] = {"setting": setting.name, "method": method.name, "kind": kind}
    lists: dict[str, list[Any]] = {}
    for policy in policies:
        record = rollout(policy, scenario, trace)
        by_slot = record.cost.mean(-1, dtype=np.float64)
        if over_slots:
            marks = np.unique(np.linspace(1, len(by_slot), min(NUM_MARKS, len(by_slot))).astype(int))
            row["slots"] = marks.tolist()
            running = (np.cumsum(by_slot, 0)[marks - 1] / marks[:, None]).T
            lists.setdefault("running_cost", []).append(np.round(running, 4).tolist())
        metrics = measure(record, scenario, oracle=oracle)
        for name, values in {
            **{name: metrics[name] for name in _STORED},
            "qpu_share": (record.mode == Mode.QPU).mean((0, 2)),
            "deviation": by_slot.std(0),
        }.items():
            lists.setdefault(name, []).append(np.round(values, 6).tolist())
    return row | lists


def paired(
    data: Data, setting: str, method: str, kind: str, other: str, other_kind: str, metric: str = "cost"
) -> Estimate:
    """Difference on the same traces, other minus method."""
    return paired_interquartile_difference(
        data.scores(setting, other, other_kind, metric), data.scores(setting, method, kind, metric)
    )


def between(data: Data, setting: str, other: str, method: str = HYBRID.name, metric: str = "cost") -> Estimate:
    """What the exact method's score changes by from a setting to another, paired by trace."""
    after, before = (data.scores(name, method, "exact", metric) for name in (other, setting))
    return paired_interquartile_difference(after, before)


def relative(data: Data, setting: str, other: str, method: str = HYBRID.name) -> Estimate:
    """The same as a share of the first cost, trace by trace."""
    first, second = (data.scores(name, method, "exact")[0] for name in (setting, other))
    return interquartile_mean(second / first - 1.0)


def best_kind(data: Data) -> str:
    """``learned`` if there is any training in the data, else ``exact``."""
    return "learned" if data.methods("learned") else "exact"


def tell(estimate: Estimate, form: str = ".2f") -> str:
    """Value and interval."""
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


@contextmanager
def axes_of(path: Path, title: str, xlabel: str, ylabel: str) -> Iterator[Any]:
    """Axes of a picture that is written in the end."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(7.2, 4.6), layout="constrained")
    axes = picture.subplots()
    yield axes
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    picture.legend(fontsize=8, ncols=3, loc="outside lower center")
    with replacing(path) as file:
        picture.savefig(file, format="png", dpi=130)


def draw_over_settings(data: Data, path: Path, title: str, xlabel: str, xscale: str = "linear") -> None:
    """Cost against x: what is learned with intervals, the exact solvers dashed in the same colour, C_opt in black."""
    settings = data.settings()
    x = np.array([setting["x"] for setting in settings])
    with axes_of(path, title + _BARS, xlabel, "time-average cost of a device (11)") as axes:
        for kind in ("learned", "exact"):
            for name in data.methods(kind):
                method = method_of(name)
                there = np.array([data.row(setting["name"], name, kind) is not None for setting in settings])
                estimates = [
                    data.estimate(s["name"], name, kind) for s, has in zip(settings, there, strict=True) if has
                ]
                has_marks = kind == "learned" or method.learner is None or "learned" not in _kinds(data, name)
                # No line leads through settings in which nothing was trained.
                learned_line = "-" if there.all() else ""
                axes.errorbar(
                    x[there],
                    [estimate.value for estimate in estimates],
                    yerr=error_bars(estimates) if kind == "learned" else None,
                    color=method.colour,
                    linestyle=learned_line if kind == "learned" else "--",
                    marker=method.marker if has_marks else None,
                    markersize=5,
                    capsize=3,
                    linewidth=1.5 if kind == "learned" else 1.0,
                    label=f"{name}, {kind}",
                )
        reached = np.array([setting["out_of_reach"] == 0.0 for setting in settings])
        optima = np.array([interquartile_mean(np.array(setting["optimum"])).value for setting in settings])
        axes.plot(x[reached], optima[reached], "k+", markersize=9, zorder=5, label="C_opt")
        for number, place in enumerate(x[~reached]):
            label = "Delta out of reach of some devices" if number == 0 else None
            axes.axvline(place, color="grey", linewidth=6, alpha=0.2, label=label)
        axes.set_xscale(xscale)


_BARS = "; bars and bands: 95 % over training runs"
_SHADES = (("#00304D", "o"), ("#0072B2", "s"), ("#6DBCE8", "^"), ("#3F5B6E", "v"), ("#A9B8C2", "D"))
"""Of our method's colour, for settings that are told apart in a picture of it alone."""


def _kinds(data: Data, method: str) -> set[str]:
    return {row["kind"] for row in data.content["rows"] if row["method"] == method}


def _looks(curves: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Colour and marker of its method for each curve; where settings are told apart, shades of our method's."""
    if len({setting for setting, _, _ in curves}) == 1:
        return [(method_of(name).colour, method_of(name).marker) for _, name, _ in curves]
    return [_SHADES[number % len(_SHADES)] for number in range(len(curves))]


def draw_over_slots(data: Data, path: Path, title: str, curves: Sequence[tuple[str, str, str]]) -> None:
    """Mean cost up to a slot; curves are (setting, method, label)."""
    with axes_of(path, title + _BARS, "slot", "mean cost of a device up to the slot") as axes:
        for number, ((colour, marker), (setting, name, label)) in enumerate(zip(_looks(curves), curves, strict=True)):
            for kind, line in (("learned", "-"), ("exact", "--")):
                row = data.row(setting, name, kind)
                if row is None:
                    continue
                running = np.array(row["running_cost"])  # [runs, traces, marks]
                middle = [stratified_interquartile_mean(running[:, :, mark]) for mark in range(running.shape[-1])]
                axes.plot(
                    *(row["slots"], [e.value for e in middle], line),
                    color=colour,
                    marker=marker,
                    markerfacecolor=colour if kind == "learned" else "none",
                    markevery=(3 * number + (0 if kind == "learned" else 5), 10),
                    label=f"{label}, {kind}",
                )
                if len(running) > 1:
                    low, high = [e.low for e in middle], [e.high for e in middle]
                    axes.fill_between(row["slots"], low, high, color=colour, alpha=0.15, linewidth=0)


def draw_over_training(data: Data, path: Path, title: str, curves: Sequence[tuple[str, str, str]]) -> None:
    """Cost of the greedy policy during training, all runs; the exact solver's on the same traces as a dashed line."""
    title += "; a line is a training run"
    ends = [curve[-1][0] for row in data.content["rows"] for curve in row.get("curve", ())]
    end = max(ends, default=1)
    with axes_of(path, title, "environment steps", "cost of the greedy policy on held-out traces") as axes:
        for (colour, marker), (setting, name, label) in zip(_looks(curves), curves, strict=True):
            row = data.row(setting, name, "learned")
            for run, curve in enumerate(row["curve"] if row else ()):
                steps, costs = np.array(curve).T
                told = f"{label}, learned" if run == 0 else None
                axes.plot(*(steps, costs), color=colour, marker=marker, markersize=4, linewidth=1.2, label=told)
            # The traces of the evaluations during training are the first of all.
            exact = float(data.scores(setting, name, "exact")[0, :NUM_TRACES].mean())
            axes.plot(
                *([0, end], [exact, exact]),
                color=colour,
                linestyle="--",
                marker=marker,
                markerfacecolor="none",
                linewidth=1,
                label=f"{label}, exact",
            )


def command(figure: Figure) -> None:
    """The command line of a figure."""
    import sys

    options = tyro.cli(FigureOptions, prog=f"python -m experiments.fig{figure.name}", description=figure.title)
    try:
        run_figure(figure, options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
