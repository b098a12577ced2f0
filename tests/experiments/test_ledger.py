import json

import pytest

from experiments.figures.figure import AS_PRINTED
from experiments.figures.ledger import BEGIN, END, README, RESULTS, ledger, put
from meqc_marl.errors import InputError


def test_a_row_for_every_claim(tmp_path):
    claims = [{"claim": f"c{i}", "verdict": "holds", "number": str(i), "reason": "why"} for i in range(2)]
    for scale in ("paper", "paper-exact"):
        (tmp_path / scale).mkdir()
        for name in ("6", "3a"):
            (tmp_path / scale / f"fig{name}.json").write_text(json.dumps({"claims": claims}))
    rows = ledger(tmp_path, "paper").splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| 3a", "| 3a", "| 6", "| 6"]
    assert rows[0] == "| 3a | c0 | **holds** | 0 | why |  | `meqc-marl figure 3a --scale paper` |"
    assert "`meqc-marl figure 6 --scale paper --exact-only`" in ledger(tmp_path, "paper-exact")
    assert put(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"


def test_other_systems_beside_the_corrected_one(tmp_path):
    (tmp_path / "quick").mkdir()

    def claims(*numbers):
        return [
            {"claim": f"c{i}", "verdict": "holds", "number": number, "reason": ""} for i, number in enumerate(numbers)
        ]

    content = {
        "claims": claims("1", "2", "3"),
        "variants": {AS_PRINTED: {"claims": claims("1", "9")}, "other": {"claims": claims("1", "7")}},
    }
    (tmp_path / "quick" / "fig6.json").write_text(json.dumps(content))
    rows = [row.split(" | ") for row in ledger(tmp_path).splitlines()[2:]]
    assert [row[5] for row in rows] == ["the same", "holds: 9", "", ""]
    assert (rows[3][0], rows[3][1], rows[3][3]) == ("| 6, other", "c1", "7")


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no figures"):
        ledger(tmp_path)
    with pytest.raises(InputError, match="README has no lines"):
        put("nothing", "table")


def test_the_ledger_of_the_readme_is_that_of_the_stored_data():
    text = README.read_text()
    assert put(text, ledger(RESULTS)) == text
