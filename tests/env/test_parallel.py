from __future__ import annotations

import copy
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

import meqc_marl
from meqc_marl.config import PRESETS, Scenario, load_scenario
from meqc_marl.env.actions import action_mask
from meqc_marl.env.observation import LOG_SCALE, OBSERVATION_COLUMNS
from meqc_marl.env.parallel import OffloadingParallelEnv, action_space, observation_space
from meqc_marl.env.sufficient import PENALTY_COLUMNS, SUFFICIENT_COLUMNS
from meqc_marl.env.view import observation_columns
from meqc_marl.errors import InputError
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.nature.trace import generate_trace
from meqc_marl.nature.trace_file import save_trace
from meqc_marl.physics.cost import Mode
from tests.sentences import is_one_sentence

Actions = dict[str, dict[str, Any]]


def sample(env: OffloadingParallelEnv) -> Actions:
    return {agent: env.action_space(agent).sample() for agent in env.agents}


def all_local(env: OffloadingParallelEnv) -> Actions:
    return {agent: {"mode": 0, "fraction": np.zeros(1, np.float32)} for agent in env.agents}


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "large"])
def test_pettingzoo_api(preset: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(meqc_marl.parallel_env(preset, ["horizon=50"]), num_cycles=120)


def test_reset_really_seeds_the_whole_horizon(small: Scenario) -> None:
    def run(seed: int) -> list[np.ndarray]:
        env = OffloadingParallelEnv(small)
        seen, _ = env.reset(seed=seed)
        for m, agent in enumerate(env.possible_agents):
            env.action_space(agent).seed(m)
        record = [np.stack(list(seen.values()))]
        while env.agents:
            seen, rewards, *_ = env.step(sample(env))
            record += [np.stack(list(seen.values())), np.array(list(rewards.values()))]
        return record

    one, again, other = run(3), run(3), run(4)
    assert len(one) == 1 + 2 * 100
    for a, b, c in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_all_agents_end_together_with_reward_and_observation(small: Scenario) -> None:
    env = OffloadingParallelEnv(small)
    env.reset(seed=0)
    agents = list(env.agents)
    assert agents == ["mobile_0", "mobile_1", "mobile_2"]
    for t in range(100):
        assert env.agents == agents
        seen, rewards, terminated, truncated, infos = env.step(sample(env))
        for told in (seen, rewards, terminated, truncated, infos):
            assert list(told) == agents
        assert not any(terminated.values())
        assert all(truncated.values()) == any(truncated.values()) == (t == 99)
        assert all(reward < 0 for reward in rewards.values())
        assert all(env.observation_space(agent).contains(seen[agent]) for agent in agents)
    assert env.agents == []
    env.reset()
    assert env.agents == agents


def test_reward_infos_and_mask(small: Scenario) -> None:
    env = OffloadingParallelEnv(small)
    seen, infos = env.reset(seed=0)
    masks = set()
    for _ in range(100):
        for agent in env.possible_agents:
            mask = infos[agent]["mode_mask"]
            assert mask.dtype == np.int8
            assert mask.any()
            assert mask.tolist() == seen[agent][:3].tolist()
            masks.add(tuple(mask.tolist()))
        taken = env.simulator.places.qpu_admitted[0]
        before = {agent: infos[agent] | {"admitted": taken[m]} for m, agent in enumerate(env.agents)}
        actions = sample(env)
        seen, rewards, _, _, infos = env.step(actions)
        for agent, action in actions.items():
            info = infos[agent]
            assert rewards[agent] == -info["cost"]
            assert info["cost"] == pytest.approx(0.5 * info["latency_s"] + 0.5 * info["energy_j"])
            told = before[agent]
            assert info["qpu_rejected"] == (action["mode"] == Mode.QPU and not told["admitted"])
            mode = Mode.CPU if info["qpu_rejected"] else action["mode"]
            share = 0.0 if mode == 0 else max(0.01, float(action["fraction"][0]))
            low, high = told["fraction_low"][info["mode"]], told["fraction_high"][info["mode"]]
            assert told["mode_mask"][info["mode"]]
            assert low <= info["fraction"] <= high
            if told["mode_mask"][mode]:
                assert info["mode"] == mode
                assert info["fraction"] == min(max(share, low), high)
            assert info["overruled"] == (info["mode"] != mode or abs(info["fraction"] - share) > 1e-6)
            assert not (info["deadline_missed"] and info["deadline_feasible"])
            for name in ("deadline_missed", "deadline_feasible", "qpu_rejected", "overruled"):
                assert isinstance(info[name], bool)
    assert {mask[0] for mask in masks} == {mask[2] for mask in masks} == {0, 1}


def test_with_a_penalty_everything_is_carried_out_as_asked_for(small: Scenario) -> None:
    env = OffloadingParallelEnv(load_scenario(small, ["cost.deadline=penalty", "tasks.deadline_s=[2, 20]"]))
    _, infos = env.reset(seed=0)
    missed = 0
    for _ in range(50):
        masks = {agent: infos[agent]["mode_mask"].tolist() for agent in env.agents}
        assert all(mask[:2] == [1, 1] for mask in masks.values())
        _, _, _, _, infos = env.step(all_local(env))
        assert all(info["mode"] == Mode.LOCAL and not info["overruled"] for info in infos.values())
        missed += sum(info["deadline_missed"] and info["deadline_feasible"] for info in infos.values())
    assert missed > 0


def test_what_a_caller_changes_does_not_come_back(small: Scenario) -> None:
    one, other = OffloadingParallelEnv(small), OffloadingParallelEnv(small)
    one.reset(seed=0)
    other.reset(seed=0)
    for _ in range(50):
        changed, kept = one.step(all_local(one)), other.step(all_local(other))
        for agent in one.agents:
            np.testing.assert_array_equal(changed[0][agent], kept[0][agent])
            np.testing.assert_array_equal(changed[4][agent]["mode_mask"], kept[4][agent]["mode_mask"])
            changed[0][agent][...] = 9
            changed[4][agent]["mode_mask"][...] = 9


def test_actions_in_plain_python_are_taken(small: Scenario) -> None:
    env = OffloadingParallelEnv(small)
    env.reset(seed=0)
    env.step({agent: {"mode": 1, "fraction": 0.5} for agent in env.agents})
    env.step({agent: {"mode": np.int64(2), "fraction": np.array(1.0)} for agent in env.agents})
    env.step({agent: {"mode": np.array(2), "fraction": [1]} for agent in reversed(env.agents)})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a.pop("mobile_1"), "actions lacks mobile_1; it must hold an action for each of the 3 agents"),
        (lambda a: a.update(mobile_9=a["mobile_1"]), "'mobile_9'; it must be an agent, from mobile_0 to mobile_2"),
        (lambda a: a["mobile_1"].pop("mode"), "action of mobile_1 lacks mode; it must hold mode and fraction"),
        (lambda a: a["mobile_1"].pop("fraction"), "action of mobile_1 lacks fraction"),
        (lambda a: a.update(mobile_1=2), "action of mobile_1 is 2; it must be a dict with mode and fraction"),
        (lambda a: a.update(mobile_1=None), "action of mobile_1 is None"),
        (
            lambda a: a["mobile_1"].update(mode=3),
            r"mode of mobile_1 is 3; it must be 0 \(local\), 1 \(CPU\) or 2 \(QPU\)",
        ),
        (lambda a: a["mobile_1"].update(mode=-1), "mode of mobile_1 is -1"),
        (lambda a: a["mobile_1"].update(mode=1.0), "mode of mobile_1 is 1.0"),
        (lambda a: a["mobile_1"].update(mode="CPU"), "mode of mobile_1 is 'CPU'"),
        (lambda a: a["mobile_1"].update(mode=None), "mode of mobile_1 is None"),
        (lambda a: a["mobile_1"].update(mode=[1]), r"mode of mobile_1 is \[1\]"),
        (
            lambda a: a["mobile_1"].update(fraction=1.5),
            r"fraction of mobile_1 is 1.5; it must be one number within \[0, 1",
        ),
        (lambda a: a["mobile_1"].update(fraction=float("nan")), "fraction of mobile_1 is nan"),
        (lambda a: a["mobile_1"].update(fraction=[-0.1]), r"fraction of mobile_1 is \[-0.1\]"),
        (lambda a: a["mobile_1"].update(fraction=[0.1, 0.2]), r"fraction of mobile_1 is \[0.1, 0.2\]"),
        (lambda a: a["mobile_1"].update(fraction="half"), "fraction of mobile_1 is 'half'"),
        (lambda a: a["mobile_1"].update(fraction=None), "fraction of mobile_1 is None"),
        (lambda a: a["mobile_1"].update(fraction=[]), r"fraction of mobile_1 is \[\]"),
        (lambda a: a.clear(), "actions lacks mobile_0"),
    ],
)
def test_a_bad_action_is_one_sentence_and_changes_nothing(small: Scenario, change: Any, sentence: str) -> None:
    env = OffloadingParallelEnv(small)
    env.reset(seed=0)
    actions = {agent: {"mode": 1, "fraction": np.array([0.5], np.float32)} for agent in env.agents}
    change(actions)
    with pytest.raises(InputError, match=sentence) as caught:
        env.step(actions)
    assert is_one_sentence(str(caught.value))
    assert env.simulator.slot_index == 0
    env.step(all_local(env))


