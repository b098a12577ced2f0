from __future__ import annotations

import subprocess
import sys

import pytest

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
