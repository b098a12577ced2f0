"""Tables and pictures of servers that queue: averages by hand, points that are kept, and what is drawn of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.queues import loads
from experiments.queues.loads import point, price_of_myopia, system
from experiments.queues.rules import Means, means, row, traces
from meqc_marl.config import load_scenario
from meqc_marl.errors import InputError
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.policies import make_policy
from meqc_marl.policies.toll import search


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
    words = ["--out", str(tmp_path), "--policies", "selfish", "--num-traces", "1", "--num-slots", "4"]
    monkeypatch.setattr(sys, "argv", ["loads", *words, "--axes", "tiles"])
    loads.main()
    told = capsys.readouterr().out
    assert "| tiles 1 |" in told
    assert "| tiles 2 |" in told
    assert (tmp_path / "loads.png").stat().st_size > 10_000
    assert len(list(tmp_path.glob("*.json"))) == 2