@pytest.mark.parametrize("wrapped", [False, True])
def test_infos_have_the_same_keys_and_types_from_reset_and_from_every_step(small: Scenario, wrapped: bool) -> None:
    def kinds(infos: dict[str, dict[str, Any]]) -> dict[str, dict[str, type]]:
        return {agent: {key: type(value) for key, value in info.items()} for agent, info in infos.items()}

    env: Any = OffloadingParallelEnv(small)
    env = LyapunovParallelEnv(env) if wrapped else env
    _, infos = env.reset(seed=0)
    at_first = kinds(infos)
    while env.agents:
        *_, infos = env.step(all_local(env))
        assert kinds(infos) == at_first
    _, infos = env.reset()
    assert kinds(infos) == at_first
    assert set(at_first["mobile_0"].values()) <= {int, float, bool, np.ndarray}
    assert infos["mobile_0"]["cost"] == 0.0  # not that of the episode before


def test_the_mask_is_what_the_space_samples_by(small: Scenario) -> None:
    env = OffloadingParallelEnv(small)
    _, infos = env.reset(seed=0)
    barred = 0
    while env.agents:
        actions = {agent: env.action_space(agent).sample(action_mask(infos[agent])) for agent in env.agents}
        for agent, action in actions.items():
            allowed = infos[agent]["mode_mask"]
            barred += int((allowed == 0).sum())
            assert allowed[action["mode"]]
        *_, infos = env.step(actions)
        assert all(infos[agent]["mode"] == action["mode"] for agent, action in actions.items())
    assert barred > 0


