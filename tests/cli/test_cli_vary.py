"""``meqc-marl vary`` from the outside."""

import csv
import json

import pytest
from learned import learned_is_local_only

from meqc_marl.cli import main
from tests.sentences import is_one_sentence

SMALL = ["--num-traces", "2", "--num-slots", "6", "--set", "num_devices=3"]


def test_a_question_in_one_command(tmp_path, capsys):
    """What would a QPU behind our access points buy us?"""
    files = {name: tmp_path / f"out.{name}" for name in ("csv", "json", "png")}
    command = [
        *("vary", "devices.leased_qubits=500,1000,2000,5000", "--vary", "quantum.error_rate=1e-6,2e-6,4e-6", *SMALL),
        *("--csv", str(files["csv"]), "--json", str(files["json"]), "--plot", str(files["png"])),
    ]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "oracle-cpu minus oracle is what the QPU saves" in out
    with files["csv"].open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "cost" and row["policy"] == "oracle-cpu"]
    assert len(rows) == 12
    for row in rows:
        assert f"+{float(row['difference']):.2f}" in out
        assert row["difference_low"] == row["difference_high"] == ""  # two traces are too few for an interval
    content = json.loads(files["json"].read_text())
    assert content["trace"] == {"seeds": [1_000_000, 1_000_001], "num_slots": 6}
    assert len(content["points"]) == 12
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert all(float(row["difference"]) >= -1e-12 for row in rows)  # more choices cost no more


def test_learned_policies_stand_beside_the_others(monkeypatch, tmp_path):
    learned_is_local_only(monkeypatch)
    out = tmp_path / "out.json"
    command = ["vary", "lyapunov.v=1,10", *SMALL, "--policies", "local-only", "--checkpoints", "some/run"]
    assert main([*command, "--json", str(out)]) == 0
    for point in json.loads(out.read_text())["points"]:
        assert list(point["policies"]) == ["local-only", "learned"]
        assert point["policies"]["learned"]["cost"]["difference"]["value"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["quantum.eror_rate=1"], ["quantum.eror_rate", "error_rate"]),
        (["lyapunov.v"], ["'lyapunov.v'", "field=a,b,c"]),
        (["lyapunov.v=1", "--metric", "cots"], ["'cots'", "did you mean 'cost'?"]),
        (["lyapunov.v=1", "--metric", "gap_to_oracle"], ["'gap_to_oracle'", "compare"]),
        (["lyapunov.v=1", "--policies"], ["policies", "none"]),
        (["lyapunov.v=1", "--policies", "orcale"], ["'orcale'", "did you mean 'oracle'?"]),
        (["lyapunov.v=1", "--num-traces", "0"], ["num-traces: 0", "at least 1"]),
        (["lyapunov.v=1", "--plot", "x.txt"], ["x.txt", ".png, .pdf or .svg"]),
        (["lyapunov.v=1", "--csv", "/no/such/folder/x.csv"], ["/no/such/folder/x.csv"]),
        (["lyapunov.v=1", "--checkpoints", "no/such/run"], ["no/such/run", "does not exist"]),
        ([], ["missing"]),
    ],
)
def test_bad_input_is_one_sentence(arguments, parts, capsys):
    assert main(["vary", *arguments[:1], *SMALL, *arguments[1:]]) == 2
    sentence = capsys.readouterr().err.removeprefix("error: ").removesuffix("\n")
    assert is_one_sentence(sentence), sentence
    for part in parts:
        assert part in sentence
