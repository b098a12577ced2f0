"""Fixtures that several test packages share."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from meqc_marl.config import Scenario, load_scenario

# How long an example takes says how busy the machine is; what hangs is ended by pytest's timeout.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

#: Modules that several tests and their subprocesses share.
_SHARED = str(Path(__file__).parent / "shared")
sys.path.insert(0, _SHARED)


@pytest.fixture
def paper() -> Scenario:
    """The corrected model at the defaults."""
    return load_scenario("paper")


@pytest.fixture
def literal() -> Scenario:
    """Every formula as printed."""
    return load_scenario("paper-literal")


@pytest.fixture
def small() -> Scenario:
    """Three devices, 100 slots."""
    return load_scenario("small")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a few KiB, such as ``disk("64k")``; where that is not allowed the test is skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        return folder

    yield mount
    subprocess.run(["umount", "-l", str(folder)], capture_output=True)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray for all tests that need it, with the environments of the tests of ``rl`` registered."""
    import hybrid_envs
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    # Workers must find those environments.
    os.environ["PYTHONPATH"] = os.pathsep.join([_SHARED, os.environ.get("PYTHONPATH", "")])
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    hybrid_envs.register()
    yield
    ray.shutdown()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: half of the suite's time is waiting for Ray to start and stop."""
    return (os.cpu_count() or 1) + 1
