"""Fields without effect: nothing that an environment tells changes with one, and with every other something does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenario_box import SIZES, numbers, words

from meqc_marl.cli import main
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.idle import idle_fields, refuse_idle
from meqc_marl.config.variation import parse_variations
from meqc_marl.env.parallel import OffloadingParallelEnv
from meqc_marl.errors import InputError
from meqc_marl.evaluation.variation import read_axis, vary
from meqc_marl.lyapunov import value
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.policies import make_policy
from tests.sentences import is_one_sentence

SYSTEMS = {
    "paper": ["paper"],
    "paper-literal": ["paper-literal"],
    "pooled": ["pooled"],
    "queued": ["queued", "resources.server_hz=1e9", "slot_s=2"],
    "only the server queues": ["queued", "resources.qpu=leased", "resources.band=leased", "resources.server_hz=1e9"],
    "static": ["paper", "mobility.kind=static"],
    "static and queued": ["queued", "mobility.kind=static", "resources.server_hz=1e9"],
    "fast-folders": ["fast-folders"],
    "circuits": ["paper", "tasks.source=circuits", "quantum.error_rate=1e-6", "quantum.error_threshold=2e-6"],
    "no code": ["paper", "quantum.concatenation=0"],
    "penalty": ["paper", "cost.deadline=penalty"],
    "paper's columns": ["queued", "observation=paper", "resources.server_hz=1e9", "slot_s=2"],
}
REFUSED_ALONE = {"resources.allocation"}
"""Has one built-in word only."""


def system(name: str) -> Scenario:
    preset, *changes = SYSTEMS[name]
    return load_scenario(preset, ["num_devices=4", "horizon=8", *changes])


def told(scenario: Scenario) -> bytes:
    """Everything that an environment tells of an episode: observations, rewards, infos."""
    env, rng = LyapunovParallelEnv(OffloadingParallelEnv(scenario)), np.random.default_rng(0)
    seen: list[Any] = [*env.reset(seed=3)[0].values()]
    while env.agents:
        shares = rng.random((4, 1)).astype(np.float32)
        actions = {
            agent: {"mode": int(rng.integers(3)), "fraction": share}
            for agent, share in zip(env.agents, shares, strict=True)
        }
        observations, rewards, _, _, infos = env.step(actions)
        seen += [*observations.values(), *rewards.values()]
        seen += [each for info in infos.values() for each in info.values()]
    return b"".join(np.asarray(each, np.float64).tobytes() for each in seen)


def others(scenario: Scenario, name: str) -> Iterator[str]:
    """Overrides that give a field another value."""
    now: Any = scenario.model_dump()
    for key in name.split("."):
        now = now[key]
    if name == "tasks.circuits":
        yield "tasks.circuits=['ghz:5']"
    elif name == "tasks.circuit_basis":
        yield "tasks.circuit_basis=[cz, rx, rz]"
    elif name in dict(words()):
        yield from (f"{name}={word}" for word in dict(words())[name] if word != now)
    else:
        low, high, _ = next(each[1:] for each in numbers() if each[0] == name)
        given = now if isinstance(now, tuple) else (now,)
        whole = isinstance(given[0], int) or name == "resources.qpu_tiles"
        for factor, more in ((0.7, 0.0), (1.4, 0.0), (1.0, 0.1), (0.0, low), (0.0, min(high, 1e6))):
            values = [min(max(factor * (1e9 if x is None else x) + more, low), high) for x in given]
            values = [round(x) for x in values] if whole else values
            yield f"{name}={json.dumps(values if isinstance(now, tuple) else values[0])}"


def changed(scenario: Scenario, name: str) -> Iterator[bytes]:
    """What is told with other values of a field, of those that are allowed."""
    for override in others(scenario, name):
        try:
            other = load_scenario(scenario, [override])
        except InputError:
            continue
        if other != scenario:
            yield told(other)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of the waits that is fitted within the episode."""
    monkeypatch.setattr(value, "_REFIT", 2)


