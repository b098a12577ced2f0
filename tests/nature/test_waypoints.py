"""Ways between points worked out by hand."""

import gzip

import numpy as np
import pytest

from meqc_marl.errors import InputError
from meqc_marl.nature.waypoints import read_movements
from tests.sentences import is_one_sentence

NS2 = """# a comment
$node_(0) set X_ 0.0
$node_(0) set Y_ 10.0
$node_(0) set Z_ 0.0
$node_(7) set X_ 5
$node_(7) set Y_ 5
$ns_ at 1.0 "$node_(0) setdest 8.0 10.0 2.0"
$ns_ at 3.0 "$node_(0) setdest 4.0 4.0 3.0"
$ns_ at 6.0 "$node_(7) setdest 5.0 8.0 1.0"
$ns_ at 7.0 "$node_(7) setdest 5.0 5.0 0.0"
"""
# Node 0 rests for 1 s, goes 4 m in x until it turns at 3 s, goes 6 m down in 2 s, and stays.
NODE_0 = [(0, 10), (0, 10), (2, 10), (4, 10), (4, 7), (4, 4), (4, 4), (4, 4)]
NODE_7 = [(5, 5)] * 7 + [(5, 6)]


@pytest.mark.parametrize("ending", ["ns_movements", "tcl", "tcl.gz"])
def test_ns2(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(gzip.compress(NS2.encode()) if ending.endswith("gz") else NS2.encode())
    names, way, _ = read_movements(path, 1.0)
    assert names == ["0", "7"]
    np.testing.assert_allclose(way[:8], np.stack([NODE_0, NODE_7], 1), atol=1e-12)
    assert way.shape == (8, 2, 2)
    np.testing.assert_allclose(read_movements(path, 1.0, begin_s=2.0, num_slots=20)[1][5:, 1], [(5, 6)] * 15)


def test_bonnmotion(tmp_path):
    path = tmp_path / "a.movements"
    path.write_text("0 0 0 4 8 0 6 8 10\n0 3 3\n")
    names, way, _ = read_movements(path, 1.0)
    assert names == ["0", "1"]
    np.testing.assert_allclose(way[:, 0], [(0, 0), (2, 0), (4, 0), (6, 0), (8, 0), (8, 5), (8, 10)])
    np.testing.assert_allclose(way[:, 1], [(3, 3)] * 7)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.movements", "0 0 0\n1 2\n", "line 2: '1 2'"),
        ("a.movements", "0 0 x\n", "line 1"),
        ("a.movements", "0 0 nan\n", "line 1"),
        ("a.movements", "3 0 0 2 1 1\n", "line 1"),
        ("a.movements", "\n# nothing\n", "has no nodes"),
        ("a.movements.gz", "no gzip", "damaged"),
        ("a.tcl", NS2 + "puts hello\n", "line 11: 'puts hello'"),
        ("a.tcl", "$node_(0) set X_ 1\n", "node 0 lacks X_ or Y_"),
        ("a.tcl", '$ns_ at 1.0 "$node_(0) setdest 8.0 10.0 2.0"\n', "line 1: the node must have a first place"),
        ("a.tcl", NS2.replace("10.0 2.0", "10.0 -2.0"), "line 7"),
        ("a.txt", NS2, "must end in"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_movements(tmp_path / name, 1.0)
    assert is_one_sentence(str(caught.value)), caught.value


def test_a_beginning_or_a_length_that_cannot_be(tmp_path):
    (tmp_path / "a.tcl").write_text(NS2)
    for begin_s, num_slots in ((-1.0, 3), (0.0, 10**8)):
        with pytest.raises(InputError, match="take fewer"):
            read_movements(tmp_path / "a.tcl", 1.0, begin_s, num_slots)
