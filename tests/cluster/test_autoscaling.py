"""Ray's autoscaler, with machines that are only processes: it grows for a sweep and shrinks after it.

Needs Linux and root: ``pytest -m long tests/cluster/test_autoscaling.py``.
"""

import json
import subprocess
import sys

import pytest

from tests.cluster.hosts import DASHBOARD, Host, alive_nodes, available, environment, network, new_token, wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not available(), reason="needs root and iproute2"),
]
CONFIG = {
    "cluster_name": "grows",
    "max_workers": 3,
    "upscaling_speed": 100.0,
    "idle_timeout_minutes": 0.2,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,  # the processes share one
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "trials": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 3},
    },
    "head_node_type": "ray.head.default",
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}


def wait_for(count, token, patience_s):
    """Wait for a number of workers, beside the head."""
    wait_until(lambda: alive_nodes(token) == 1 + count, patience_s, f"{count} workers")


def test_workers_come_for_a_sweep_and_go_after_it(tmp_path):
    token = new_token(tmp_path)
    config = tmp_path / "autoscaling.json"
    config.write_text(json.dumps(CONFIG))
    variables = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    head = Host(0, tmp_path, token, 0, (f"--autoscaling-config={config}",), variables)
    with network([head]):
        wait_for(0, token, 120)
        words = [
            "submit",
            "sweep",
            "--address",
            DASHBOARD,
            "--scenario",
            "small",
            "--set",
            "horizon=50",
            "--v",
            "0.1",
            "1",
            "10",
        ]
        words += ["--delta", "0.5", "--num-seeds", "1", "--env-steps", "60000", "--learner", "hidden=[32,32]"]
        words += ["--autoscaling", "--storage", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
        with (tmp_path / "log").open("w") as log:
            command = subprocess.Popen(
                [sys.executable, "-m", "meqc_marl.cli", *words],
                stdout=log,
                stderr=log,
                env=environment(token),
                cwd=tmp_path,
            )
        wait_for(3, token, 120)
        assert command.wait(timeout=300) == 0, (tmp_path / "log").read_text()[-3000:]
        assert len(json.loads((tmp_path / "out" / "sweep-points.json").read_text())["points"]) == 3
        wait_for(0, token, 120)