@pytest.mark.parametrize("name", SYSTEMS)
def test_nothing_changes_with_a_field_that_is_said_to_have_no_effect(name: str) -> None:
    scenario = system(name)
    usual, count = told(scenario), 0
    for field in idle_fields(scenario):
        for other in changed(scenario, field):
            assert other == usual, field
            count += 1
    assert count > 5


def complete(name: str) -> None:
    scenario = system(name)
    usual, idle = told(scenario), idle_fields(scenario)
    fields = {each[0] for each in numbers()} | {name for name, _ in words()} - REFUSED_ALONE
    for field in sorted(fields - set(SIZES) - set(idle) - {"tasks.circuits", "observation"}):
        same = [False]  # if no other value is allowed
        for other in changed(scenario, field):
            same = [*same[1:], other == usual]
            if not same[-1]:
                break
        assert not all(same), field


def test_something_changes_with_every_other_field() -> None:
    complete("queued")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SYSTEMS)
def test_something_changes_with_every_other_field_of_any_system(name: str) -> None:
    complete(name)


@pytest.mark.parametrize(
    ("preset", "override", "why"),
    [
        ("paper", "lyapunov.discount=0.5", "nothing is queued"),
        ("pooled", "lyapunov.discount=0.5", "nothing is queued"),
        ("paper", "resources.server_hz=1e10", "resources.server is leased"),
        ("paper", "resources.qpu_tiles=3", "resources.qpu is leased"),
        ("paper", "resources.fraction=literal", "nothing is pooled or queued"),
        ("static", "slot_s=2", "nobody moves and nothing is queued"),
        ("queued", "channel.bandwidth_hz=1e9", "resources.band is pooled"),
    ],
)
def test_who_gives_one_is_told_in_one_sentence(
    preset: str, override: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    field = override.partition("=")[0]
    for words_given in (
        ["compare", "--scenario", preset, "--set", override],
        ["train", "--scenario", preset, "--set", override, "--out", "never"],
        ["sweep", "--scenario", preset, "--set", override, "--storage", "never"],
        ["scenario", "show", preset, "--set", override],
        ["vary", override, "--scenario", preset],
    ):
        assert main(words_given) == 2
        error = capsys.readouterr().err.strip().removeprefix("error: ")
        assert field in error
        assert f"has no effect where {why}" in error
        assert is_one_sentence(error), error
    if "," not in override and field != "lyapunov.discount":
        with pytest.raises(InputError, match="has no effect where"):
            parse_variations(load_scenario(preset), [f"{field}=[{override.partition('=')[2]}]"])


def test_a_field_that_has_an_effect_where_another_is_varied_may_be_varied() -> None:
    scenario = load_scenario("paper", ["num_devices=3", "cost.deadline=penalty"])
    both = ["resources.server=[leased, pooled]", "resources.server_hz=5e9,2e10"]
    assert len(parse_variations(scenario, both)) == 2
    axes = [read_axis("resources.server=leased,pooled", scenario), read_axis("resources.server_hz=5e9,2e10", scenario)]
    found = vary(scenario, axes, lambda here: [make_policy("selfish", here)], [1], num_slots=2)
    costs = [float(point.metrics["selfish"]["cost"].mean()) for point in found.points]
    assert costs[0] == costs[1]
    assert costs[2] != costs[3]


def test_a_field_may_be_given_with_what_gives_it_an_effect() -> None:
    together = ["lyapunov.discount=0.5", "resources.server=queued", "cost.deadline=penalty"]
    assert refuse_idle(load_scenario("paper", together), together).lyapunov.discount == 0.5


def test_how_rows_are_paid_does_not_vary() -> None:
    with pytest.raises(InputError, match="paid alike"):
        parse_variations(load_scenario("queued"), ["lyapunov.reward=[own, team]"])


def test_a_file_is_told_what_has_no_effect_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("lyapunov: {discount: 0.5}\nresources: {server: pooled, server_hz: 1e10}\n")
    assert main(["scenario", "check", str(file)]) == 0
    out = capsys.readouterr().out
    assert "lyapunov.discount has no effect where nothing is queued" in out
    assert "server_hz has no effect" not in out
