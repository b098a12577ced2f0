import logging
import os
import sys
from pathlib import Path

import pytest
import ray

sys.path.insert(0, str(Path(__file__).parent))

import hybrid_envs


@pytest.fixture(scope="session")
def ray_session():
    """One local Ray for all tests that need it."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Workers must find the environments of these tests.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    hybrid_envs.register()
    yield
    ray.shutdown()
