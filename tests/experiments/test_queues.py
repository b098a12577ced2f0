"""Tables and pictures of servers that queue: averages by hand, points that are kept, and what is drawn of them."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.queues import loads, one_policy, tolls
from experiments.queues.loads import point, price_of_myopia, system
from experiments.queues.rules import Means, means, row, traces
from meqc_marl.config import load_scenario
from meqc_marl.entry.running import run_module
from meqc_marl.errors import InputError
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.lyapunov import BacklogValue
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.modes import Mode
from meqc_marl.physics.places import Work
from meqc_marl.physics.queueing import Backlogs, behind
from meqc_marl.policies import make_policy
from meqc_marl.policies.toll import search
from meqc_marl.policies.toll.schedules import Prices, toll_of


def test_means_are_of_the_last_three_quarters_and_nature_of_slots_of_a_second() -> None:
    scenario = load_scenario("queued", ["num_devices=4", "resources.server_hz=2e9"])
    trace = traces(scenario, False, range(3, 5), 12)
    np.testing.assert_array_equal(trace.gain, traces(load_scenario(scenario, ["slot_s=1"]), True, range(3, 5), 12).gain)
    assert (trace.gain != traces(scenario, True, range(3, 5), 12).gain).any()
    policy = make_policy("selfish", scenario)
    record, found = rollout(policy, scenario, trace), means(policy, scenario, trace)
    assert record.waits is not None
    assert found.cost == pytest.approx(np.mean([record.cost[t] for t in range(3, 12)]))
    assert found.charged == pytest.approx(found.cost + 20 * np.mean([record.deadline_missed[t] for t in range(3, 12)]))
    assert found.cpu_wait_s == pytest.approx(np.mean([record.waits[t, :, 0] for t in range(3, 12)]))
    assert row("a", Means(1, 2, 0.034, 0.5, 6, 0.25)) == "| a | 1.00 | 2.00 | 3.4 % | 0.500 | 6.0 s, 0.2 s |"


def test_a_point_is_kept_and_not_mixed_with_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ["num_devices=3"]
    first = point(changes, ("selfish",), tmp_path, 1, 6)
    monkeypatch.setattr(loads, "means", lambda *args: pytest.fail("worked out again"))
    assert point(changes, ("selfish",), tmp_path, 1, 6) == first
    with pytest.raises(InputError, match="choose another folder"):
        point(changes, ("selfish",), tmp_path, 1, 7)
    assert price_of_myopia({"joint-oracle": Means(0, 22, 0, 0, 0, 0), "priced-joint": Means(0, 20, 0, 0, 0, 0)}) == (
        pytest.approx(0.1)
    )
    assert system("slot_s", 5.0) == []
    assert system("slot_s", 6.0) == ["slot_s=6.0"]


def test_loads_are_worked_out_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search, "QUICK", (1, 2, 7))
    monkeypatch.setattr(loads, "SYSTEMS", {"tiles": ("resources.qpu_tiles", (1, 2))})
    words = ["--out", str(tmp_path), "--policies", "selfish", "no-waiting", "--num-traces", "1", "--num-slots", "4"]
    assert run_module(loads.Loads, [*words, "--axes", "tiles"]) == 0
    told = capsys.readouterr().out
    assert "| tiles 1 |" in told
    assert "| tiles 2 |" in told
    assert (tmp_path / "loads.png").stat().st_size > 10_000
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_second_costs_what_it_delays_all_others(tmp_path: Path) -> None:
    """A price against the toll of the rule that charges it; a critic against the difference of its values."""
    scenario = load_scenario("queued", ["num_devices=6", "cost.latency_ref_s=2", "devices.lambda_t=0.8"])
    prices = Prices(1.5, 2.0, 0.3, 0.4)
    both = tolls.of_schedule(scenario, prices)
    work = behind(scenario, Work.of(scenario, generate_trace(scenario, [1], num_slots=1).slot(0)), Backlogs.empty(1))
    charged = toll_of(scenario, replace(work, cpu_wait_s=np.full((1, 1), 10.0)), prices)[Mode.CPU]
    seconds = work.data_bits * work.cycles_per_bit / scenario.resources.server_hz  # type: ignore[operator]
    np.testing.assert_allclose(charged, both[0][-1] * seconds)
    assert both[1][0] == pytest.approx(2.0 * 2.5 * 0.8 / 2)

    critic = BacklogValue(0.9)
    critic.weights = np.array([[-1.0, 0.5, -2.0, 0.0, -1.0]])
    checkpoint = tmp_path / "checkpoint_000001"
    (checkpoint / "env_runner").mkdir(parents=True)
    state = {"sampling": {"callbacks": [{"value": critic.get_state()}]}}
    (checkpoint / "env_runner" / "state.pkl").write_bytes(pickle.dumps(state))
    (checkpoint / "manifest.json").write_text("{}")
    read = tolls.of_critic(scenario, *tolls.critic_of(scenario, str(tmp_path)))
    more, less = (critic.value(np.array(5.0 + step), np.zeros(())) for step in (1e-4, -1e-4))
    assert read[0][20] == pytest.approx(-6 * 0.9 * (more - less) / 2e-4)
    assert read[1][0] == 0.0  # the slope there would pay for work
    with pytest.raises(InputError, match="no checkpoint with a value"):
        tolls.critic_of(scenario, str(tmp_path / "none"))


def test_tolls_are_worked_out_once_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search, "QUICK", (1, 2, 7))
    words = ["--out", str(tmp_path), "--set", "num_devices=3", "--set", "horizon=5"]
    for _ in range(2):
        assert run_module(tolls.Tolls, words) == 0
        assert "| searched price |" in capsys.readouterr().out
        assert (tmp_path / "tolls.png").stat().st_size > 10_000
        monkeypatch.setattr(tolls, "make_policy", lambda *given: pytest.fail("worked out again"))
    assert run_module(tolls.Tolls, [*words, "--set", "slot_s=4"]) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_one_policy_is_set_beside_the_prices_of_each_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "QUICK", (1, 2, 7))
    monkeypatch.setattr(one_policy, "LOADS", one_policy.LOADS[:2])
    monkeypatch.setattr(
        one_policy, "learned_policies", lambda given: {"x": make_policy("selfish", load_scenario("queued"))}
    )
    words = ["--out", str(tmp_path), "--num-slots", "4", "--learned", "x=run"]
    assert run_module(one_policy.OnePolicy, words) == 0
    results = json.loads((tmp_path / "one_policy.json").read_text())
    first = results["loads"]["10 GHz, 2 s, 0"]
    scenario = load_scenario("queued", ["resources.server_hz=1e10", "slot_s=2", "lyapunov.delta=0"])
    alone = means(make_policy("selfish", scenario), scenario, traces(scenario, True, slots=4))
    assert first["learned (x)"] == pytest.approx(alone._asdict())
    expected = 100 * (alone.charged / first["priced-joint"]["charged"] - 1)
    assert one_policy.over(first, "learned (x)", "priced-joint") == pytest.approx(expected)
    assert f"{expected:+.1f} %" in one_policy.table(results)
    assert (tmp_path / "one_policy.png").stat().st_size > 10_000
    assert len(set(one_policy.LOADS)) == 2
