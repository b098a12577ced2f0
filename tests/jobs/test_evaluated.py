"""A sweep that trains nothing: one trained policy over the grid, as trials of Tune that are kept and extended."""

import json

import pytest

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.evaluation.held_out import beside_oracle, held_out_traces
from meqc_marl.policies.learned import load_policy
from tests.cli.test_cli_evaluate import save_policy
from tests.sentences import is_one_sentence

SCENARIO = ["--scenario", "small", "--set", "horizon=10"]


@pytest.fixture
def policy(small, tmp_path):
    return save_policy(tmp_path / "policy", small)


@pytest.mark.timeout(200)
def test_one_policy_over_the_grid_and_over_more_of_it(ray_session, tmp_path, policy, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def sweep(*v):
        assert main(["sweep", *SCENARIO, "--policy", "policy", "--v", *v, "--delta", "0.5", "--out", "grid"]) == 0
        return json.loads((tmp_path / "grid" / "sweep-points.json").read_text())

    (first,) = sweep("0.1")["points"]
    rows = tmp_path / "grid" / "trials" / "v=0.1,delta=0.5,seed=0" / "result.json"
    before = rows.read_bytes()
    content = sweep("0.1", "1")
    assert content["policy"] == policy
    assert rows.read_bytes() == before
    assert [point["v"] for point in content["points"]] == [0.1, 1.0]
    assert content["points"][0] == first
    for point in content["points"]:
        here = load_scenario("small", ["horizon=10", f"lyapunov.v={point['v']}", "lyapunov.delta=0.5"])
        measured = beside_oracle(load_policy(policy), here, held_out_traces(here))
        for name in ("cost", "regret", "fraction"):
            assert point["learned"][name]["value"] == pytest.approx(float(measured[name].mean())), name
    words = ["sweep", *SCENARIO, "--v", "0.1", "--delta", "0.5", "--out", "grid", "--num-seeds", "1"]
    assert main(words) == 2
    assert "holds other work than this sweep" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--num-seeds", "2"], "num-seeds: with --policy nothing is trained; leave it out"),
        (["--env-steps", "100"], "env-steps: with --policy"),
        (["--learner", "hidden=[8]"], "learner: with --policy"),
        (["--num-env-runners", "1"], "num-env-runners: with --policy"),
        (["--gpus", "1"], "gpus: with --policy"),
        (["--v", "1", "1"], "each of one or more values must be given once"),
    ],
)
def test_what_says_how_to_train_is_refused(tmp_path, policy, words, told, capsys):
    assert main(["sweep", *SCENARIO, "--policy", policy, *words, "--out", str(tmp_path / "grid")]) == 2
    sentence = capsys.readouterr().err
    assert told in sentence
    assert is_one_sentence(sentence.removeprefix("error: ").strip())
    assert not (tmp_path / "grid").exists()


def test_a_policy_that_is_none_is_told_before_anything_is_written(tmp_path, capsys):
    assert main(["sweep", *SCENARIO, "--policy", str(tmp_path / "none"), "--out", str(tmp_path / "grid")]) == 2
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "grid").exists()
    words = ["--policy", "here", "--storage", "s3://b/x", "--dry-run"]
    assert main(["submit", "sweep", *words]) == 2
    assert "policy 'here' is not an absolute path" in capsys.readouterr().err
