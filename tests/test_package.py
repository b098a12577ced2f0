from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import meqc_marl


def test_everything_exported_is_there() -> None:
    for name in meqc_marl.__all__:
        assert getattr(meqc_marl, name) is not None
        assert name in dir(meqc_marl)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = meqc_marl.nothing


def test_the_environment_needs_neither_ray_nor_torch() -> None:
    code = (
        "import sys, meqc_marl; assert 'numpy' not in sys.modules; env = meqc_marl.parallel_env('small'); env.reset(0);"
        "assert not {'ray', 'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_citation_is_of_this_version() -> None:
    root = Path(__file__).parents[1]
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == meqc_marl.__version__
    assert {"cff-version", "message", "title", "authors", "preferred-citation"} <= set(citation)
    assert citation["preferred-citation"]["url"].rpartition("/")[2] in (root / "README.md").read_text(encoding="utf-8")