def test_no_agent_or_its_group_is_named_as_an_attribute_of_frameworks(small: Scenario) -> None:
    import torch

    for agent in OffloadingParallelEnv(small).possible_agents:
        for name in (agent, agent.rsplit("_", 1)[0]):
            assert not hasattr(torch.nn.Module(), name)
            assert not hasattr(torch.zeros(1), name)
            assert name not in ("batch_size", "names", "shape")


def test_bad_calls(small: Scenario, tmp_path: Path) -> None:
    env = OffloadingParallelEnv(small)
    with pytest.raises(InputError, match="call reset"):
        env.step({})
    env.reset(seed=0)
    with pytest.raises(InputError, match="actions is a list"):
        env.step([1, 2, 3])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="render_mode is 'movie'"):
        OffloadingParallelEnv(small, render_mode="movie")
    with pytest.raises(InputError, match="2 rows; it must have 1"):
        OffloadingParallelEnv(small, generate_trace(small, [0, 1]))
    with pytest.raises(InputError, match="did you mean 'small'"):
        meqc_marl.parallel_env("smal")


def test_parallel_env_takes_presets_files_and_traces(small: Scenario, tmp_path: Path) -> None:
    meqc_marl.save_scenario(small, tmp_path / "mine.yaml")
    save_trace(generate_trace(small, [6], num_slots=5), tmp_path / "trace.npz")
    assert meqc_marl.parallel_env(small, ["horizon=3"]).scenario.horizon == 3
    env = meqc_marl.parallel_env(tmp_path / "mine.yaml", ["cost.latency=sequential"], trace=tmp_path / "trace.npz")
    assert env.scenario.cost.latency == "sequential"
    first, _ = env.reset(seed=1)
    for _ in range(5):
        assert env.agents
        env.step(all_local(env))
    assert not env.agents
    again, _ = env.reset(seed=2)
    np.testing.assert_array_equal(list(first.values()), list(again.values()))


def test_copies_go_on_alike(small: Scenario) -> None:
    env = OffloadingParallelEnv(small)
    env.reset(seed=0)
    env.step(all_local(env))
    for other in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        expected, found = copy.deepcopy(env).step(all_local(env)), other.step(all_local(env))
        np.testing.assert_array_equal(list(found[0].values()), list(expected[0].values()))
        assert found[1] == expected[1]


def test_spaces() -> None:
    for overrides, columns in (
        ([], SUFFICIENT_COLUMNS),
        (["cost.deadline=penalty"], PENALTY_COLUMNS),
        (["observation=paper"], OBSERVATION_COLUMNS),
    ):
        space = meqc_marl.parallel_env("small", overrides).observation_space("mobile_0")
        assert space.shape == (len(columns),)
        assert space.dtype == np.float32
        assert space.low[-1] == 0.0
    assert set(action_space().keys()) == {"mode", "fraction"}
    env = meqc_marl.parallel_env("small")
    assert env.observation_space("mobile_0") is env.observation_space("mobile_0")
    assert env.action_space("mobile_0") is not env.action_space("mobile_1")


def test_the_docstring_lists_the_columns_with_their_scale() -> None:
    rows = [
        line.split("|")[1:-1] for line in (OffloadingParallelEnv.__doc__ or "").splitlines() if line.count("|") == 7
    ]
    space = observation_space(load_scenario("small", ["observation=paper"]))
    rows = [[cell.strip() for cell in row] for row in rows][2:]
    assert [row[1] for row in rows] == list(OBSERVATION_COLUMNS)
    assert [int(row[0]) for row in rows] == list(range(len(OBSERVATION_COLUMNS)))
    for _, name, _, scale, low, high in rows:
        index = OBSERVATION_COLUMNS.index(name)
        if name in LOG_SCALE:
            kind, zero, factor = scale.split(", ")
            assert kind == "log"
            assert (float(zero.split()[0]), float(factor)) == LOG_SCALE[name]
        assert space.low[index] <= float(low)
        assert space.high[index] >= float(high)


def test_the_docstring_names_the_columns_of_the_sufficient_view() -> None:
    text = (OffloadingParallelEnv.__doc__ or "").partition("## Rewards")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.count("|") == 3]
    named = {name.strip() for cell in cells[2:] for name in cell.split(",")} | set(re.findall(r"``(\w+)``", text))
    named |= set(OBSERVATION_COLUMNS)
    for name in {*SUFFICIENT_COLUMNS, *PENALTY_COLUMNS, *observation_columns(load_scenario("queued"))}:
        assert name.replace("qpu_", "cpu_") in named or name in named, name


def test_render() -> None:
    env = meqc_marl.parallel_env("small", render_mode="ansi")
    env.reset(seed=0)
    assert env.render().startswith("slot 0\n")
    env.step({agent: {"mode": 2, "fraction": 1.0} for agent in env.agents})
    lines = env.render().splitlines()
    assert lines[0] == "slot 0"
    assert len(lines) == 2 + 3
    assert "latency s" in lines[1]
    for line in lines[2:]:
        assert ("QPU  " in line) != ("rejected by QPU" in line)
    while env.agents:
        env.step(all_local(env))
    assert env.render().startswith("slot 99\n")

    env = meqc_marl.parallel_env("small", render_mode="rgb_array")
    env.reset(seed=0)
    start = env.render()
    env.step({agent: {"mode": m, "fraction": 1.0} for m, agent in enumerate(env.agents)})
    after = env.render()
    assert start.shape == after.shape == (580, 520, 3)
    assert start.dtype == np.uint8
    assert (start != after).any()
    assert meqc_marl.parallel_env("small").render() is None


def test_many_devices() -> None:
    env = OffloadingParallelEnv(load_scenario("large", ["horizon=2"]))
    env.reset(seed=0)
    env.step(all_local(env))
    assert len(env.agents) == 1000
